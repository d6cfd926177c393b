from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import parse
from ansible_collections.kontrol.platform.plugins.module_utils.kube.foreign import additions, claimed, removal, without


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    labels = {"a": "1", "k.io/b": "2"}
    metadata = {"name": "x", "labels": labels, "managedFields": list(entries)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"paused": True, "ports": [{"port": 1}]},
    }


def entry(manager: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


LABELS: dict[str, Any] = {"f:metadata": {"f:labels": {".": {}, "f:a": {}, "f:k.io/b": {}}}}
OURS = entry("kontrol", {"f:metadata": {"f:labels": {"f:a": {}}}}, operation="Apply")
HAND = entry("kubectl-label", LABELS)
STATUS = entry("kubelet", {"f:status": {"f:phase": {}}}, subresource="status")
PORTS = entry(
    "kubectl-edit", {"f:spec": {"f:paused": {}, "f:ports": {'k:{"port":1,"protocol":"TCP"}': {"f:name": {}}}}}
)


def test_fields_of_others_are_found_with_who_set_them() -> None:
    assert claimed(live(OURS, HAND, STATUS, PORTS)) == [
        ("kubectl-label", "metadata.labels.a", "1"),
        ("kubectl-label", 'metadata.labels["k.io/b"]', "2"),
        ("kubectl-edit", "spec.paused", "True"),
        ("kubectl-edit", "spec.ports[port=1].name", "None"),
    ]


def test_every_path_that_is_told_can_be_read() -> None:
    odd = entry("m", {"f:spec": {"f:finalizers": {'v:"a"': {}, "i:3": {}}}})
    for _manager, path, _value in claimed(live(HAND, PORTS, odd)):
        assert parse(path)
    assert additions(live(odd), {"m"}) == []


@pytest.mark.parametrize(
    ("managers", "expected"),
    [
        ({"kubectl-label"}, ['metadata.labels["k.io/b"]']),
        ({"kubectl-edit"}, ["spec.paused"]),
        ({"somebody"}, []),
        (set(), []),
    ],
)
def test_only_what_was_added_beside_our_fields_is_taken_away(managers: set[str], expected: list[str]) -> None:
    assert additions(live(OURS, HAND, PORTS), managers) == expected


def test_what_is_sent_takes_away_as_much_as_check_mode_shows() -> None:
    paths = ['metadata.labels["k.io/b"]', "spec.paused"]
    assert removal(paths) == {"metadata": {"labels": {"k.io/b": None}}, "spec": {"paused": None}}
    left = without(live(), [*paths, "spec.other.deep"])
    assert left["metadata"]["labels"] == {"a": "1"}
    assert left["spec"] == {"ports": [{"port": 1}]}


def test_the_value_of_a_secret_is_hidden() -> None:
    secret = {**live(entry("kubectl-edit", {"f:data": {"f:p": {}}})), "kind": "Secret", "data": {"p": "aHVudGVyMg=="}}
    assert claimed(secret) == [("kubectl-edit", "data.p", "(hidden)")]
