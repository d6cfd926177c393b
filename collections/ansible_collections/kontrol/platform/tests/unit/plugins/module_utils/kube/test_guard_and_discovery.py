"""The Lease is asked before writes; discovery is asked per group."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, guard, kubeconfig, objects
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery, NotServedError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

RUN = "20261125T000000Z-abcd"
MARK = [{"name": "kontrol.run", "extension": {"run": RUN, "region": "local"}}]
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "kontrol-system"}}


def lease(holder: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "kontrol-writer", "namespace": "kontrol-system"}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta,
        "spec": {"holderIdentity": holder, **spec},
    }


@pytest.fixture
def marked(api: StubApi, tmp_path: Path) -> Client:
    return Client(kubeconfig.load(api.kubeconfig(tmp_path, extensions=MARK)), sleep=lambda _s: None)


def test_the_holder_may_write(api: StubApi, marked: Client) -> None:
    now = datetime.now(UTC)
    api.put(lease(RUN, renewTime=now.isoformat().replace("+00:00", "Z"), leaseDurationSeconds=30))
    guard.check(marked)
    with pytest.raises(KontrolError, match="expired 31 s ago"):
        guard.check(marked, lambda: now + timedelta(seconds=61))


def test_without_a_mark_there_is_no_check(api: StubApi, client: Client) -> None:
    guard.check(client)
    assert api.requests == []


def test_a_missing_lease_and_another_holder(api: StubApi, marked: Client) -> None:
    with pytest.raises(KontrolError, match=f"of run '{RUN}' is gone"):
        guard.check(marked)
    api.put(lease("another"))
    with pytest.raises(KontrolError, match=f"'local' is held by run 'another', not by this run '{RUN}'; wait until"):
        guard.check(marked)


def test_the_lease_is_asked_before_each_wave(api: StubApi, marked: Client) -> None:
    api.put(lease(RUN))

    def lose(obj: dict[str, Any]) -> None:
        if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == "a":
            api.store[guard.LEASE].obj["spec"]["holderIdentity"] = "another"

    api.hooks.append(lose)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "kontrol-system"},
    }
    items = objects.prepare([copy.deepcopy(CONFIG_MAP), deployment])
    with pytest.raises(KontrolError, match="held by run 'another'"):
        apply.Applier(marked, items, apply.Options()).run()
    assert [request.path.rpartition("/")[2] for request in api.writes] == ["a"]


def test_check_mode_needs_no_lease(api: StubApi, marked: Client) -> None:
    apply.Applier(marked, objects.prepare([copy.deepcopy(CONFIG_MAP)]), apply.Options(check=True)).run()
    assert api.writes == []


class TestDiscovery:
    def test_only_needed_groups_are_asked_and_once(self, api: StubApi, client: Client) -> None:
        discovery = Discovery(client)
        discovery.prefetch(["v1", "apps/v1", "v1"])
        assert discovery.path(CONFIG_MAP) == "/api/v1/namespaces/kontrol-system/configmaps/a"
        assert discovery.resource("apps/v1", "Deployment").collection("x") == "/apis/apps/v1/namespaces/x/deployments"
        assert sorted(request.path for request in api.requests) == ["/api/v1", "/apis/apps/v1"]

    def test_a_miss_is_asked_once_more_then_remembered(self, api: StubApi, client: Client) -> None:
        discovery = Discovery(client)
        for _ in range(3):
            with pytest.raises(NotServedError, match=r"Kind 'Widget' of 'example.test/v1' is not served"):
                discovery.resource("example.test/v1", "Widget")
        assert len(api.requests) == 1
        api.kinds["example.test/v1"] = {"Widget": ("widgets", True)}
        discovery.forget()
        assert discovery.resource("example.test/v1", "Widget").plural == "widgets"

    def test_a_namespace_is_needed(self, client: Client) -> None:
        discovery = Discovery(client)
        with pytest.raises(KontrolError, match=r"ConfigMap 'a' has no namespace; write 'metadata.namespace'"):
            discovery.path({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        spaced = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "odd"}}
        assert discovery.path(spaced) == "/api/v1/namespaces/a"

    def test_preferred_version(self, api: StubApi, client: Client) -> None:
        api.kinds["example.test/v2"] = {"Other": ("others", True)}
        api.kinds["example.test/v1"] = {"Widget": ("widgets", True)}
        discovery = Discovery(client)
        assert discovery.preferred("", "Pod").api_version == "v1"
        assert discovery.preferred("example.test", "Widget").api_version == "example.test/v1"
        with pytest.raises(NotServedError, match=r"Kind 'Gone' of group 'example.test'"):
            discovery.preferred("example.test", "Gone")
        with pytest.raises(NotServedError, match=r"Kind 'X' of group 'none.test'"):
            discovery.preferred("none.test", "X")
        assert discovery.locate(ObjectId.parse("X.none.test a/b")) is None

    def test_other_errors_are_passed_on(self, api: StubApi, client: Client) -> None:
        api.fail("GET", "/apis/example.test", 403, "Forbidden", "no")
        with pytest.raises(KontrolError, match="403"):
            Discovery(client).preferred("example.test", "X")
