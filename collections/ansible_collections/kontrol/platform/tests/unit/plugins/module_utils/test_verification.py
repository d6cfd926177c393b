"""Checks of the mesh and of a database, and the Jobs that ask."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import verification as v

POD = {
    "metadata": {"name": "target-1", "namespace": "kontrol-verify"},
    "spec": {"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}]},
    "status": {"podIP": "10.0.0.5"},
}


def policy(mode: str | None = "STRICT", namespace: str = "istio-system", **spec: Any) -> dict[str, Any]:
    mtls = {"mtls": {"mode": mode}} if mode else {}
    return {"metadata": {"name": "default", "namespace": namespace}, "spec": {**mtls, **spec}}


def red(checks: list[dict[str, Any]]) -> list[str]:
    return [f"{check['target']}: {check['seen']}" for check in checks if not check["ok"]]


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([policy()], []),
        ([policy(), policy(None, "shop")], []),
        ([policy("PERMISSIVE")], ["PeerAuthentication istio-system/default: PERMISSIVE"]),
        ([policy(None)], ["PeerAuthentication istio-system/default: UNSET"]),
        ([policy(), policy("DISABLE", "shop")], ["PeerAuthentication shop/default: DISABLE"]),
        (
            [policy(), policy(None, "shop", portLevelMtls={"8123": {"mode": "PERMISSIVE"}})],
            ["PeerAuthentication shop/default: UNSET, port 8123 PERMISSIVE"],
        ),
        ([], ["PeerAuthentication of the whole mesh: there is none"]),
        (
            [policy(selector={"matchLabels": {"a": "b"}})],
            ["PeerAuthentication of the whole mesh: there is none"],
        ),
    ],
)
def test_strict_must_hold_everywhere(policies: list[dict[str, Any]], expected: list[str]) -> None:
    assert red(v.strict_checks(policies)) == expected


def test_a_sidecar_must_be_native() -> None:
    old = {**POD, "spec": {"initContainers": [{"name": "istio-init"}], "containers": [{"name": "istio-proxy"}]}}
    bare = {**POD, "spec": {}}
    assert red(v.sidecar_checks([POD])) == []
    assert red(v.sidecar_checks([old, bare])) == ["kontrol-verify/target-1: not there"] * 2
    assert red(v.sidecar_checks([])) == ["all pods: none"]


def test_the_target_is_asked_from_three_places() -> None:
    jobs = v.mesh_jobs([POD], "tools:1", 8080)
    assert [(job["namespace"], job["service_account"], job["mesh"]) for job in jobs] == [
        ("kontrol-outside", "probe", False),
        ("kontrol-verify", "stranger", True),
        ("kontrol-verify", "probe", True),
    ]
    hosts = [job["steps"][0]["endpoints"][0]["host"] for job in jobs]
    assert hosts == ["10.0.0.5", *["target.kontrol-verify.svc.cluster.local"] * 2]


def reported(outside: str = "reset", denied: str = "denied", allowed: str = "open") -> dict[str, Any]:
    places = {"outside": outside, "denied": denied, "allowed": allowed}
    return {
        f"probe-{place}": {
            "results": {"ports": {"endpoints": [{"name": "target:8080", "outcome": outcome, "status": 200}]}}
        }
        for place, outcome in places.items()
    }


def test_the_mesh_is_judged_by_its_target() -> None:
    assert red(v.mesh_checks(reported(), 8080)) == []
    assert len(red(v.mesh_checks(reported(outside="open"), 8080))) == 1
    assert len(red(v.mesh_checks(reported(denied="open"), 8080))) == 1
    assert len(red(v.mesh_checks(reported(allowed="denied"), 8080))) == 1
    assert len(red(v.mesh_checks({}, 8080))) == 3


def test_a_target_without_a_pod_cannot_be_green() -> None:
    (outside, *_) = v.mesh_jobs([], "tools:1", 8080)
    assert outside["steps"][0]["endpoints"][0]["host"].endswith(".invalid")


def test_rows() -> None:
    assert red(v.rows_checks({"ok": True, "seen": "equal"}, "db")) == []
    assert red(v.rows_checks({"ok": False, "seen": "3 of 4"}, "db")) == ["db: 3 of 4"]
    assert red(v.rows_checks(None, "db")) == ["db: no result"]


def test_logins() -> None:
    step = {
        "logins": [{"user": "admin", "outcome": "accepted", "detail": ""}, {"user": "default", "outcome": "accepted"}]
    }
    expected = {"admin": "accepted", "default": "refused", "verify": "accepted"}
    assert red(v.login_checks(step, expected, "db")) == ["db: accepted", "db: no answer"]
    assert len(red(v.login_checks(None, expected, "db"))) == 3


def test_a_job_can_differ_from_what_is_usual() -> None:
    job = v.probe_job("allowed", "tools:1", [], namespace="shop", service_account="client")
    assert (job["namespace"], job["service_account"], job["name"]) == ("shop", "client", "probe-allowed")


def test_pods_get_their_name_below_the_service() -> None:
    assert v.with_host([{"name": "db-0"}], "db.shop.svc") == [{"name": "db-0", "host": "db-0.db.shop.svc"}]
