from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.drift import NOT_APPLIED, UNKNOWN, findings, lines


def verdict(target: str, verb: str = "none", **more: Any) -> dict[str, Any]:
    return {"object": target, "verb": verb, "known": "server", **more}


def change(path: str, before: Any, after: Any, owner: str) -> dict[str, Any]:
    return {"path": path, "before": before, "after": after, "owner": owner}


@pytest.mark.parametrize(
    ("told", "what", "field", "owner"),
    [
        (verdict("Service a/b", "create"), "missing", "", UNKNOWN),
        (
            verdict("Deployment.apps a/b", "take_over", changes=[change("spec.replicas", 3, 1, "kontrol, kubectl")]),
            "differs",
            "spec.replicas",
            "kubectl",
        ),
        (
            verdict("Deployment.apps a/b", "update", changes=[change("spec.replicas", 3, 1, "kontrol")]),
            "differs",
            "spec.replicas",
            NOT_APPLIED,
        ),
        (
            verdict("BackupStore r", "update", changes=[{"path": "state", "before": "exited", "after": "running"}]),
            "differs",
            "state",
            UNKNOWN,
        ),
        (verdict("BackupStore r", "update"), "differs", "", UNKNOWN),
        (verdict("ConfigMap a/b", "prune"), "no longer declared", "", NOT_APPLIED),
        (
            verdict("Service a/b", foreign=[["kubectl-label", "metadata.labels.x", "1"]]),
            "added",
            "metadata.labels.x",
            "kubectl-label",
        ),
    ],
)
def test_each_kind_of_drift_is_told_with_who_did_it(told: dict[str, Any], what: str, field: str, owner: str) -> None:
    (found,) = findings([verdict("Namespace a"), told])
    assert (found.target, found.what, found.field, found.owner) == (told["object"], what, field, owner)


def test_the_work_of_controllers_is_no_drift() -> None:
    foreign = [
        ["kube-controller-manager", "metadata.annotations.x", "1"],
        ["pilot-discovery", "webhooks[name=a].clientConfig", "x"],
    ]
    assert findings([verdict("Deployment.apps a/b", foreign=foreign)]) == []


def test_a_field_that_differs_is_told_once() -> None:
    one = verdict(
        "Deployment.apps a/b",
        "take_over",
        changes=[change("spec.replicas", 3, 1, "kubectl")],
        foreign=[["kubectl", "spec.replicas", "3"]],
    )
    assert [found.what for found in findings([one, one])] == ["differs"]


def test_the_way_back_names_whom_to_take_back_from() -> None:
    told = [
        verdict("Service a/b", foreign=[["kubectl-label", "metadata.labels.x", "1"]]),
        verdict("Deployment.apps a/b", "take_over", changes=[change("spec.replicas", 3, 1, "kubectl")]),
        verdict("Service a/c", "create"),
    ]
    text = lines("r", findings(told))
    assert text[0] == "Region r: 3 found that are not as declared"
    assert text[-1].endswith("playbooks/bootstrap.yml -e take_back=kubectl,kubectl-label")
    assert lines("r", findings(told[2:]))[-1].endswith("playbooks/bootstrap.yml")


def test_nothing_is_told_in_one_line() -> None:
    assert lines("r", []) == ["Region r is as declared"]
