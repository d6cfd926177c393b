"""The verbs of a drill: what the state file says after each, what is refused, and what a killed drill leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.action import drill as action
from ansible_collections.kontrol.platform.plugins.module_utils import (
    backup_store,
    canaries,
    damage,
    drill,
    drill_view,
    paths,
    region_run,
    room,
    run_record,
    secrets,
    state,
)
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.tests.unit.plugins.action.world import World, deploy
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.drill_evidence import HEARD, evidence
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeClock
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

Object = dict[str, Any]
NAMES = ["clickhouse", "neo4j"]
SOURCE: Object = {"source": "live", "bucket": "bucket", "image": "gw:1"}
SOURCE_STORE = "kontrol-r-source-store"
JOBS = {
    name: {
        "name": f"{name}-canary",
        "namespace": name,
        "service_account": f"{name}-client",
        "image": "tools:1",
        "steps": [{"name": "canary", "command": f"{name}-canary"}],
    }
    for name in NAMES
}


class Drills:
    """Leads drills of region r, verb by verb, on an API server and a machine in memory.

    Attributes:
        stopped: The followers that were stopped.
        orders: What followers were started with.
    """

    def __init__(self, world: World, api: StubApi, kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.api, self.kubeconfig = world, api, kubeconfig
        self.folder = paths.region_state("r")
        self.file = self.folder / drill.STATE_FILE
        self.stopped: list[tuple[int, str]] = []
        self.orders: list[canaries.Orders] = []
        self._patch = monkeypatch

    def play(self, verb: str, **args: Any) -> Object:
        where = {"kubeconfig": self.kubeconfig} if verb == "note" else {}
        return self.world.play("drill", verb=verb, private=str(self.world.private), **{**where, **args})

    def __call__(self, verb: str, **args: Any) -> Object:
        result = self.play(verb, **args)
        assert not result.get("failed"), result.get("msg")
        return result

    def refused(self, verb: str, **args: Any) -> str:
        result = self.play(verb, **args)
        assert result.get("failed"), result
        return str(result["msg"])

    def begin(self, fault: str = "database", run: str = "run-1", **args: Any) -> Object:
        self._patch.setenv(region_run.RUN, run)
        state.make_private_dir(self.runs(run))
        targets = {"rto": 600.0, "rpo": 900.0}
        return self("begin", **{"fault": fault, "databases": NAMES, "targets": targets, **args})

    def left(self, fault: str = "database", **changed: Any) -> None:
        """Let a drill have been killed."""
        found = {**evidence(fault), "run": "run-0", "region": "r", "phases": [], **changed}
        state.write_json(self.file, {name: value for name, value in found.items() if value is not None})

    def runs(self, run: str = "run-1") -> Path:
        return self.folder / "runs" / run

    @property
    def kept(self) -> Object:
        found = state.read_json(self.file)
        assert found is not None
        return found

    @property
    def deleted(self) -> list[str]:
        """Names of the Jobs that were deleted."""
        return [one.path.rpartition("/")[2] for one in self.api.requests if one.method == "DELETE"]

    def write_canaries(self, until: float) -> None:
        for name, heard in HEARD.items():
            for seq in range(1, heard.count + 1):
                line = {"seq": seq, "written": until - heard.count + seq, "heard": until}
                state.append_line(canaries.file_of(self.runs(), name), line)


@pytest.fixture
def drills(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drills]:
    deploy(world)
    with StubApi() as api:
        found = Drills(world, api, api.kubeconfig(tmp_path), monkeypatch)

        def start(orders: canaries.Orders) -> tuple[int, str]:
            found.orders.append(orders)
            return 77, "then"

        monkeypatch.setattr(room, "look", lambda client, component: {"free": 10**9, "held": 10**6})
        monkeypatch.setattr(canaries, "start", start)
        monkeypatch.setattr(canaries, "stop", lambda pid, started: found.stopped.append((pid, started)))
        monkeypatch.setattr(canaries, "wait_first", lambda folder, databases: None)
        yield found


class TestConfirm:
    """What is shown and refused before anything begins."""

    def test_an_unknown_fault_is_refused_with_the_known_ones(self, drills: Drills) -> None:
        for fault in ("earthquake", ""):
            message = drills.refused("confirm", fault=fault, protected=False, confirm="r")
            assert f"'{fault}' is not known" in message
            assert message.endswith("pod, volume, database, namespaces, cluster")

    @pytest.mark.parametrize(
        ("args", "reason"),
        [
            ({"protected": True, "confirm": "r"}, "is protected"),
            ({"confirm": "r"}, "is protected"),
            ({"protected": False, "confirm": "s"}, '"s" was confirmed'),
            ({"protected": False}, "nothing was confirmed"),
        ],
    )
    def test_a_region_that_is_protected_or_not_named_is_refused_and_check_mode_tells_it(
        self, drills: Drills, args: Object, reason: str
    ) -> None:
        refused = drills.play("confirm", fault="cluster", components=NAMES, **args)
        assert refused["failed"]
        assert reason in refused["msg"]
        assert refused["kontrol_lines"][0] == "Region r: this is what the drill breaks: the whole cluster"
        with drills.world.checking():
            told = drills("confirm", fault="cluster", components=NAMES, **args)
        *lines, last = told["kontrol_lines"]
        assert lines == refused["kontrol_lines"]
        assert last.startswith("  A drill would be refused: ")
        assert reason in last

    @pytest.mark.parametrize(
        ("fault", "destroys", "rebuilds", "through_api"),
        [
            ("pod", False, False, True),
            ("volume", True, True, True),
            ("database", True, False, False),
            ("namespaces", True, True, True),
            ("cluster", True, True, False),
        ],
    )
    def test_the_answer_tells_the_role_what_the_fault_wants(
        self, drills: Drills, fault: str, destroys: bool, rebuilds: bool, through_api: bool
    ) -> None:
        told = drills("confirm", fault=fault, protected=False, confirm="r", components=["mesh", *NAMES, "monitoring"])
        assert told["databases"] == NAMES
        assert (told["destroys"], told["rebuilds"], told["through_api"]) == (destroys, rebuilds, through_api)
        assert told["parts"] == drill.parts_of("practice", fault)
        assert any("is lost" in line for line in told["kontrol_lines"]) == destroys
        assert not drills.file.exists()

    def test_a_proof_breaks_nothing_but_wants_the_name_too(self, drills: Drills) -> None:
        told = drills("confirm", mode="prove", protected=False, confirm="r", components=["mesh"])
        assert told["parts"] == drill.parts_of("prove", "")
        assert told["kontrol_lines"][1] == "  databases: none"
        assert "nothing was confirmed" in drills.refused("confirm", mode="prove", protected=False)


def test_in_check_mode_no_verb_but_confirm_does_anything(drills: Drills) -> None:
    drills.left()
    before = drills.kept
    with drills.world.checking():
        for verb in sorted(set(action.VERBS) - {"confirm"}):
            assert drills(verb, kubeconfig=drills.kubeconfig)["skipped"], verb
    assert drills.kept == before
    assert drills.api.requests == []


@pytest.mark.parametrize("verb", ["mended", "phase", "note", "canaries", "still", "break", "failed", "conclude"])
def test_a_verb_without_a_drill_of_this_run_is_refused(drills: Drills, verb: str) -> None:
    assert 'Region "r" has no drill of this run; begin one first' in drills.refused(verb)
    drills.left()
    before = drills.kept
    assert "has no drill of this run" in drills.refused(verb)
    assert drills.kept == before


class TestBegin:
    """What a killed drill leaves, and that the next one knows it."""

    def test_the_first_one_has_nothing_to_mend(self, drills: Drills) -> None:
        told = drills.begin()
        assert (told["mend"], told["kontrol_lines"], told["backups"]) == ("", [], {})
        kept = drills.kept
        assert (kept["run"], kept["region"], kept["mode"], kept["fault"]) == ("run-1", "r", "practice", "database")
        assert (kept["phase"], kept["phases"], kept["left"], kept["stale_writers"]) == ("begin", [], {}, [])
        assert abs(kept["began"] - time.time()) < 60

    @pytest.mark.parametrize(
        ("fault", "changed", "mend", "line"),
        [
            ("database", {"phase": "restore"}, "restore", "its data may be gone"),
            ("cluster", {"phase": "compare"}, "deploy", "its cluster may be gone"),
            ("pod", {"phase": "fault"}, "deploy", "a pod was killed"),
            ("database", {"phase": "canaries", "fault_at": None}, "", "nothing was destroyed yet"),
        ],
    )
    def test_what_a_killed_one_has_left_to_do_is_told(
        self, drills: Drills, fault: str, changed: Object, mend: str, line: str
    ) -> None:
        drills.left(fault, **changed)
        told = drills.begin()
        assert told["mend"] == mend
        assert told["backups"] == (drill.chosen(evidence()) if mend else {})
        (only,) = told["kontrol_lines"]
        assert only.startswith(f"Before it: drill run-0 ({fault}) was in phase {changed['phase']}; {line}")

    def test_one_that_is_killed_while_it_mends_leaves_what_it_found(self, drills: Drills) -> None:
        drills.left(phase="restore")
        drills.begin()
        assert "its data may be gone" in drill.told(drills.kept)
        again = drills.begin(run="run-2")
        assert again["mend"] == "restore"
        assert again["backups"] == drill.chosen(evidence())
        assert drills.kept["left"]["run"] == "run-0"

    def test_once_mended_nothing_is_left_of_it(self, drills: Drills) -> None:
        drills.left(phase="restore")
        drills.begin()
        drills("mended")
        assert drills.kept["left"] == {}
        assert drills.begin(run="run-2")["mend"] == ""

    def test_one_killed_before_its_fault_does_not_hide_the_damage_of_the_next(self, drills: Drills) -> None:
        drills.left(phase="canaries", fault_at=None)
        drills.begin()
        drills("phase", phase="fault", within=0.0)
        told = drills.begin(run="run-2")
        assert told["mend"] == "restore"
        assert drills.kept["left"]["run"] == "run-1"

    def test_its_follower_is_stopped(self, drills: Drills) -> None:
        drills.left(follower=[12, "then"])
        drills.begin()
        assert drills.stopped == [(12, "then")]

    def test_writers_of_several_killed_ones_are_carried_on_and_deleted_once(self, drills: Drills) -> None:
        def one(job: str) -> Object:
            return {"database": "clickhouse", "namespace": "clickhouse", "job": job}

        drills.left(stale_writers=[one("a")], writers=[one("b")])
        drills.begin()
        assert [found["job"] for found in drills.kept["stale_writers"]] == ["a", "b"]
        drills.begin(run="run-2")
        drills("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
        assert drills.deleted == ["a", "b"]
        assert drills.kept["stale_writers"] == []
        drills("still", kubeconfig=drills.kubeconfig)
        assert drills.deleted == ["a", "b", "clickhouse-canary-2", "neo4j-canary-2"]
        drills("still", kubeconfig=drills.kubeconfig)
        assert len(drills.deleted) == 4

    def test_writers_of_a_killed_one_end_although_the_next_is_refused(self, drills: Drills) -> None:
        drills.left(writers=[{"database": "clickhouse", "namespace": "clickhouse", "job": "a"}])
        drills.begin()
        drills("phase", phase="precheck")
        assert "has no good backup" in drills.refused("note", notes={"before": {}})
        drills("still", kubeconfig=drills.kubeconfig)
        assert drills.deleted == ["a"]


class TestPhases:
    """The order is what a drill proves by."""

    def test_each_is_written_down_with_its_moment(self, drills: Drills) -> None:
        drills.begin()
        for name in drill.PHASES:
            before = time.time()
            drills("phase", phase=name, within=0.0)
            assert drills.kept["phase"] == name
            assert drills.kept["phases"][-1]["phase"] == name
            assert before <= drills.kept["phases"][-1]["at"] <= time.time()
        marks = {one["phase"]: one["at"] for one in drills.kept["phases"]}
        assert (drills.kept["fault_at"], drills.kept["verified_at"]) == (marks["fault"], marks["judge"])
        assert "ordered_at" not in drills.kept

    def test_one_out_of_order_is_refused_and_not_written(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="restore")
        before = drills.kept
        message = drills.refused("phase", phase="empty")
        assert message == "The drill went wrong: phase 'empty' does not come after 'restore'"
        assert drills.kept == before

    def test_the_fault_waits_for_a_moment_that_is_drawn_and_tells_it_then(
        self, drills: Drills, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock()
        monkeypatch.setattr(action, "time", SimpleNamespace(sleep=clock.sleep, time=clock))
        drawn: list[tuple[float, float]] = []

        def draw(_self: object, low: float, high: float) -> float:
            drawn.append((low, high))
            return 7.0

        monkeypatch.setattr("random.SystemRandom.uniform", draw)
        drills.begin()
        drills("phase", phase="precheck")
        assert clock.at == 1000.0
        drills("phase", phase="fault", within=12.0)
        assert drawn == [(0.0, 12.0)]
        assert drills.kept["fault_at"] == 1007.0

    def test_the_clock_of_a_proof_starts_at_the_order_to_restore(self, drills: Drills) -> None:
        drills.begin("", mode="prove")
        drills("phase", phase="restore")
        assert drills.kept["ordered_at"] == drills.kept["phases"][0]["at"]
        assert "fault_at" not in drills.kept


def pods(api: StubApi, *names: str) -> None:
    for name in names:
        meta = {"name": f"{name}-0", "namespace": name}
        api.put({"apiVersion": "v1", "kind": "Pod", "metadata": meta})


class TestBreak:
    """The damage through the API server."""

    def test_what_was_there_is_written_down_before_it_is_broken(
        self, drills: Drills, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pods(drills.api, *NAMES)
        uids = {name: str((drills.api.get(damage.pod_path(name)) or {})["metadata"]["uid"]) for name in NAMES}
        known: list[Object] = []
        kill = damage.BREAK["pod"]

        def spy(client: Any, component: str) -> list[str]:
            known.append(drills.kept["hit"])
            return kill(client, component)

        monkeypatch.setitem(damage.BREAK, "pod", spy)
        drills.begin("pod")
        told = drills("break", kubeconfig=drills.kubeconfig)
        assert known == [{name: {"before": uids[name]} for name in NAMES}] * 2
        assert [(one["object"], one["verb"]) for one in told["kontrol_objects"]] == [
            (f"namespaces/{name}/pods/{name}-0", "delete") for name in NAMES
        ]
        assert told["changed"]
        assert [drills.api.get(damage.pod_path(name)) for name in NAMES] == [None, None]

    def test_the_new_pods_are_known_when_it_is_compared(self, drills: Drills) -> None:
        pods(drills.api, *NAMES)
        drills.begin("pod")
        drills("break", kubeconfig=drills.kubeconfig)
        pods(drills.api, "clickhouse")
        drills("phase", phase="compare", kubeconfig=drills.kubeconfig)
        hit = drills.kept["hit"]
        new = (drills.api.get(damage.pod_path("clickhouse")) or {})["metadata"]["uid"]
        assert (hit["clickhouse"]["after"], hit["neo4j"]["after"]) == (new, "")
        assert hit["clickhouse"]["before"] not in {"", new}

    def test_a_fault_that_needs_the_cluster_is_refused_without_one(self, drills: Drills) -> None:
        drills.begin("pod")
        assert "'kubeconfig' is empty" in drills.refused("break")


class TestCanaries:
    """Writers and their follower, started and stopped."""

    def test_each_job_is_kept_before_the_next_one_is_made(self, drills: Drills) -> None:
        seen: list[tuple[str, list[str]]] = []

        def look(obj: Object) -> None:
            if obj["kind"] == "Job":
                written = [one["job"] for one in drills.kept.get("writers", [])]
                seen.append((obj["metadata"]["name"], written))

        drills.api.hooks.append(look)
        drills.begin()
        drills("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
        assert seen == [("clickhouse-canary-1", []), ("neo4j-canary-1", ["clickhouse-canary-1"])]
        assert [one["database"] for one in drills.kept["writers"]] == NAMES
        assert drills.kept["follower"] == [77, "then"]
        (orders,) = drills.orders
        assert (orders.kubeconfig, orders.folder) == (drills.kubeconfig, str(drills.runs()))
        assert [one.job for one in orders.writers] == ["clickhouse-canary-1", "neo4j-canary-1"]

    def test_one_that_cannot_be_made_leaves_the_others_known(self, drills: Drills) -> None:
        drills.api.fail("POST", "namespaces/neo4j/jobs", 403, "Forbidden")
        drills.begin()
        assert "403" in drills.refused("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
        assert [one["job"] for one in drills.kept["writers"]] == ["clickhouse-canary-1"]
        assert drills.orders == []

    def test_silent_writers_fail_and_their_follower_is_known(
        self, drills: Drills, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(folder: Path, databases: list[str]) -> None:
            assert (folder, databases) == (drills.runs(), NAMES)
            raise KontrolError("fewer than 3 canaries")

        monkeypatch.setattr(canaries, "wait_first", silent)
        drills.begin()
        assert drills.refused("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS) == "fewer than 3 canaries"
        drills("still", kubeconfig=drills.kubeconfig)
        assert drills.stopped == [(0, ""), (77, "then")]
        assert drills.deleted == ["clickhouse-canary-1", "neo4j-canary-1"]

    def test_without_a_cluster_the_writers_stay_known_and_the_follower_stops(self, drills: Drills) -> None:
        drills.begin("cluster")
        drills("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
        drills("still")
        assert drills.deleted == []
        assert len(drills.kept["writers"]) == 2
        assert drills.stopped[-1] == (77, "then")

    def test_the_follower_stops_even_where_the_cluster_refuses(self, drills: Drills) -> None:
        drills.begin()
        drills("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
        drills.api.fail("DELETE", "jobs", 403, "Forbidden")
        assert "403" in drills.refused("still", kubeconfig=drills.kubeconfig)
        assert drills.stopped[-1] == (77, "then")
        assert len(drills.kept["writers"]) == 2


def listed(age: float, problem: str = "") -> Object:
    """What backup-list answers, for each database; the newest one may have a problem."""
    now = time.time()
    return {
        name: {
            "backups": [
                {"id": f"{name}-8", "started": now - age / 2, "problem": problem or "it has no manifest"},
                {"id": f"{name}-7", "started": now - age, "problem": problem},
                {"id": f"{name}-6", "started": now - age - 500, "problem": problem},
            ]
        }
        for name in NAMES
    }


class TestNote:
    """What was found is kept before it is judged."""

    def test_what_could_not_be_proven_stops_the_drill_and_is_kept(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="precheck")
        before = {name: {"rows": 0} for name in NAMES}
        message = drills.refused("note", lists=listed(300, "no manifest"), notes={"before": before})
        assert message.startswith("The drill did not begin, nothing was broken: clickhouse has no good backup")
        assert message.count("holds no data") == 2
        assert drills.kept["before"] == before

    def test_the_newest_good_backups_are_those_that_come_back(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="precheck")
        told = drills("note", lists=listed(300), notes={"before": evidence()["before"]})
        assert told["backups"] == {name: f"{name}-7" for name in NAMES}
        assert len(drills.kept["history"]["neo4j"]) == 2

    def test_a_restore_that_told_of_nothing_stops_the_drill(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="restore")
        restored = {"clickhouse": evidence()["restored"]["clickhouse"]}
        assert drills.refused("note", notes={"restored": restored}) == "Nothing was restored of neo4j"
        assert drills.kept["restored"] == restored

    def test_passwords_are_sealed_before_and_after(self, drills: Drills) -> None:
        store = secrets.SecretStore(drills.folder, drills.world.tools)
        drills.begin()
        drills("phase", phase="precheck")
        drills("note", lists=listed(300), notes={"before": evidence()["before"]})
        drills("phase", phase="compare")
        drills("note", notes={"after": {}})
        assert drills.kept["secrets_before"] == drills.kept["secrets_after"]
        store.ensure("clickhouse/other")
        drills("note", notes={})
        assert drills.kept["secrets_before"] != drills.kept["secrets_after"]
        text = drills.file.read_text(encoding="utf-8")
        assert not [name for name, value in store.values().items() if len(value) > 8 and value in text]

    def test_what_fails_is_kept_with_its_phase(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="canaries")
        drills("failed", message="x" * 5000)
        assert drills.kept["failed"] == {"phase": "canaries", "message": "x" * action.LONGEST_FAILURE}


@pytest.fixture
def live(drills: Drills) -> Path:
    """A backup of another region."""
    folder = state.make_private_dir(paths.region_state("live") / "backups" / "data" / "bucket")
    (folder / "object").write_bytes(b"rows")
    return folder / "object"


class TestSource:
    """The backups of another region, which are read and never written."""

    def test_the_source_must_be_another_region(self, drills: Drills, live: Path) -> None:
        drills.begin("", mode="prove")
        message = drills.refused("source", **{**SOURCE, "source": "r"})
        assert message.startswith("Source and target are both 'r'")
        assert "source" not in drills.kept

    def test_it_is_read_by_keys_of_its_own_and_every_change_of_a_file_shows(self, drills: Drills, live: Path) -> None:
        drills.begin("", mode="prove")
        store = drills("source", **SOURCE)["store"]
        assert store == {
            "endpoint": f"http://{SOURCE_STORE}:7070",
            "bucket": "bucket",
            "access": drill.ACCESS_SECRET,
            "secret": drill.SECRET_SECRET,
        }
        assert {drill.ACCESS_SECRET, drill.SECRET_SECRET} <= set(
            secrets.SecretStore(drills.folder, drills.world.tools).names()
        )
        assert drills.world.tools.containers[SOURCE_STORE]["State"]["Running"]
        drills("phase", phase="compare")
        drills("note", notes={})
        assert drills.kept["source_after"] == drills.kept["source_before"]
        live.write_bytes(b"ROWS")
        drills("note", notes={})
        assert drills.kept["source_after"] != drills.kept["source_before"]

    def test_its_server_goes_when_the_drill_tidies_up(self, drills: Drills, live: Path) -> None:
        drills.begin("", mode="prove")
        drills("source", **SOURCE)
        drills("still", kubeconfig=drills.kubeconfig)
        assert SOURCE_STORE not in drills.world.tools.containers
        assert live.exists()

    def test_a_server_that_does_not_come_up_is_known_and_goes(
        self, drills: Drills, live: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(_store: backup_store.BackupStore) -> None:
            raise KontrolError("it does not answer")

        monkeypatch.setattr(backup_store.BackupStore, "wait_answering", silent)
        drills.begin("", mode="prove")
        assert drills.refused("source", **SOURCE) == "it does not answer"
        assert SOURCE_STORE in drills.world.tools.containers
        drills("still")
        assert SOURCE_STORE not in drills.world.tools.containers

    def test_the_server_of_a_killed_proof_goes_when_the_next_drill_begins(self, drills: Drills, live: Path) -> None:
        drills.begin("", mode="prove")
        drills("source", **SOURCE)
        drills.begin(run="run-2")
        assert SOURCE_STORE not in drills.world.tools.containers

    def test_the_server_of_a_killed_proof_goes_with_the_region(self, drills: Drills, live: Path) -> None:
        drills.begin("", mode="prove")
        drills("source", **SOURCE)
        gone = {"state": "absent", "private": str(drills.world.private)}
        drills.world.objects("cluster", **gone)
        with drills.world.checking():
            planned = drills.world.objects("foundation", image="gw:1", **gone)
        assert ("SourceStore r", "delete") in planned
        assert drills.world.objects("foundation", image="gw:1", **gone) == planned
        left = drills.world.play("nothing_left", private=str(drills.world.private), foundation=True)
        assert not left.get("failed"), left["msg"]
        assert live.exists()

    def test_a_source_without_backups_is_told(self, drills: Drills) -> None:
        drills.begin("", mode="prove")
        assert "on which machine is that region kept?" in drills.refused("source", **SOURCE)
        assert action.listing("live") == ""


class TestSettled:
    """A person has restored the region."""

    def test_nothing_is_left_of_a_killed_drill(self, drills: Drills) -> None:
        drills.left(phase="restore", writers=[{"database": "neo4j", "namespace": "neo4j", "job": "b"}])
        told = drills("settled", kubeconfig=drills.kubeconfig)
        assert told["kontrol_lines"][0].startswith("Settled: drill run-0 (database) was in phase restore")
        assert not drills.file.exists()
        assert drills.deleted == ["b"]

    def test_without_one_nothing_is_told(self, drills: Drills) -> None:
        assert drills("settled", kubeconfig=drills.kubeconfig)["kontrol_lines"] == []
        assert drills.api.requests == []


def until_judged(drills: Drills, fault: str) -> None:
    """Do what the role does, up to the judgement, with all as it should be."""
    found = evidence(fault)
    drills.begin(fault)
    drills("phase", phase="precheck")
    drills("note", lists=listed(300), notes={"before": found["before"], "versions": {"clickhouse": "ch:1"}})
    drills("phase", phase="canaries")
    drills("canaries", kubeconfig=drills.kubeconfig, jobs=JOBS)
    drills.write_canaries(time.time())
    drills("phase", phase="fault", within=0.0)
    if fault in damage.BREAK:
        pods(drills.api, *NAMES)
        drills("break", kubeconfig=drills.kubeconfig)
        pods(drills.api, *NAMES)
    drills("still", kubeconfig=drills.kubeconfig)
    drills("phase", phase="rebuild")
    heartbeat = drills.kept["fault_at"] - 301
    back = {name: {"missing": [], "last_seq": 0, "last_written": None, "heartbeat": heartbeat} for name in NAMES}
    if drill.FAULTS[fault].destroys:
        drills("phase", phase="empty")
        drills("note", notes={"emptied": found["emptied"]})
        drills("phase", phase="restore")
        drills("note", notes={"restored": found["restored"]})
    else:
        back = {name: {**one, "last_seq": HEARD[name].last_seq} for name, one in back.items()}
    drills("phase", phase="compare", kubeconfig=drills.kubeconfig)
    drills("note", notes={"after": found["after"], "recovered": back})
    drills("phase", phase="verify")
    journal = drills.runs() / run_record.JOURNAL
    state.append_line(journal, {"event": "checks", "checks": [{"component": "mesh"}]})
    state.append_line(journal, {"event": "phase", "phase": drill.COMPARED})
    state.append_line(journal, {"event": "checks", "checks": [{"component": name} for name in NAMES]})
    drills("phase", phase="judge")


PARTS = {fault: [*drill.parts_of("practice", fault), "judge"] for fault in drill.FAULTS}


def history(drills: Drills) -> list[Object]:
    return state.read_lines(drills.folder / drill.HISTORY)


class TestConclude:
    """The verdict, and what it leaves."""

    @pytest.mark.parametrize(("fault", "rpo"), [("database", 301.0), ("pod", 0.0)])
    def test_a_green_drill_leaves_result_history_and_page_and_no_state(
        self, drills: Drills, fault: str, rpo: float
    ) -> None:
        until_judged(drills, fault)
        answer = drills("conclude")
        result = state.read_json(drills.runs() / drill.RESULT)
        assert result is not None
        assert (result["verdict"], result["reasons"], result["proven"]) == ("green", [], True)
        assert answer["drill"] == result
        assert all(one["ok"] for one in answer["kontrol_checks"])
        assert result["rpo_seconds"] == pytest.approx(rpo, abs=2.0)
        assert result["databases"]["neo4j"]["acknowledged"] == HEARD["neo4j"].count
        assert [one["phase"] for one in result["timeline"]] == [one for one in drill.PHASES if one in PARTS[fault]]
        assert history(drills) == [drill_view.line(result)]
        assert "GREEN" in (drills.runs() / drill_view.PAGE).read_text(encoding="utf-8").upper()
        assert not drills.file.exists()

    def test_a_red_drill_after_its_fault_stays_for_the_next_one(self, drills: Drills) -> None:
        until_judged(drills, "database")
        drills("note", notes={"secrets_after": "others"})
        red = drills.play("conclude")
        assert red["failed"]
        assert red["msg"] == "The drill is red: passwords are the old ones (secret store): others than before"
        assert [one["ok"] for one in red["kontrol_checks"]].count(False) == 1
        assert red["drill"]["rpo_seconds"] is None
        assert [(one["verdict"], one["proven"]) for one in history(drills)] == [("red", False)]
        assert (drills.runs() / drill_view.PAGE).exists()
        assert drills.begin(run="run-2")["mend"] == "deploy"

    def test_a_missed_target_is_red_but_nothing_is_left_to_mend(self, drills: Drills) -> None:
        until_judged(drills, "database")
        drills("note", notes={"targets": {"rto": 600.0, "rpo": 100.0}})
        assert "RPO within its target" in drills.refused("conclude")
        assert not drills.file.exists()

    def test_a_verify_without_a_check_of_a_database_is_red(self, drills: Drills) -> None:
        until_judged(drills, "database")
        state.append_line(drills.runs() / run_record.JOURNAL, {"event": "phase", "phase": drill.COMPARED})
        assert "verify made no check of clickhouse, neo4j" in drills.refused("conclude")

    def test_one_that_failed_before_its_fault_leaves_nothing(self, drills: Drills) -> None:
        drills.begin()
        drills("phase", phase="precheck")
        drills("failed", message="no backup")
        assert drills.refused("conclude").endswith("phase precheck failed: no backup")
        assert not drills.file.exists()

    def test_one_that_failed_at_its_very_beginning_is_told(self, drills: Drills) -> None:
        drills.begin()
        drills("failed", message="the cluster is another one")
        assert drills.refused("conclude").endswith("phase begin failed: the cluster is another one")
        result = state.read_json(drills.runs() / drill.RESULT)
        assert result is not None
        assert result["timeline"] == []
        assert (drills.runs() / drill_view.PAGE).exists()

    def test_one_that_could_not_mend_what_was_left_leaves_it_to_the_next(self, drills: Drills) -> None:
        drills.left(phase="restore")
        drills.begin()
        drills("failed", message="the store is gone")
        assert drills.refused("conclude").endswith("phase begin failed: the store is gone")
        assert "its data may be gone" in drill.told(drills.kept)
        assert drills.begin(run="run-2")["mend"] == "restore"
