"""One rule per kind: when is an object ready."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.kube import ready

GROUPS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "Widget": "example.test/v1",
    "Prometheus": "monitoring.coreos.com/v1",
    "Alertmanager": "monitoring.coreos.com/v1",
}


def obj(kind: str, status: dict[str, Any], spec: dict[str, Any] | None = None, generation: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": GROUPS.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": "x", "namespace": "s", "generation": generation},
        "spec": spec or {},
        "status": status,
    }


def condition(kind: str, value: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": value, **more}]}


SEEN = {"observedGeneration": 1}
STS_OK = {
    **SEEN,
    "replicas": 3,
    "readyReplicas": 3,
    "availableReplicas": 3,
    "updatedReplicas": 3,
    "currentRevision": "b",
    "updateRevision": "b",
}
STS_NEW = {**STS_OK, "currentRevision": "a", "updatedReplicas": 2}
PARTITION = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
DEP_OK = {**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("Deployment", {"replicas": 2}, DEP_OK, "done", ""),
    ("Deployment", {"replicas": 0}, SEEN, "done", ""),
    ("Deployment", {}, {}, "waiting", "its controller has not seen it yet"),
    ("Deployment", {"replicas": 2}, {**DEP_OK, "updatedReplicas": 1}, "waiting", "1 of 2 pods are of the new version"),
    ("Deployment", {"replicas": 2}, {**DEP_OK, "replicas": 3}, "waiting", "1 pods of the old version are still there"),
    ("Deployment", {"replicas": 2}, {**DEP_OK, "availableReplicas": 0}, "waiting", "0 of 2 pods are available"),
    ("Deployment", {"paused": True, "replicas": 2}, DEP_OK, "waiting", "it is paused"),
    (
        "Deployment",
        {},
        {**SEEN, **condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="m")},
        "failed",
        "ProgressDeadlineExceeded: m",
    ),
    ("StatefulSet", {"replicas": 3}, STS_OK, "done", ""),
    ("StatefulSet", {"replicas": 3}, {}, "waiting", "its controller has not seen it yet"),
    ("StatefulSet", {"replicas": 3}, STS_NEW, "waiting", "2 of 3 pods are of the new version"),
    ("StatefulSet", {"replicas": 3}, {**STS_OK, "readyReplicas": 2}, "waiting", "2 of 3 pods are ready"),
    ("StatefulSet", {"replicas": 3}, {**STS_OK, "availableReplicas": 2}, "waiting", "pods are not available yet"),
    ("StatefulSet", {"replicas": 3}, {**STS_OK, "currentRevision": "a"}, "waiting", "revision b is still rolling out"),
    ("StatefulSet", PARTITION, STS_NEW, "done", "its partition keeps 1 pods at the old version"),
    ("StatefulSet", PARTITION, {**STS_NEW, "updatedReplicas": 1}, "waiting", "1 of 2 pods are of the new version"),
    (
        "StatefulSet",
        {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
        {**STS_NEW, "updatedReplicas": 0},
        "done",
        "its strategy is OnDelete: pods need a manual restart to be of the new version",
    ),
    ("StatefulSet", {"replicas": 3, "updateStrategy": {"type": "OnDelete"}}, STS_OK, "done", ""),
    (
        "DaemonSet",
        {},
        {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1},
        "waiting",
        "1 of 2 pods are available",
    ),
    (
        "DaemonSet",
        {"updateStrategy": {"type": "OnDelete"}},
        {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 0, "numberAvailable": 2},
        "done",
        "its strategy is OnDelete: pods need a manual restart to be of the new version",
    ),
    ("DaemonSet", {}, SEEN, "done", ""),
    ("DaemonSet", {}, {}, "waiting", "its controller has not seen it yet"),
    ("ReplicaSet", {"replicas": 1}, {**SEEN, "readyReplicas": 1}, "done", ""),
    ("ReplicaSet", {"replicas": 1}, {}, "waiting", "its controller has not seen it yet"),
    ("Job", {}, {}, "waiting", "it has not started"),
    ("Job", {}, {"active": 1, "failed": 2}, "waiting", "its pods: 1 active, 2 failed"),
    ("Job", {"suspend": True}, {}, "waiting", "it is suspended"),
    ("Job", {}, condition("Complete", "True"), "done", ""),
    ("Job", {}, condition("Failed", "True", reason="BackoffLimitExceeded"), "failed", "BackoffLimitExceeded"),
    ("Job", {}, condition("FailureTarget", "True"), "failed", "no reason given"),
    ("Pod", {}, {"phase": "Running", **condition("Ready", "True")}, "done", ""),
    ("Pod", {}, {"phase": "Running"}, "waiting", "it is running and not ready"),
    ("Pod", {}, {"phase": "Pending"}, "waiting", "its phase is Pending"),
    ("Pod", {}, {"phase": "Succeeded"}, "done", ""),
    ("Pod", {}, {"phase": "Failed", "reason": "Evicted", "message": "disk"}, "failed", "Evicted: disk"),
    ("Pod", {}, {"phase": "Failed"}, "failed", "it ended with an error"),
    ("PersistentVolumeClaim", {}, {"phase": "Bound"}, "done", ""),
    ("PersistentVolumeClaim", {}, {"phase": "Pending"}, "waiting", "its phase is Pending"),
    ("PersistentVolumeClaim", {}, {"phase": "Lost"}, "failed", "its volume is lost"),
    ("Namespace", {}, {"phase": "Active"}, "done", ""),
    ("Namespace", {}, {"phase": "Terminating"}, "waiting", "its phase is Terminating"),
    ("CustomResourceDefinition", {}, condition("Established", "True"), "done", ""),
    ("CustomResourceDefinition", {}, {}, "waiting", "it is not established"),
    ("CustomResourceDefinition", {}, condition("NamesAccepted", "False", reason="Taken"), "failed", "Taken"),
    ("APIService", {}, condition("Available", "False", reason="R", message="m"), "waiting", "Available is False: R: m"),
    ("APIService", {}, {}, "waiting", "Available is not set: no reason given"),
    ("Node", {}, condition("Ready", "True"), "done", ""),
    ("ConfigMap", {}, {}, "done", ""),
    ("Widget", {}, {}, "done", ""),
    ("Widget", {}, condition("Ready", "True"), "done", ""),
    ("Widget", {}, condition("Ready", "False", reason="Starting"), "waiting", "Ready is False: Starting"),
]


@pytest.mark.parametrize(("kind", "spec", "status", "state", "text"), CASES)
def test_rules(kind: str, spec: dict[str, Any], status: dict[str, Any], state: str, text: str) -> None:
    assert ready.judge(obj(kind, status, spec)) == (state, text)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
def test_an_old_status_does_not_count(kind: str) -> None:
    verdict = ready.judge(obj(kind, {**STS_OK, **DEP_OK, "numberAvailable": 3}, {"replicas": 2}, generation=2))
    assert verdict == ("waiting", "its controller lags: it has seen generation 1 of 2")


def test_a_leftover_ready_does_not_count() -> None:
    """B11 and B12: wait for the controller, but believe one that never sets observedGeneration."""
    stale = obj("Widget", {**SEEN, **condition("Ready", "True")}, generation=3)
    assert ready.judge(stale) == ("waiting", "its controller lags: it has seen generation 1 of 3")
    inside = obj("Widget", condition("Ready", "True", observedGeneration=1), generation=3)
    assert ready.judge(inside) == ("waiting", "its controller lags: its Ready is about generation 1 of 3")
    silent = obj("Widget", condition("Ready", "True"), generation=3)
    assert ready.judge(silent) == ("done", "")


@pytest.mark.parametrize(
    ("path", "value", "state"),
    [
        ("status.phase", "Bound", "done"),
        ("status.phase", "Lost", "waiting"),
        ("status.phase", None, "done"),
        ("status.ready", "true", "done"),
        ("status.count", "3", "done"),
        ("status.missing", None, "waiting"),
        ("status.missing", "x", "waiting"),
    ],
)
def test_fields(path: str, value: str | None, state: str) -> None:
    """B13."""
    claim = obj("PersistentVolumeClaim", {"phase": "Bound", "ready": True, "count": 3})
    assert ready.judge_field(claim, path, value).state == state


def test_a_waiting_field_says_what_it_is() -> None:
    claim = obj("PersistentVolumeClaim", {"phase": "Lost"})
    assert ready.judge_field(claim, "status.phase", "Bound").text == "status.phase is 'Lost', wanted is 'Bound'"
    assert ready.judge_field(claim, "status.x", None).text == "status.x is absent, wanted is a value"


def operated(generation: int = 2, **change: Any) -> dict[str, Any]:
    told = [{"type": kind, "status": "True", "observedGeneration": generation} for kind in ("Reconciled", "Available")]
    return {"conditions": told, "updatedReplicas": 1, "unavailableReplicas": 0, **change}


@pytest.mark.parametrize("kind", ["Prometheus", "Alertmanager"])
def test_what_an_operator_runs_is_ready_when_its_pods_are_of_the_newest_spec(kind: str) -> None:
    assert ready.judge(obj(kind, operated(), generation=2)).state == ready.DONE


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "has not yet told Reconciled of generation 2"),
        (operated(generation=1), "has not yet told Reconciled of generation 2"),
        (operated(updatedReplicas=0), "0 of 1 pods are of the new version"),
        (operated(unavailableReplicas=1), "1 pods are not available"),
        (
            operated(
                conditions=[
                    {"type": "Reconciled", "status": "True", "observedGeneration": 2},
                    {"type": "Available", "status": "False", "observedGeneration": 2, "reason": "NoPodReady"},
                ]
            ),
            "Available is False: NoPodReady",
        ),
    ],
)
def test_what_an_operator_still_rolls_is_waited_for(status: dict[str, Any], words: str) -> None:
    verdict = ready.judge(obj("Prometheus", status, generation=2))
    assert (verdict.state, words in verdict.text) == (ready.WAITING, True)
