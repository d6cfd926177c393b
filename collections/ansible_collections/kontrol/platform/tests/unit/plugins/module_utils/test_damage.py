from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import damage
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi


@pytest.fixture
def api() -> Iterator[StubApi]:
    with StubApi() as stub:
        stub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clickhouse"}})
        for kind, name in (("Pod", "clickhouse-0"), ("PersistentVolumeClaim", "data-clickhouse-0")):
            stub.put({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "clickhouse"}})
        yield stub


@pytest.fixture
def client(api: StubApi, tmp_path: Path) -> Iterator[Client]:
    with session.connected(api.kubeconfig(tmp_path)) as one:
        yield one


def test_a_pod_is_killed_and_told(api: StubApi, client: Client) -> None:
    assert damage.uid(client, damage.pod_path("clickhouse"))
    assert damage.pod(client, "clickhouse") == ["namespaces/clickhouse/pods/clickhouse-0"]
    assert api.get(damage.pod_path("clickhouse")) is None
    assert damage.pod(client, "clickhouse") == []
    assert damage.uid(client, damage.pod_path("clickhouse")) == ""


def test_a_volume_goes_with_its_pod(api: StubApi, client: Client) -> None:
    hit = damage.volume(client, "clickhouse")
    assert hit == [
        "namespaces/clickhouse/persistentvolumeclaims/data-clickhouse-0",
        "namespaces/clickhouse/pods/clickhouse-0",
    ]
    assert api.get(damage.volume_path("clickhouse")) is None


def test_a_namespace_that_stays_is_an_error(api: StubApi, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "GONE_SECONDS", 0.0)
    monkeypatch.setattr(damage, "_delete", lambda client, path: [path])
    with pytest.raises(KontrolError, match="namespace 'clickhouse' is still there"):
        damage.namespace(client, "clickhouse")
    assert api.get("/api/v1/namespaces/clickhouse") is not None


def test_a_namespace_goes(api: StubApi, client: Client) -> None:
    assert damage.namespace(client, "clickhouse") == ["namespaces/clickhouse"]
    assert api.get("/api/v1/namespaces/clickhouse") is None


def test_a_refusal_is_not_taken_for_damage(api: StubApi, client: Client) -> None:
    api.fail("DELETE", damage.pod_path("clickhouse"), 403, "Forbidden")
    with pytest.raises(KontrolError, match="403"):
        damage.pod(client, "clickhouse")


def test_a_new_pod_that_took_hold_of_the_old_volume_goes_too(
    api: StubApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = {"name": "data-clickhouse-0", "namespace": "clickhouse", "finalizers": ["kubernetes.io/pvc-protection"]}
    api.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta})
    looks: list[bool] = []

    def pause(_seconds: float) -> None:
        looks.append(api.get(damage.pod_path("clickhouse")) is None)
        if len(looks) == 1:
            api.put(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "clickhouse-0", "namespace": "clickhouse"}}
            )
        else:
            api.remove(damage.volume_path("clickhouse"))

    monkeypatch.setattr(damage, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    assert len(damage.volume(client, "clickhouse")) == 2
    assert looks == [True, True]
    assert api.get(damage.volume_path("clickhouse")) is None
