from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.kube import planned
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import SENTINEL
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import UNKNOWN, changes, content


def seal(text: str) -> str:
    return f"sealed:{len(text)}"


def made(kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "resourceVersion": "7"}, **more}


def pod(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return made(spec={"containers": list(containers), **more})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (made(spec={"replicas": 1}), made(spec={"replicas": 3}), [("spec.replicas", 1, 3)]),
        (made(spec={}), made(spec={"replicas": 3}), [("spec.replicas", None, 3)]),
        (made(spec={"replicas": 1, "paused": True}), made(spec={"replicas": 1}), [("spec.paused", True, None)]),
        (
            pod({"name": "x", "image": "a:1"}, {"name": "y", "image": "b:1"}),
            pod({"name": "x", "image": "a:2"}, {"name": "y", "image": "b:1"}),
            [("spec.containers[name=x].image", "a:1", "a:2")],
        ),
        (
            pod({"name": "x"}),
            pod({"name": "x"}, {"name": "y"}),
            [("spec.containers[name=y]", None, {"name": "y"})],
        ),
        (pod(args=["a", "b"]), pod(args=["a", "c"]), [("spec.args", ["a", "b"], ["a", "c"])]),
        (
            made(metadata={"name": "a", "labels": {"k.io/b": "1"}}),
            made(metadata={"name": "a", "labels": {"k.io/b": "2"}}),
            [('metadata.labels["k.io/b"]', "1", "2")],
        ),
        (made(status={"a": 1}), made(status={"a": 2}), []),
        (
            made(metadata={"name": "a", "generation": 1}),
            made(metadata={"name": "a", "generation": 2}),
            [],
        ),
        (made(spec={"a": None}), made(spec={}), []),
    ],
)
def test_changes_are_told_field_by_field(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, Any, Any]]
) -> None:
    assert [(one["path"], one["before"], one["after"]) for one in changes(before, after, seal)] == expected


def test_who_owns_a_changed_field_is_told() -> None:
    fields: dict[str, Any] = {
        "f:spec": {"f:containers": {'k:{"name":"x"}': {".": {}, "f:image": {}}}, "f:replicas": {}}
    }
    entries = [
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields},
        {"manager": "kontrol", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    before = pod({"name": "x", "image": "a:1"}, replicas=2, paused=True)
    before["metadata"]["managedFields"] = entries
    told = changes(before, pod({"name": "x", "image": "a:2"}, replicas=1), seal)
    assert {one["path"]: one["owner"] for one in told} == {
        "spec.containers[name=x].image": "kubectl-edit",
        "spec.replicas": "kontrol, kubectl-edit",
        "spec.paused": "",
    }


def test_the_value_of_a_secret_is_sealed_and_a_change_of_it_seen() -> None:
    old, new = (base64.b64encode(text).decode() for text in (b"hunter2", b"correct horse"))
    notes = {"kubectl.kubernetes.io/last-applied-configuration": f'{{"data":{{"p":"{old}"}}}}'}
    before = made("Secret", data={"p": old, "q": old}, metadata={"name": "a", "annotations": notes})
    told = changes(before, made("Secret", data={"p": new, "q": old}), seal)
    assert {"data.p"} <= {one["path"] for one in told}
    assert not any(text in str(told) for text in (old, new, "hunter2"))
    assert "data.q" not in {one["path"] for one in told}


def test_content_is_a_digest_per_field_and_changes_with_it() -> None:
    one, two = content(pod({"name": "x", "image": "a:1"}), seal), content(pod({"name": "x", "image": "a:2"}), seal)
    assert {path for path in one if one[path] != two[path]} == {"spec.containers[name=x].image"}
    assert content(pod({"name": "x", "image": "a:1"}), seal) == one


def test_what_is_not_known_yet_is_a_token() -> None:
    secret = content(made("Secret", stringData={"password": SENTINEL, "user": "x"}), seal)
    assert secret["stringData.password"] == UNKNOWN
    assert secret["stringData.user"] != UNKNOWN
    assert content(made("ConfigMap", data={"a": f"url: {SENTINEL}@b"}), seal)["data.a"] == UNKNOWN


def test_an_object_of_very_many_fields_has_one_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "MOST_FIELDS", 3)
    assert list(content(made(data={"a": 1}), seal)) == [""]
