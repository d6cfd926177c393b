"""The actions of a run's life cycle, on a region in memory: check mode tells what the run then does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import (
    backup_store,
    identity,
    lease,
    paths,
    secrets,
    state,
    warden,
)
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.proof import KUBE_SYSTEM
from ansible_collections.kontrol.platform.tests.unit.plugins.action.world import CLUSTER, World, deploy, stop
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi


def test_check_before_and_after_the_first_run_tells_the_truth(world: World) -> None:
    with world.checking():
        planned = deploy(world)
        assert not paths.region_state("r").exists()
        assert world.tools.containers == {}
        assert world.api.writes == []
    done = deploy(world)
    assert planned == done
    assert ("Cluster kontrol-r", "create") in done[1]
    assert ("ConfigMap kontrol-system/kontrol-identity", "create") in done[1]
    with world.checking():
        again = deploy(world)
    assert again == deploy(world)
    assert {verb for part in again for _object, verb in part} == {"none"}


def test_between_two_runs_check_sees_what_was_taken_away(world: World) -> None:
    deploy(world)
    world.tools.containers.clear()
    world.api.objects = {KUBE_SYSTEM: world.api.objects[KUBE_SYSTEM]}
    with world.checking():
        planned = deploy(world)
    assert ("BackupStore r", "create") in planned[0]
    assert ("StoredSecret backup-store/access-key", "none") in planned[0]
    assert planned == deploy(world)


def prove(world: World, **args: Any) -> dict[str, Any]:
    return world.play("session", verb="prove", private=str(world.private), **args)


def test_prove_takes_the_lease_and_marks_the_kubeconfig(world: World) -> None:
    deploy(world)
    result = prove(world)
    assert not result.get("failed"), result.get("msg")
    text = Path(result["kubeconfig"]).read_text()
    assert '"run": "run-1"' in text
    assert Path(result["kubeconfig"]).stat().st_mode & 0o777 == 0o600
    order = state.read_json(world.private / warden.LEASE_ORDER)
    assert order is not None
    assert order["holder"]["run"] == "run-1"
    found = world.api.get(f"{lease.PATH}/{lease.NAME}")
    assert found is not None
    assert found["spec"]["holderIdentity"] == "run-1"


def test_prove_in_check_mode_takes_nothing(world: World) -> None:
    with world.checking():
        assert prove(world)["kubeconfig"] == ""
    deploy(world)
    before = list(world.api.writes)
    with world.checking():
        result = prove(world)
        assert '"run"' not in Path(result["kubeconfig"]).read_text()
        world.tools.containers["kontrol-r-control-plane"]["State"]["Running"] = False
        assert prove(world)["kubeconfig"] == ""
    assert world.api.writes == before


def test_prove_goes_on_where_begin_ended(world: World) -> None:
    assert 'Argument "private" is missing' in world.play("session", verb="prove")["msg"]


def test_without_what_only_a_person_can_give_nothing_is_made(world: World) -> None:
    given = ["second-store/access-key", "second-store/secret-key"]
    private = world.play("session", verb="begin")["private"]

    def play() -> dict[str, Any]:
        return world.play("foundation", private=private, image="gw:1", given=given)

    for checking in (True, False):
        world.check = checking
        assert play()["msg"] == (
            'The secret store lacks "second-store/access-key", "second-store/secret-key", which only you can give: run '
            "`python -m tools.give_secret r second-store/access-key` and "
            "`python -m tools.give_secret r second-store/secret-key`"
        )
    assert world.tools.containers == {}
    store = secrets.SecretStore(paths.region_state("r"), world.tools)
    store.create()
    store.give(given[0], "CANARY")
    assert 'lacks "second-store/secret-key", which' in play()["msg"]
    store.give(given[1], "CANARY")
    result = play()
    assert not result.get("failed"), result.get("msg")
    assert "CANARY" not in str(result)


def test_a_second_writer_is_refused_and_nothing_is_made(world: World) -> None:
    other = lease.Holder("run-0", "r", "bootstrap", 7, "elsewhere", state.now())
    world.answer = {"locked": False, "holder": other.to_json()}
    result = world.play("session", verb="begin")
    assert result["failed"]
    assert 'run "run-0" of bootstrap (pid 7 on elsewhere' in result["msg"]
    assert not (paths.region_state("r") / "runs").exists()
    world.answer = {"locked": False, "holder": ""}
    assert "another run that just starts" in world.play("session", verb="begin")["msg"]


def test_begin_tells_the_callback_where_and_what_deviates(world: World) -> None:
    artifacts = {"a": {"deviation": "built here"}, "b": {"deviation": None}}
    session = world.play("session", verb="begin", artifacts=artifacts)["kontrol_session"]
    assert session["deviations"] == {"a": "built here"}
    assert Path(session["folder"]).is_dir()
    assert world.orders[-1].lock.endswith("/r/lock")
    with world.checking():
        assert world.play("session", verb="begin")["kontrol_session"]["folder"] == ""
    assert world.orders[-1].lock == ""


def test_a_warden_that_does_not_start_stops_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(orders: warden.Orders) -> Any:
        raise RuntimeError("it gave no answer")

    monkeypatch.setattr(warden, "start", start)
    assert "could not be started: it gave no answer" in world.play("session", verb="begin")["msg"]


def test_the_cluster_needs_the_foundation(world: World) -> None:
    result = world.play("cluster", private=str(world.private), **CLUSTER)
    assert "deploy its foundation first" in result["msg"]


def test_what_was_made_before_a_failure_stays_in_its_result(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: Any, **__: Any) -> None:
        raise KontrolError("The image cannot be pulled")

    private = world.play("session", verb="begin")["private"]
    with monkeypatch.context() as patch:
        patch.setattr(backup_store.BackupStore, "ensure", break_off)
        failed = world.play("foundation", private=private, image="gw:1")
    assert (failed["failed"], failed["changed"], failed["msg"]) == (True, True, "The image cannot be pulled")
    assert [(one["object"], one["verb"]) for one in failed["kontrol_objects"]][:2] == [
        ("Identity r", "create"),
        ("SecretStore r", "create"),
    ]
    world.objects("foundation", private=private, image="gw:1")
    with monkeypatch.context() as patch:
        patch.setattr(FakeApi, "wait_ready", break_off)
        failed = world.play("cluster", private=private, **CLUSTER)
    assert failed["failed"]
    assert [(one["object"], one["verb"]) for one in failed["kontrol_objects"]] == [("Cluster kontrol-r", "create")]


def test_a_cluster_with_the_identity_of_another_region_is_never_adopted(world: World) -> None:
    deploy(world)
    world.tools.containers["kontrol-r-control-plane"]["Id"] = "f" * 64
    world.api.objects[identity.CONFIGMAP_PATH]["data"]["id"] = "other"
    before = list(world.api.writes)
    for check in (True, False):
        world.check = check
        result = world.play("cluster", private=str(world.private), adopt="r", **CLUSTER)
        assert "carries the identity" in result["msg"]
    assert world.api.writes == before


@pytest.mark.parametrize("carries", [True, False])
def test_an_adoption_is_previewed_truly(world: World, carries: bool) -> None:
    deploy(world)
    world.tools.containers["kontrol-r-control-plane"]["Id"] = "f" * 64
    if not carries:
        del world.api.objects[identity.CONFIGMAP_PATH]
    args = {"private": str(world.private), "adopt": "r", **CLUSTER}
    with world.checking():
        planned = world.objects("cluster", **args)
    assert planned == world.objects("cluster", **args)
    assert ("Cluster kontrol-r", "take_over") in planned
    assert len(planned) == (1 if carries else 3)
    assert world.objects("cluster", private=str(world.private), **CLUSTER) == {("Cluster kontrol-r", "none")}


def test_nodes_are_waited_for_and_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/api/v1/nodes"
    world.api.put(
        f"{path}/a", {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    )
    args = {"state": "verified", "private": str(world.private), "kubeconfig": "file"}
    result = world.play("cluster", **args)
    assert [one["ok"] for one in result["kontrol_checks"]] == [True]
    world.api.put(f"{path}/b", {"metadata": {"name": "b"}})
    result = world.play("cluster", timeout=0, **args)
    assert "node is ready: b: expected True, seen unknown" in result["msg"]
    world.api.objects.clear()
    assert "there is no node" in world.play("cluster", timeout=0, **args)["msg"]
    with world.checking():
        assert world.play("cluster", **args) == {"changed": False}


def test_the_foundation_is_verified_by_effects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    args = {"state": "verified", "private": str(world.private), "image": "gw:1"}
    assert "backup store answers" in world.play("foundation", **args)["msg"]
    deploy(world)
    assert all(one["ok"] for one in world.play("foundation", **args)["kontrol_checks"])
    with world.checking():
        assert world.play("foundation", **args) == {"changed": False}


def test_a_bucket_that_does_not_keep_what_is_deleted_is_red_until_bootstrap(world: World) -> None:
    deploy(world)
    args = {"private": str(world.private), "image": "gw:1"}
    for kept, seen in ({"kontrol-backups": False}, "keeps no versions"), ({}, "is not there"):
        world.buckets.kept = dict(kept)
        assert f"{seen}; run bootstrap" in world.play("foundation", state="verified", **args)["msg"]
        with world.checking():
            planned = world.objects("foundation", **args)
        assert planned == world.objects("foundation", **args)
        assert ("BackupBucket kontrol-backups", "update" if kept else "create") in planned
        assert world.buckets.kept == {"kontrol-backups": True}
    world.buckets.problem = "The store answers 403"
    assert "answers 403" in world.play("foundation", state="verified", **args)["msg"]


def test_a_region_is_removed_cluster_first(world: World) -> None:
    deploy(world)
    gone = {"state": "absent", "private": str(world.private)}
    result = world.play("foundation", image="gw:1", **gone)
    assert "still has a cluster" in result["msg"]
    with world.checking():
        planned = [world.objects("cluster", **gone), world.objects("foundation", image="gw:1", **gone)]
        assert world.tools.containers
    assert planned == [world.objects("cluster", **gone), world.objects("foundation", image="gw:1", **gone)]
    assert world.tools.containers == {}
    assert {file.name for file in paths.region_state("r").iterdir()} == {"runs"}
    assert world.objects("cluster", **gone) == {("Cluster kontrol-r", "none")}
    assert {verb for _object, verb in world.objects("foundation", image="gw:1", **gone)} == {"none"}


@pytest.mark.parametrize(
    ("protected", "confirm", "message"),
    [
        (True, "r", "is protected"),
        (False, "", "nothing was confirmed; add `-e confirm=r`"),
        (False, "R", '"R" was confirmed'),
        (False, "r", None),
    ],
)
def test_destruction_wants_the_exact_name_and_no_protection(
    world: World, protected: bool, confirm: str, message: str | None
) -> None:
    deploy(world)
    result = world.play("confirm", protected=protected, confirm=confirm)
    assert bool(result.get("failed")) == (message is not None)
    assert (message or "") in result.get("msg", "")
    assert any("container kontrol-r-control-plane (running)" in line for line in result["kontrol_lines"])
    assert any("these stay: " in line for line in result["kontrol_lines"])
    with world.checking():
        result = world.play("confirm", protected=protected, confirm=confirm)
    assert not result.get("failed")
    assert any("would be refused" in line for line in result["kontrol_lines"]) == (message is not None)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"remove_foundation": "q"}, '`remove_foundation` names "q", not "r"'),
        ({"last_backup": "no"}, "last_backup must be one of"),
        ({"remove_foundation": "r", "last_backup": "declined"}, None),
    ],
)
def test_the_foundation_is_only_removed_when_it_is_asked_for_by_name(
    world: World, said: dict[str, str], message: str | None
) -> None:
    deploy(world)
    result = world.play("confirm", protected=False, confirm="r", **said)
    assert bool(result.get("failed")) == (message is not None)
    assert (message or "") in result.get("msg", "")
    stays = any("these stay" in line for line in result.get("kontrol_lines", []))
    assert stays == ("last_backup" not in said and not message)


@pytest.mark.parametrize(
    ("running", "declined", "components", "taken"),
    [
        (True, False, ["mesh", "clickhouse", "neo4j"], ["clickhouse", "neo4j"]),
        (True, True, ["mesh", "clickhouse"], []),
        (True, False, ["mesh"], []),
        (False, True, ["clickhouse"], []),
        (False, False, ["mesh"], []),
    ],
)
def test_a_last_backup_is_taken_of_what_holds_data(
    world: World, running: bool, declined: bool, components: list[str], taken: list[str]
) -> None:
    deploy(world)
    if not running:
        stop(world)
    result = world.play("last_backup", private=str(world.private), components=components, declined=declined)
    assert result["components"] == taken
    assert result["needed"] == bool(taken)


def test_a_stopped_cluster_is_not_lost_without_a_word(world: World) -> None:
    args = {"private": str(world.private), "components": ["clickhouse"], "declined": False}
    assert world.play("last_backup", **args)["needed"] is False, "there is no cluster yet"
    deploy(world)
    stop(world)
    assert "decline it with `-e last_backup=declined`" in world.play("last_backup", **args)["msg"]


def test_a_cluster_that_somebody_else_removed_is_not_lost_without_a_word(world: World) -> None:
    args: dict[str, Any] = {"private": str(world.private), "components": ["clickhouse"]}
    deploy(world)
    world.tools.containers.pop("kontrol-r-control-plane")
    refused = world.play("last_backup", **args, declined=False)["msg"]
    assert "is gone, and nobody decommissioned it" in refused
    assert "decline it with `-e last_backup=declined`" in refused
    assert world.play("last_backup", **args, declined=True)["needed"] is False
    world.objects("cluster", state="absent", private=str(world.private))
    assert world.play("last_backup", **args, declined=False)["needed"] is False, "it is decommissioned now"


def test_what_is_left_of_a_region_is_found(world: World) -> None:
    deploy(world)
    args = {"private": str(world.private), "foundation": True}
    red = world.play("nothing_left", **args)
    assert red["failed"]
    for what in ("kontrol-r-control-plane", "kontrol-r-backup-store", "cluster.json", "age.key", "secrets.sops.json"):
        assert what in red["msg"]
    gone = {"state": "absent", "private": str(world.private)}
    world.objects("cluster", **gone)
    assert not world.play("nothing_left", **{**args, "foundation": False}).get("failed")
    assert world.play("nothing_left", **args)["failed"]
    world.objects("foundation", image="gw:1", **gone)
    assert not world.play("nothing_left", **args).get("failed")


def test_what_a_look_ahead_would_change_is_no_change_of_the_run(world: World) -> None:
    deploy(world)
    with world.checking():
        told = world.play("stored_secret", names=["a/b"])
        world.known = {"kontrol_check": True, "ansible_check_mode": False}
        planned = world.play("stored_secret", names=["a/b"])
    assert (told["changed"], planned["changed"]) == (True, False)
    assert planned["kontrol_objects"] == told["kontrol_objects"]


def test_secrets_are_made_once_and_never_returned(world: World) -> None:
    deploy(world)
    with world.checking():
        planned = world.objects("stored_secret", names=["a/b", "c/d"])
    assert (
        planned
        == world.objects("stored_secret", names=["a/b", "c/d"])
        == {
            ("StoredSecret a/b", "create"),
            ("StoredSecret c/d", "create"),
        }
    )
    result = world.play("stored_secret", names=["a/b"])
    assert result["changed"] is False
    store = secrets.SecretStore(paths.region_state("r"), world.tools)
    assert store.get("a/b") not in str(result)


def test_status_shows_lines_and_writes_nothing(world: World) -> None:
    result = world.play("region_status", description="a test", components=["mesh"])
    assert result["kontrol_lines"][1] == "Region r: a test"
    assert result["status"]["cluster"] == "kontrol-r is absent"
    assert not paths.region_state("r").exists()


def test_a_person_gets_a_token_that_ends(world: World) -> None:
    account = "/api/v1/namespaces/kontrol-system/serviceaccounts/kontrol-person"
    deploy(world)
    assert "run the playbook bootstrap" in world.play("person_kubeconfig")["msg"]
    world.api.put(account, {"metadata": {"name": "kontrol-person"}})
    seen: list[dict[str, Any]] = []

    def create(path: str, body: dict[str, Any]) -> dict[str, Any]:
        seen.append(body)
        return {"status": {"token": "CANARY-1", "expirationTimestamp": "T"}}

    world.api.create = create  # type: ignore[method-assign]
    with world.checking():
        assert "would be written" in world.play("person_kubeconfig")["kontrol_lines"][0]
        assert seen == []
    result = world.play("person_kubeconfig")
    path = Path(result["path"])
    assert "CANARY" not in str(result)
    assert "CANARY-1" in path.read_text()
    assert "CANARY-token" not in path.read_text(), "the administrator's own credential"
    assert path.stat().st_mode & 0o777 == 0o600
    assert seen[0]["spec"] == {"expirationSeconds": 3600}
    assert result["kontrol_lines"][-1] == f"  export KUBECONFIG={path}"


@pytest.fixture
def inventories(tmp_path: Path) -> Path:
    """An empty folder of regions."""
    return state.make_private_dir(tmp_path / "inventories")


MADRID = {"market": "ES", "driver": "kind", "profile": "development", "components": "mesh, clickhouse"}


def new_spec(world: World, *sources: Path, **args: Any) -> dict[str, Any]:
    return world.play("new_spec", region=None, sources=[str(one) for one in sources], **{"name": "madrid", **args})


def test_a_new_region_is_shown_in_check_mode_written_once_and_then_left_alone(world: World, inventories: Path) -> None:
    file = inventories / "madrid" / "region.yml"
    with world.checking():
        planned = new_spec(world, inventories, **MADRID)
    assert not file.exists()
    written = new_spec(world, inventories, **MADRID)
    assert planned["kontrol_lines"][0] == f"Would write: {file}"
    assert written["kontrol_lines"][0] == f"Written: {file}"
    assert planned["kontrol_lines"][1:] == written["kontrol_lines"][1:]
    assert [line.strip() for line in written["kontrol_lines"][1:]] == [
        line.strip() for line in file.read_text("utf-8").splitlines()
    ]
    again = new_spec(world, inventories, **MADRID)
    assert (again["changed"], again["kontrol_lines"]) == (False, [f"Declared already: {file}"])


def test_a_new_region_needs_a_name_and_one_folder_of_regions(world: World, inventories: Path) -> None:
    assert "No name was given" in new_spec(world, inventories, name="")["msg"]
    new_spec(world, inventories, **MADRID)
    for sources in ([inventories, inventories], [inventories / "madrid"], [inventories / "nowhere"]):
        message = new_spec(world, *sources, name="paris")["msg"]
        assert message.startswith("A new region goes into a folder of regions")
        assert str(sources[-1]) in message
