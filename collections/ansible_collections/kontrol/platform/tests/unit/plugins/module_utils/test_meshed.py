"""What verify knows of the pods of the mesh."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import meshed

SIDECAR = {"name": "istio-proxy", "restartPolicy": "Always", "image": "proxy:1", "ports": [{"containerPort": 15090}]}


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "db-0", "namespace": "shop", "labels": {"app": "db"}},
        "spec": {
            "hostname": "db-0",
            "subdomain": "db-pods",
            "initContainers": [{"name": "istio-init"}, SIDECAR],
            "containers": [{"name": "db", "ports": [{"name": "http", "containerPort": 8123}]}],
            **spec,
        },
        "status": {
            "podIP": "10.0.0.9",
            "phase": "Running",
            "initContainerStatuses": [{"name": "istio-proxy", "ready": True}],
            "containerStatuses": [{"name": "db", "ready": True}],
        },
    }


def service(service_name: str, cluster_ip: str, **port: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": service_name, "namespace": "shop"},
        "spec": {"clusterIP": cluster_ip, "selector": {"app": "db"}, "ports": [{"port": 80, **port}]},
    }


def test_a_pod_is_of_the_mesh_by_its_native_sidecar() -> None:
    assert meshed.is_meshed(pod())
    assert not meshed.is_meshed(pod(initContainers=[{"name": "istio-init"}]))
    assert not meshed.is_meshed(pod(initContainers=[{"name": "istio-proxy"}]))


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"name": "x", "namespace": "shop", "ownerReferences": [{"kind": "Job"}]}},
        {"metadata": {"name": "x", "namespace": "shop", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"status": {"phase": "Succeeded"}},
    ],
)
def test_jobs_and_what_goes_away_are_not_looked_at(change: dict[str, Any]) -> None:
    assert not meshed.is_meshed({**pod(), **change})


def test_an_old_sidecar_is_found() -> None:
    assert meshed.lacks_sidecar(pod(initContainers=[], containers=[{"name": "istio-proxy"}]))
    assert not meshed.lacks_sidecar(pod())
    assert not meshed.lacks_sidecar(pod(initContainers=[]))


def test_the_ports_of_the_sidecar_are_not_declared_by_the_pod() -> None:
    assert meshed.describe(pod(), [8123], [])["declared"] == [8123]


def test_a_headless_service_gives_the_pod_its_own_name() -> None:
    both = [service("db-pods", "None", port=8123, targetPort="http"), service("db", "10.1.1.1", targetPort="http")]
    name = meshed.describe(pod(), [8123], both)["names"]["8123"]
    assert (name["host"], name["port"]) == ("db-0.db-pods.shop.svc.cluster.local", 8123)


def test_without_one_it_is_reached_by_the_service() -> None:
    (name,) = meshed.describe(pod(), [], [service("db", "10.1.1.1", targetPort=8123, name="http-x")])["names"].values()
    assert name == {"host": "db.shop.svc.cluster.local", "port": 80, "protocol": "http"}


def test_a_service_that_selects_other_pods_or_none_gives_no_name() -> None:
    other, none = service("a", "10.1.1.1", targetPort=8123), service("b", "10.1.1.2", targetPort=8123)
    other["spec"]["selector"] = {"app": "web"}
    none["spec"]["selector"] = None
    assert meshed.describe(pod(), [], [other, none])["names"] == {}


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http-metrics"}, "http"),
        ({"appProtocol": "grpc", "name": "x"}, "http"),
        ({"name": "tcp-bolt"}, "tcp"),
        ({"name": "bolt"}, "tcp"),
        ({"appProtocol": "tcp", "name": "http"}, "tcp"),
    ],
)
def test_the_protocol_is_what_a_sidecar_takes_it_for(port: dict[str, Any], protocol: str) -> None:
    found = meshed.describe(pod(), [], [service("db", "10.1.1.1", targetPort=8123, **port)])["names"]["8123"]
    assert found["protocol"] == protocol


def test_what_is_not_ready_has_its_reason() -> None:
    one = pod()
    one["status"]["containerStatuses"] = [
        {"name": "db", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ]
    one["spec"]["containers"].append({"name": "probe"})
    one["status"]["initContainerStatuses"][0] = {"name": "istio-proxy", "ready": False, "state": {"running": {}}}
    assert meshed.describe(one, [], [])["unready"] == [
        "db: CrashLoopBackOff",
        "probe: not started",
        "istio-proxy: running, but its readiness probe fails",
    ]


def test_a_container_that_ended_tells_its_exit_code() -> None:
    one = pod()
    one["status"]["containerStatuses"][0] |= {
        "ready": False,
        "state": {"terminated": {"reason": "Error", "exitCode": 3}},
    }
    assert meshed.describe(one, [], [])["unready"] == ["db: Error (exit code 3)"]
