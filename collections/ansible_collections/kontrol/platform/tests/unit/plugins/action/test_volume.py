"""Volumes grow where they can, nothing is written where they cannot, and a killed run is finished by the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.kontrol.platform.plugins.action import apply, volume
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

Run = Callable[..., dict[str, Any]]
SET = "/apis/apps/v1/namespaces/db/statefulsets/db"
CLAIM = "/api/v1/namespaces/db/persistentvolumeclaims/data-db-0"
ID = "StatefulSet.apps db/db"


def stateful_set(size: str) -> dict[str, Any]:
    template = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": size}}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "db"},
        "spec": {"replicas": 1, "volumeClaimTemplates": [template]},
    }


@pytest.fixture
def api() -> Iterator[StubApi]:
    with StubApi() as server:
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "db"}})
        for name, able in (("grows", True), ("fixed", False)):
            metadata = {"name": name}
            server.put(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": metadata,
                    "allowVolumeExpansion": able,
                }
            )
        yield server


def there(api: StubApi, size: str = "10Gi", storage_class: str = "grows") -> None:
    """Put a StatefulSet and its claim, and a claim of somebody else."""
    api.put(stateful_set(size))
    for name in ("data-db-0", "data-db-web-0"):
        spec = {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}}
        metadata = {"name": name, "namespace": "db"}
        api.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})


@pytest.fixture
def run(api: StubApi, tmp_path: Path) -> Run:
    kubeconfig = api.kubeconfig(tmp_path)
    args = {
        "kubeconfig": kubeconfig,
        "namespace": "db",
        "stateful_set": "db",
        "template": "data",
        "option": "db.storage",
        "timeout": 1,
    }

    def one(check: bool = False, plugin: Any = volume, **more: Any) -> dict[str, Any]:
        given = {"kubeconfig": kubeconfig, **more} if plugin is apply else {**args, **more}
        task = SimpleNamespace(args=given, check_mode=check, diff=False, async_val=0, action="kontrol.platform.volume")
        loader = DataLoader()
        action = plugin.ActionModule(
            task=task,
            connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)),
            play_context=SimpleNamespace(),
            loader=loader,
            templar=Templar(loader=loader),
            shared_loader_obj=None,
        )
        found: dict[str, Any] = action.run(task_vars={})
        return found

    return one


def size_of(api: StubApi) -> str:
    claim = api.get(CLAIM)
    assert claim is not None
    return str(claim["spec"]["resources"]["requests"]["storage"])


def verbs(result: dict[str, Any]) -> dict[str, str]:
    return {one["object"]: one["verb"] for one in result["kontrol_objects"]}


def test_the_same_size_is_nothing_to_do(run: Run, api: StubApi) -> None:
    there(api)
    result = run(size="10240Mi")
    assert (result["changed"], result["recreated"]) == (False, [])
    assert verbs(result) == {"PersistentVolumeClaim db/data-db-0": "none"}
    assert api.writes == []


def test_where_there_is_nothing_there_is_nothing_to_do(run: Run, api: StubApi) -> None:
    assert run(size="10Gi")["changed"] is False
    assert run(check=True, size="10Gi", kubeconfig="")["changed"] is False
    assert api.writes == []


def test_a_larger_size_grows_the_claim_and_takes_the_set_from_its_pods(run: Run, api: StubApi) -> None:
    there(api)
    result = run(size="20Gi")
    assert result["changed"] is True
    assert verbs(result) == {"PersistentVolumeClaim db/data-db-0": "update", ID: "delete"}
    assert result["recreated"] == [ID]
    assert size_of(api) == "20Gi"
    assert api.get(SET) is None
    patch, delete = api.writes
    assert (patch.method, patch.path) == ("PATCH", CLAIM)
    assert (delete.method, delete.body["propagationPolicy"]) == ("DELETE", "Orphan")


def test_what_an_operator_makes_is_left_to_it(run: Run, api: StubApi) -> None:
    there(api)
    assert verbs(run(size="20Gi", recreate=False)) == {"PersistentVolumeClaim db/data-db-0": "update"}
    assert size_of(api) == "20Gi"
    assert api.get(SET) is not None


def test_check_tells_it_and_writes_nothing(run: Run, api: StubApi) -> None:
    there(api)
    check = run(check=True, size="20Gi")
    assert api.writes == []
    assert verbs(check) == verbs(run(size="20Gi"))


def test_killed_after_the_claims_the_next_run_does_the_rest(run: Run, api: StubApi) -> None:
    there(api)
    api.fail("DELETE", SET, 500)
    assert run(size="20Gi")["failed"] is True
    assert size_of(api) == "20Gi"
    again = run(size="20Gi")
    assert verbs(again) == {"PersistentVolumeClaim db/data-db-0": "none", ID: "delete"}
    assert api.get(SET) is None
    assert run(size="20Gi")["changed"] is False  # killed before the apply: the set is made by it


def test_a_set_that_does_not_go_is_an_error(run: Run, api: StubApi) -> None:
    there(api)
    held = stateful_set("10Gi")
    held["metadata"]["finalizers"] = ["orphan"]
    api.put(held)
    result = run(size="20Gi")
    assert result["failed"] is True
    assert "'db' was not gone after 1 s, held by orphan; run again" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("size", "storage_class", "text"),
    [
        ("5Gi", "grows", "'db/data-db-0' has 10Gi, and db.storage '5Gi' is less"),
        ("20Gi", "fixed", "its storage class 'fixed' does not allow it"),
        ("20Gi", "gone", "its storage class 'gone' does not allow it"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_way_out(
    run: Run, api: StubApi, size: str, storage_class: str, text: str, check: bool
) -> None:
    there(api, storage_class=storage_class)
    result = run(check=check, size=size)
    assert result["failed"] is True
    assert text in result["msg"]
    assert "make a backup" in result["msg"]
    assert api.writes == []


def test_check_of_the_apply_after_it_takes_the_set_for_gone(run: Run, api: StubApi) -> None:
    there(api)
    wanted = stateful_set("20Gi")
    api.fail("PATCH", SET, 422, "Invalid", "updates to statefulset spec for other fields are forbidden", times=9)
    assert "cannot be changed in place" in run(check=True, plugin=apply, definitions=[wanted])["msg"]
    judged = run(check=True, plugin=apply, definitions=[wanted], recreated=[ID])
    (told,) = judged["kontrol_objects"]
    assert (told["object"], told["verb"], told["known"]) == (ID, "create", "rendered")
    assert run(plugin=apply, definitions=[wanted], recreated=[ID])["failed"] is True  # for real the server is asked
