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
    bare = {**POD, "spec": {"containers": [{"name": "main"}]}}
    assert v.old_sidecar_checks([POD, bare]) == []
    assert red(v.old_sidecar_checks([POD, old])) == ["kontrol-verify/target-1: not there"]


def meshed(**more: Any) -> dict[str, Any]:
    usual = {"name": "shop/db-0", "namespace": "shop", "ip": "10.0.0.5", "ports": [8080], "declared": [8080]}
    names = {"8080": {"host": "db.shop", "port": 8080, "protocol": "http"}}
    return {**usual, "names": names, "proxy": "proxy:1.2@sha256:a", "containers": 2, "unready": [], **more}


def test_strangers_ask_from_outside_and_from_inside() -> None:
    outside, inside = v.stranger_jobs([meshed()], "tools:1")
    assert (outside["namespace"], outside["mesh"], outside["service_account"]) == ("kontrol-outside", False, "probe")
    assert (inside["namespace"], inside.get("mesh", True), inside["service_account"]) == (
        "kontrol-verify",
        True,
        "stranger",
    )
    assert [job["steps"][0]["endpoints"][0]["host"] for job in (outside, inside)] == ["10.0.0.5", "db.shop"]


def reported(outcome: str) -> dict[str, Any]:
    return {"ports": {"endpoints": [{"name": "shop/db-0:8080", "outcome": outcome, "status": 200}]}}


def test_the_answers_of_strangers_are_judged_by_place() -> None:
    answers = {"probe-outside": reported("reset"), "probe-denied": reported("denied")}
    assert red(v.matrix_checks(answers, [meshed()])) == []
    assert len(red(v.matrix_checks({**answers, "probe-denied": reported("open")}, [meshed()]))) == 1
    assert len(red(v.matrix_checks({**answers, "probe-outside": {}}, [meshed()]))) == 1
    assert len(red(v.matrix_checks({}, [meshed()]))) == 2


def test_a_component_s_client_is_asked_about_its_own_pods_only() -> None:
    pods, opened = [meshed(), meshed(name="other/x", namespace="other")], [{"port": 8080, "path": "/"}]
    assert [one["name"] for one in v.open_endpoints(pods, "shop", opened)] == ["shop/db-0:8080"]
    assert red(v.open_checks(reported("open"), pods, "shop", opened)) == []
    assert len(red(v.open_checks({}, pods, "shop", opened))) == 1
    assert len(red(v.open_checks(None, pods, "nowhere", opened))) == 1


def test_every_container_must_be_ready_and_every_sidecar_of_the_version() -> None:
    same = "proxy:1.2@sha256:a"
    assert red(v.pod_checks([meshed()], same)) == []
    assert red(v.pod_checks([meshed(unready=["db: CrashLoopBackOff"])], same)) == ["shop/db-0: db: CrashLoopBackOff"]
    assert red(v.pod_checks([meshed(proxy="proxy:1.1@sha256:b")], same)) == ["shop/db-0: 1.1; restart the pod"]


def test_a_job_with_a_sidecar_must_end_by_itself() -> None:
    assert red(v.ended_checks({"probe": "Complete"}, "probe")) == []
    assert red(v.ended_checks({"probe": "Failed"}, "probe")) == ["probe: Failed"]
    assert red(v.ended_checks({}, "probe")) == ["probe: no end was seen"]


def test_rows() -> None:
    assert red(v.rows_checks({"ok": True, "seen": "equal"}, "db")) == []
    assert red(v.rows_checks({"ok": False, "seen": "3 of 4"}, "db")) == ["db: 3 of 4"]
    assert red(v.rows_checks(None, "db")) == ["db: no result"]


def test_a_schema_that_nobody_looked_at_is_red() -> None:
    assert red(v.schema_checks({"ok": True, "seen": "3 files"}, "db")) == []
    assert red(v.schema_checks({"ok": False, "seen": "database 'a' is not there"}, "db")) == [
        "db: database 'a' is not there"
    ]
    assert red(v.schema_checks(None, "db")) == ["db: no result"]


def test_logins() -> None:
    step = {
        "logins": [{"user": "admin", "outcome": "accepted", "detail": ""}, {"user": "default", "outcome": "accepted"}]
    }
    expected = {"admin": "accepted", "default": "refused", "verify": "accepted"}
    assert red(v.login_checks(step, expected, "db")) == ["db: accepted", "db: no answer"]
    assert len(red(v.login_checks(None, expected, "db"))) == 3


def test_a_schedule_is_there_as_declared_and_not_suspended() -> None:
    def job(schedule: str = "0 3 * * *", *, suspend: bool = False) -> list[dict[str, Any]]:
        return [{"spec": {"schedule": schedule, "suspend": suspend}}]

    assert [one["ok"] for one in v.schedule_checks(job(), "0 3 * * *", "db")] == [True]
    assert red(v.schedule_checks(job(suspend=True), "0 3 * * *", "db")) == ["db: 0 3 * * *, suspended"]
    assert red(v.schedule_checks(job("1 4 * * *"), "0 3 * * *", "db")) == ["db: 1 4 * * *"]
    assert red(v.schedule_checks([], "0 3 * * *", "db")) == ["db: no CronJob"]
    assert v.schedule_checks(job(), "", "db") == []
