"""When is an object ready: one rule per kind, judged on the object alone.

A status counts only when its controller has seen the newest spec (observedGeneration); a controller that never sets
that field is believed without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ansible_collections.kontrol.platform.plugins.module_utils.kube import fields
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import CRD, Object, ObjectId

DONE: Final = "done"
WAITING: Final = "waiting"
FAILED: Final = "failed"


class Verdict(NamedTuple):
    """What a rule says of an object.

    Attributes:
        state: `done`, `waiting`, or `failed` when waiting longer cannot help.
        text: How far it is, or why it failed; for `done` a note that a person should read, often empty.
    """

    state: str
    text: str = ""


MISSING = Verdict(WAITING, "it is not there")
Rule = Callable[[Object], Verdict]


def judge(obj: Object) -> Verdict:
    """Return whether an object is ready, by the rule of its kind."""
    return _RULES.get(ObjectId.of(obj).type, _generic)(obj)


def judge_field(obj: Object, path: str, value: str | None) -> Verdict:
    """Return whether a field has a value, or any value when none is asked for."""
    seen = fields.lookup(obj, fields.parse(path))
    text = str(seen).lower() if isinstance(seen, bool) else str(seen)
    if seen is not None and (value is None or text == value):
        return Verdict(DONE)
    wanted = "a value" if value is None else f"'{value}'"
    return Verdict(WAITING, f"{path} is {'absent' if seen is None else repr(text)}, wanted is {wanted}")


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _condition(obj: Object, kind: str) -> Object:
    for condition in _status(obj).get("conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def _why(condition: Object) -> str:
    return ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key)) or "no reason given"


def _lag(obj: Object) -> str | None:
    """Say so when the controller has not yet seen the newest spec."""
    seen, newest = _status(obj).get("observedGeneration"), obj["metadata"].get("generation")
    if seen is None or newest is None or seen >= newest:
        return None
    return f"its controller lags: it has seen generation {seen} of {newest}"


def _count(status: Object, key: str) -> int:
    return int(status.get(key) or 0)


def _steps(*steps: tuple[bool, str]) -> Verdict:
    """Return the first step that is not done."""
    return next((Verdict(WAITING, text) for done, text in steps if not done), Verdict(DONE))


def _unseen(obj: Object) -> Verdict | None:
    """A workload's controller always sets observedGeneration: until it does, nothing in the status is true."""
    if _status(obj).get("observedGeneration") is None:
        return Verdict(WAITING, "its controller has not seen it yet")
    lag = _lag(obj)
    return Verdict(WAITING, lag) if lag else None


def _deployment(obj: Object) -> Verdict:
    if early := _unseen(obj):
        return early
    progressing = _condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Verdict(FAILED, _why(progressing))
    status, wanted = _status(obj), int(obj["spec"].get("replicas", 1))
    updated, available = _count(status, "updatedReplicas"), _count(status, "availableReplicas")
    old = _count(status, "replicas") - updated
    return _steps(
        (not obj["spec"].get("paused"), "it is paused"),
        (updated >= wanted, f"{updated} of {wanted} pods are of the new version"),
        (old <= 0, f"{old} pods of the old version are still there"),
        (available >= updated, f"{available} of {wanted} pods are available"),
    )


def _stateful_set(obj: Object) -> Verdict:
    if early := _unseen(obj):
        return early
    spec, status = obj["spec"], _status(obj)
    strategy, wanted = spec.get("updateStrategy") or {}, int(spec.get("replicas", 1))
    updated, ready = _count(status, "updatedReplicas"), _count(status, "readyReplicas")
    current = status.get("currentRevision") == status.get("updateRevision")
    if strategy.get("type") == "OnDelete":
        verdict = _steps((ready >= wanted, f"{ready} of {wanted} pods are ready"))
        old = not current and updated < wanted and verdict.state == DONE
        return (
            Verdict(DONE, "its strategy is OnDelete: pods need a manual restart to be of the new version")
            if old
            else verdict
        )
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    target = max(0, wanted - partition)
    verdict = _steps(
        (updated >= target or current, f"{updated} of {target} pods are of the new version"),
        (ready >= wanted, f"{ready} of {wanted} pods are ready"),
        (
            _count(status, "availableReplicas") >= wanted or "availableReplicas" not in status,
            "pods are not available yet",
        ),
        (current or partition > 0, f"revision {status.get('updateRevision')} is still rolling out"),
    )
    if verdict.state == DONE and partition and not current:
        return Verdict(DONE, f"its partition keeps {min(partition, wanted)} pods at the old version")
    return verdict


