"""Differences for people, and field paths."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import diff, fields
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId


def test_changes_keep_only_what_differs() -> None:
    before = {"a": 1, "b": {"c": 2, "d": 3}, "gone": 0}
    after = {"a": 1, "b": {"c": 2, "d": 4}, "new": 9}
    assert diff.changes(before, after) == ({"b": {"d": 3}, "gone": 0}, {"b": {"d": 4}, "new": 9})


@pytest.mark.parametrize("key", ["name", "type", "containerPort", "mountPath"])
def test_lists_are_followed_by_name(key: str) -> None:
    before = [{key: "a", "v": 1}, {key: "b", "v": 2}]
    after = [{key: "a", "v": 1}, {key: "b", "v": 3}]
    assert diff.changes(before, after) == ([{key: "b", "v": 2}], [{key: "b", "v": 3}])


@pytest.mark.parametrize("items", [[1, 2], [{"name": "a"}, {"name": "a"}], [{"x": 1}], [{"name": ["a"]}]])
def test_other_lists_count_as_a_whole(items: list[Any]) -> None:
    assert diff.changes(items, [3]) == (items, [3])


def test_creation_deletion_and_last_applied() -> None:
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "Q0FOQVJZ"}
    meta = {"name": "s", "annotations": notes}
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"k": "Q0FOQVJZ"}}
    made, gone = diff.render("Secret s", None, obj), diff.render("Secret s", obj, None)
    assert made["before"] == gone["after"] == ""
    assert "k: (hidden)" in made["after"]
    assert "Q0FOQVJZ" not in made["after"] + gone["before"]
    assert made["after_header"] == "Secret s"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status.phase", "Bound"),
        (".status.phase", "Bound"),
        ("status.conditions[type=Ready].status", "True"),
        ("status.conditions[type='Ready'].status", "True"),
        ("status.conditions[0].type", "Ready"),
        ("status.conditions[*].type", "Ready"),
        ('metadata.labels["a.b/c"]', "x"),
        ("status.conditions[9].type", None),
        ("status.phase.deeper", None),
        ("status[0]", None),
        ("nothing.here", None),
    ],
)
def test_lookup(path: str, value: Any) -> None:
    obj = {
        "metadata": {"labels": {"a.b/c": "x"}},
        "status": {"phase": "Bound", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert fields.lookup(obj, fields.parse(path)) == value


@pytest.mark.parametrize("path", ["", "a b", "status..phase", "a[", "[x"])
def test_paths_that_cannot_be_read(path: str) -> None:
    with pytest.raises(KontrolError, match=r"Field path .* cannot be read"):
        fields.parse(path)


def test_scopes() -> None:
    web = ObjectId.parse("Deployment.apps shop/web")
    assert Scope.read("spec.replicas").path == ".spec.replicas"
    assert Scope.read("spec.replicas").fits(web)
    assert Scope.read("Deployment.apps .spec.replicas").fits(web)
    assert Scope.read("Deployment.apps shop/web .spec.replicas").fits(web)
    assert not Scope.read("StatefulSet.apps .spec.replicas").fits(web)
    assert not Scope.read("Deployment.apps shop/other .spec.replicas").fits(web)


HOOK_OWNED: dict[str, Any] = {
    "f:webhooks": {'k:{"name":"a"}': {"f:failurePolicy": {}, "f:clientConfig": {"f:service": {}}}}
}


def webhook(owned: Any, **item: Any) -> dict[str, Any]:
    entry = {"manager": "kontrol", "operation": "Apply", "fieldsV1": owned}
    return {
        "apiVersion": "v1",
        "kind": "Hook",
        "metadata": {"name": "h", "managedFields": [{"manager": "x", "operation": "Update"}, entry]},
        "webhooks": [{"name": "a", **item}, {"name": "b", "failurePolicy": "Fail"}],
    }


def left(body: dict[str, Any], live: dict[str, Any], path: str) -> Any:
    fields.leave_to_server(body, live, [Scope.read(path)])
    return body["webhooks"]


class TestLeaveToServer:
    def test_ours_is_sent_as_it_is(self) -> None:
        live = webhook(HOOK_OWNED, failurePolicy="Fail")
        sent = left(webhook({}, failurePolicy="Ignore"), live, "webhooks[name=a].failurePolicy")
        assert sent[0]["failurePolicy"] == "Fail"

    def test_that_of_others_is_not_sent(self) -> None:
        live = webhook(HOOK_OWNED, failurePolicy="Fail")
        sent = left(webhook({}, failurePolicy="Ignore"), live, "webhooks[*].failurePolicy")
        assert sent == [{"name": "a", "failurePolicy": "Fail"}, {"name": "b"}]

    def test_what_an_atomic_field_holds_is_ours(self) -> None:
        live = webhook({"f:webhooks": {}}, failurePolicy="Fail")
        assert (
            left(webhook({}, failurePolicy="Ignore"), live, "webhooks[0].failurePolicy")[0]["failurePolicy"] == "Fail"
        )

    def test_deeper_fields(self) -> None:
        live = webhook(HOOK_OWNED, clientConfig={"caBundle": "x", "service": 1})
        body = webhook({}, clientConfig={"caBundle": "", "service": 1})
        assert left(body, live, "webhooks[*].clientConfig.caBundle")[0]["clientConfig"] == {"service": 1}

    @pytest.mark.parametrize("path", ["webhooks[*]", "nothing.x", "metadata[*].x", "webhooks[9].failurePolicy"])
    def test_paths_that_lead_nowhere_change_nothing(self, path: str) -> None:
        body = webhook({}, failurePolicy="Ignore")
        assert left(body, webhook(HOOK_OWNED), path) == webhook({}, failurePolicy="Ignore")["webhooks"]

    def test_nothing_is_ours_on_a_foreign_object(self) -> None:
        live = webhook(HOOK_OWNED, failurePolicy="Fail")
        live["metadata"]["managedFields"] = []
        assert "failurePolicy" not in left(webhook({}, failurePolicy="Ignore"), live, "webhooks[*].failurePolicy")[0]

    def test_a_list_that_is_not_there_yet(self) -> None:
        live = webhook(HOOK_OWNED)
        del live["webhooks"]
        sent = left(webhook({}, failurePolicy="Ignore"), live, "webhooks[*].failurePolicy")
        assert sent[0] == {"name": "a", "failurePolicy": "Ignore"}


def state(owned: Any, spec: Any, api_version: str = "v1", notes: Any = None) -> dict[str, Any]:
    entry = {"manager": "kontrol", "operation": "Apply", "apiVersion": api_version, "fieldsV1": owned}
    meta = {"name": "x", "annotations": notes or {}, "managedFields": [entry] if owned else []}
    return {"apiVersion": "v1", "kind": "X", "metadata": meta, "spec": spec}


PORTS: dict[str, Any] = {
    "f:spec": {"f:ports": {'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}}
}


@pytest.mark.parametrize(
    ("owned", "before", "after", "differ"),
    [
        ({"f:spec": {"f:a": {}}}, {"a": 1, "b": 1}, {"a": 1, "b": 2}, False),
        ({"f:spec": {"f:a": {}}}, {"a": 1}, {"a": 2}, True),
        ({"f:spec": {"f:a": {}}}, {"a": {"deep": 1}}, {"a": {"deep": 2}}, True),
        ({"f:spec": {"f:a": {}}}, {}, {"a": []}, False),
        (PORTS, {"ports": [{"port": 1, "protocol": "TCP", "name": "a", "nodePort": 1}]},
         {"ports": [{"port": 2}, {"port": 1, "protocol": "TCP", "name": "a", "nodePort": 2}]}, False),
        (PORTS, {"ports": [{"port": 1, "protocol": "TCP", "name": "a"}]},
         {"ports": [{"port": 1, "protocol": "TCP", "name": "b"}]}, True),
        (PORTS, {"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": []}, True),
        ({"f:spec": {"f:l": {'v:"x"': {}}}}, {"l": ["x"]}, {"l": ["y", "x"]}, False),
        ({"f:spec": {"f:l": {'v:"x"': {}}}}, {"l": []}, {"l": ["x"]}, True),
        ({"f:spec": {"f:l": {"i:0": {}}}}, {"l": [1]}, {"l": [2]}, True),
        ({"f:spec": {"f:l": {"i:1": {}}}}, {"l": [1]}, {"l": [2]}, False),
        ({"f:spec": {"f:l": {"i:0": {}}}}, {"l": "text"}, {"l": "other"}, False),
    ],
)  # fmt: skip
def test_only_what_we_own_is_a_change_of_ours(owned: Any, before: Any, after: Any, differ: bool) -> None:
    assert fields.ours_differ(state(owned, before), state(owned, after)) is differ


def test_what_we_gave_up_and_what_we_took_are_changes() -> None:
    owned: Any = {"f:spec": {"f:a": {}}}
    assert fields.ours_differ(state(owned, {"a": 1}), state(None, {}))
    assert fields.ours_differ(state(None, {}), state(owned, {"a": 1}))
    assert not fields.ours_differ(state(None, {"a": 1}), state(owned, {"a": 1}))


def test_owned_fields_of_another_version_cannot_be_followed() -> None:
    owned: Any = {"f:spec": {"f:a": {}}}
    assert fields.ours_differ(state(owned, {"a": 1}, "v1beta1"), state(owned, {"a": 1}, notes={"by": "other"}))
