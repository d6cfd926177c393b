"""Objects as data: ids, waves, what is refused, what is compared and shown."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import objects
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId


def obj(kind: str, api_version: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "n", "namespace": "s"}, **more}


@pytest.mark.parametrize(
    "text", ["Namespace clickhouse", "StatefulSet.apps clickhouse/clickhouse", "Gateway.networking.istio.io a/b"]
)
def test_ids_are_read_as_they_are_written(text: str) -> None:
    assert str(ObjectId.parse(text)) == text


def test_an_id_has_no_version() -> None:
    assert objects.object_id(obj("Job", "batch/v1")) == "Job.batch s/n"


@pytest.mark.parametrize(
    ("text", "wave"),
    [
        ("Namespace n", 0),
        ("CustomResourceDefinition.apiextensions.k8s.io n", 0),
        ("ConfigMap s/n", 1),
        ("ClusterRole.rbac.authorization.k8s.io n", 1),
        ("PodDisruptionBudget.policy s/n", 1),
        ("StorageClass.storage.k8s.io n", 1),
        ("StatefulSet.apps s/n", 2),
        ("Pod s/n", 2),
        ("HorizontalPodAutoscaler.autoscaling s/n", 2),
        ("PeerAuthentication.security.istio.io s/n", 3),
        ("Gateway.gateway.networking.k8s.io s/n", 3),
        ("MutatingWebhookConfiguration.admissionregistration.k8s.io n", 3),
        ("APIService.apiregistration.k8s.io n", 3),
    ],
)
def test_waves(text: str, wave: int) -> None:
    assert objects.wave(ObjectId.parse(text)) == wave


def test_lists_are_unfolded_and_empty_documents_dropped() -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [obj("ConfigMap"), None, [obj("Secret")]]}
    assert [str(item.id) for item in objects.prepare([None, listed])] == ["ConfigMap s/n", "Secret s/n"]


def test_status_and_nulls_are_not_sent() -> None:
    (item,) = objects.prepare([obj("Pod", spec={"a": None, "b": [{"c": None, "d": 1}]}, status={"phase": "x"})])
    assert item.body["spec"] == {"b": [{"d": 1}]}
    assert "status" not in item.body


def test_labels_are_set_and_the_input_is_left_alone() -> None:
    given = obj("ConfigMap")
    given["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm", "x": "y"}
    (item,) = objects.prepare([given], "mesh")
    assert item.body["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "kontrol",
        "kontrol.dev/component": "mesh",
        "x": "y",
    }
    assert given["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def problems(*given: Any) -> str:
    with pytest.raises(KontrolError) as caught:
        objects.prepare(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("text", "document 1: is str, not a Kubernetes object"),
        ({"kind": "Pod"}, "document 1: has no 'apiVersion'"),
        ({"apiVersion": "v1", "kind": 5}, "has no 'kind'"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {}}, "Pod has no 'metadata.name'"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 5}}, "'metadata.name' 5, text is needed"),
    ],
)
def test_what_is_no_object(given: Any, text: str) -> None:
    assert text in problems(given)


def test_wrong_types_are_refused_with_their_path() -> None:
    """B08."""
    template = {
        "metadata": {"labels": {"version": 1.10}, "annotations": {"prometheus.io/port": 9363}},
        "spec": {
            "nodeSelector": {"fast": True},
            "containers": [{"name": "c", "env": [{"name": "RETRIES", "value": 3}]}],
        },
    }
    given = obj("Deployment", "apps/v1", spec={"selector": {"matchLabels": {"a": 1}}, "template": template})
    given["metadata"]["labels"] = {"enabled": True}
    text = problems(given)
    assert (
        "Deployment.apps s/n: 'metadata.labels.enabled' is the boolean true, text is needed; put it in quotes" in text
    )
    assert "'spec.template.metadata.labels.version' is the number 1.1," in text
    assert "'spec.template.metadata.annotations.prometheus.io/port' is the number 9363," in text
    assert "'spec.template.spec.nodeSelector.fast' is the boolean true," in text
    assert "'spec.template.spec.containers[0].env[name=RETRIES].value' is the number 3," in text
    assert "'spec.selector.matchLabels.a' is the number 1," in text


def test_a_secret_with_a_number_is_refused_without_showing_it() -> None:
    text = problems(obj("Secret", stringData={"password": 123456}))
    assert "'stringData.password' is the number, text is needed" in text
    assert "123456" not in text


def test_a_mapping_that_is_none() -> None:
    assert "'data' is list, a mapping is needed" in problems(obj("ConfigMap", data=["a"]))


def test_text_in_the_right_places_and_custom_resources_pass() -> None:
    given = obj("Deployment", "apps/v1", spec={"replicas": 3, "template": {"metadata": {"labels": {"v": "1.10"}}}})
    custom = obj("Widget", "example.test/v1", spec={"labels": {"a": 1}})
    assert len(objects.prepare([given, custom])) == 2


def test_two_of_the_same_are_refused() -> None:
    assert "ConfigMap s/n: is given twice" in problems(obj("ConfigMap"), obj("ConfigMap"))


def test_string_data_becomes_data() -> None:
    (item,) = objects.prepare([obj("Secret", data={"a": "eA=="}, stringData={"b": "y"})])
    assert item.body["data"] == {"a": "eA==", "b": "eQ=="}
    assert "stringData" not in item.body


def test_the_sentinel_is_found_anywhere() -> None:
    (item,) = objects.prepare([obj("Secret", stringData={"a": f"x {objects.SENTINEL}"})])
    assert item.unknown
    assert objects.holds_sentinel({"a": [{"b": objects.SENTINEL}]})
    assert not objects.holds_sentinel({"a": [1, None, "x"]})


def test_same_ignores_what_the_server_moves() -> None:
    before = obj("ConfigMap", data={"a": "b"}, status={"x": 1})
    after = obj("ConfigMap", data={"a": "b", "c": None})
    before["metadata"] |= {"resourceVersion": "1", "generation": 1, "managedFields": [1]}
    assert objects.same(before, after)
    assert not objects.same(before, obj("ConfigMap", data={"a": "c"}))
    assert not objects.same(before, obj("ConfigMap", data={"a": "b"}) | {"immutable": True})


def test_a_shown_secret_has_only_key_names() -> None:
    secret = obj("Secret", data={"password": "Q0FOQVJZ"}, stringData={"x": "CANARY"})
    secret["metadata"]["annotations"] = {objects.LAST_APPLIED: '{"data":{"password":"Q0FOQVJZ"}}', "a": "b"}
    shown = objects.redacted(secret)
    assert shown["data"] == {"password": "(hidden)"}
    assert "CANARY" not in str(shown)
    assert "Q0FOQVJZ" not in str(shown)
    assert shown["metadata"]["annotations"]["a"] == "b"
    config = obj("ConfigMap", data={"a": "b"})
    assert objects.redacted(config) is config


def test_errors_about_a_secret_are_scrubbed() -> None:
    secret = obj("Secret", data={"a": "Q0FOQVJZ", "b": "not base64", "c": ""}, stringData={"d": "PLAIN"})
    text = objects.scrubbed("bad Q0FOQVJZ or CANARY or not base64 or PLAIN", secret)
    assert text == "bad (hidden) or (hidden) or (hidden) or (hidden)"
    assert objects.scrubbed("x", obj("ConfigMap", data={"x": "x"})) == "x"