def _daemon_set(obj: Object) -> Verdict:
    if early := _unseen(obj):
        return early
    status = _status(obj)
    wanted, available = _count(status, "desiredNumberScheduled"), _count(status, "numberAvailable")
    updated = _count(status, "updatedNumberScheduled")
    manual = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    verdict = _steps(
        (manual or updated >= wanted, f"{updated} of {wanted} pods are of the new version"),
        (available >= wanted, f"{available} of {wanted} pods are available"),
    )
    if verdict.state == DONE and manual and updated < wanted:
        return Verdict(DONE, "its strategy is OnDelete: pods need a manual restart to be of the new version")
    return verdict


def _replica_set(obj: Object) -> Verdict:
    if early := _unseen(obj):
        return early
    wanted, ready = int(obj["spec"].get("replicas", 1)), _count(_status(obj), "readyReplicas")
    return _steps((ready >= wanted, f"{ready} of {wanted} pods are ready"))


def _job(obj: Object) -> Verdict:
    for kind in ("Failed", "FailureTarget"):
        condition = _condition(obj, kind)
        if condition.get("status") == "True":
            return Verdict(FAILED, _why(condition))
    if _condition(obj, "Complete").get("status") == "True":
        return Verdict(DONE)
    if obj["spec"].get("suspend"):
        return Verdict(WAITING, "it is suspended")
    status = _status(obj)
    counts = [f"{_count(status, key)} {key}" for key in ("active", "succeeded", "failed") if status.get(key)]
    return Verdict(WAITING, f"its pods: {', '.join(counts)}" if counts else "it has not started")


def _pod(obj: Object) -> Verdict:
    phase = _status(obj).get("phase")
    if phase == "Succeeded":
        return Verdict(DONE)
    if phase == "Failed":
        why = [_status(obj).get("reason"), _status(obj).get("message")]
        return Verdict(FAILED, ": ".join(str(part) for part in why if part) or "it ended with an error")
    ready = _condition(obj, "Ready").get("status") == "True"
    return _steps((phase == "Running", f"its phase is {phase}"), (ready, "it is running and not ready"))


def _claim(obj: Object) -> Verdict:
    phase = _status(obj).get("phase")
    if phase == "Lost":
        return Verdict(FAILED, "its volume is lost")
    return _steps((phase == "Bound", f"its phase is {phase}"))


def _namespace(obj: Object) -> Verdict:
    phase = _status(obj).get("phase")
    return _steps((phase == "Active", f"its phase is {phase}"))


def _crd(obj: Object) -> Verdict:
    names = _condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Verdict(FAILED, _why(names))
    return _steps((_condition(obj, "Established").get("status") == "True", "it is not established"))


def _needs(kind: str) -> Rule:
    """Return a rule: one condition must be True."""

    def rule(obj: Object) -> Verdict:
        condition = _condition(obj, kind)
        if condition.get("status") == "True":
            return Verdict(DONE)
        return Verdict(WAITING, f"{kind} is {condition.get('status', 'not set')}: {_why(condition)}")

    return rule


def _operated(obj: Object) -> Verdict:
    """Prometheus and Alertmanager: their operator has acted on the newest spec, and every pod is of it and available.

    Source: the status that the Prometheus operator writes (conditions Reconciled and Available with a generation each).
    """
    newest, status = int(obj["metadata"].get("generation") or 0), _status(obj)
    for kind in ("Reconciled", "Available"):
        condition = _condition(obj, kind)
        if int(condition.get("observedGeneration") or 0) < newest:
            return Verdict(WAITING, f"its operator has not yet told {kind} of generation {newest}")
        if condition.get("status") != "True":
            return Verdict(WAITING, f"{kind} is {condition.get('status')}: {_why(condition)}")
    wanted = int(obj["spec"].get("replicas", 1))
    updated, missing = _count(status, "updatedReplicas"), _count(status, "unavailableReplicas")
    return _steps(
        (updated >= wanted, f"{updated} of {wanted} pods are of the new version"),
        (missing <= 0, f"{missing} pods are not available"),
    )


def _generic(obj: Object) -> Verdict:
    """Any other kind: Ready must be True where there is such a condition; else to be there is enough."""
    condition = _condition(obj, "Ready")
    if not condition:
        return Verdict(DONE)
    if lag := _lag(obj):
        return Verdict(WAITING, lag)
    seen, newest = condition.get("observedGeneration"), obj["metadata"].get("generation")
    if seen is not None and newest is not None and seen < newest:
        return Verdict(WAITING, f"its controller lags: its Ready is about generation {seen} of {newest}")
    return _needs("Ready")(obj)


_RULES: dict[str, Rule] = {
    "Deployment.apps": _deployment,
    "StatefulSet.apps": _stateful_set,
    "DaemonSet.apps": _daemon_set,
    "ReplicaSet.apps": _replica_set,
    "Job.batch": _job,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Namespace": _namespace,
    CRD: _crd,
    "APIService.apiregistration.k8s.io": _needs("Available"),
    "Node": _needs("Ready"),
    "Prometheus.monitoring.coreos.com": _operated,
    "Alertmanager.monitoring.coreos.com": _operated,
}
