"""Deleting: order, data, waiting, and what is told when objects do not go."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, objects
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.delete import Deleter, Options, Report
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId
from ansible_collections.kontrol.platform.tests.unit.stub_api import Object, StubApi

INVENTORY = "/api/v1/namespaces/kontrol-system/configmaps/kontrol-inventory-shop"


def obj(kind: str, api_version: str = "v1", namespace: str | None = "shop", **more: Any) -> Object:
    meta = {"name": "x"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


SHOP: list[Object] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    obj("ConfigMap"),
    obj("Secret"),
    obj("Deployment", "apps/v1"),
    obj("StatefulSet", "apps/v1"),
    obj("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", None),
]


@pytest.fixture
def shop(api: StubApi, client: Client) -> StubApi:
    items = objects.prepare(copy.deepcopy(SHOP), "shop")
    apply.Applier(client, items, apply.Options(component="shop")).run()
    api.requests.clear()
    return api


def component(client: Client, **options: Any) -> Report:
    return Deleter(client, Options(component="shop", **options), sleep=lambda _s: None).component()


def by_name(client: Client, *ids: str, **options: Any) -> Report:
    return Deleter(client, Options(**options), sleep=lambda _s: None).objects(ObjectId.parse(text) for text in ids)


def pairs(report: Report) -> set[tuple[str, str]]:
    return {(one["object"], one["verb"]) for one in report.as_result()["kontrol_objects"]}


def test_delete_and_again_each_also_in_check_mode(shop: StubApi, client: Client) -> None:
    predicted = component(client, include_data=True, check=True)
    assert shop.writes == []
    real = component(client, include_data=True)
    assert pairs(predicted) == pairs(real)
    assert len(real.deleted) == len(SHOP)
    assert real.as_result()["changed"] is True
    kinds = [request.path.split("/")[-2] for request in shop.writes]
    assert kinds[0] == "validatingwebhookconfigurations"
    assert set(kinds[1:3]) == {"deployments", "statefulsets"}
    assert kinds[-2:] == ["namespaces", "configmaps"]  # the inventory goes last
    assert not shop.get(INVENTORY)
    shop.requests.clear()
    assert component(client, check=True).as_result()["changed"] is False
    assert component(client).as_result() == {"changed": False, "kontrol_objects": [], "kept": []}
    assert shop.writes == []


def test_data_is_kept_and_stays_in_the_inventory(shop: StubApi, client: Client) -> None:
    report = component(client)
    kept = ["Namespace shop", "Secret shop/x", "StatefulSet.apps shop/x"]
    assert [one["object"] for one in report.as_result()["kept"]] == kept
    inventory = shop.get(INVENTORY)
    assert inventory
    assert inventory["data"]["objects"].splitlines() == kept
    assert component(client).as_result()["changed"] is False


def test_what_lost_its_label_is_kept(shop: StubApi, client: Client) -> None:
    stored = shop.store[shop.path(obj("ConfigMap"))]
    stored.obj["metadata"]["labels"]["kontrol.dev/component"] = "other"
    report = component(client)
    assert report.kept[ObjectId.parse("ConfigMap shop/x")] == "does not carry the label of component 'shop'"


def test_objects_by_name(shop: StubApi, client: Client) -> None:
    report = by_name(client, "ConfigMap shop/x", "ConfigMap shop/none", "Widget.none.test shop/x", diff=True)
    assert pairs(report) == {
        ("ConfigMap shop/x", "delete"),
        ("ConfigMap shop/none", "none"),
        ("Widget.none.test shop/x", "none"),
    }
    assert report.as_result()["diff"][0]["after"] == ""


def test_data_by_name_needs_to_be_said(shop: StubApi, client: Client) -> None:
    with pytest.raises(KontrolError, match=r"Nothing was deleted: Namespace shop hold data .* include_data: true"):
        by_name(client, "ConfigMap shop/x", "Namespace shop")
    assert shop.writes == []
    assert by_name(client, "Namespace shop", include_data=True).deleted


def test_only_the_object_that_was_seen_is_deleted(shop: StubApi, client: Client) -> None:
    by_name(client, "Deployment.apps shop/x", propagation="Background")
    (request,) = shop.writes
    assert set(request.body["preconditions"]) == {"uid"}
    assert request.body["propagationPolicy"] == "Background"


def test_one_that_vanished_meanwhile_is_fine(shop: StubApi, client: Client) -> None:
    shop.fail("DELETE", "configmaps", 404, "NotFound")
    shop.remove(shop.path(obj("Secret")))
    assert by_name(client, "ConfigMap shop/x", wait=False).deleted


def test_errors_are_listed(shop: StubApi, client: Client) -> None:
    shop.fail("DELETE", "configmaps", 403, "Forbidden", "not yours")
    with pytest.raises(KontrolError, match=r"(?s)Objects cannot be deleted:.*ConfigMap shop/x: .*not yours"):
        by_name(client, "ConfigMap shop/x")


def held(api: StubApi) -> Object:
    one = obj("ConfigMap")
    one["metadata"] |= {"name": "held", "finalizers": ["example.test/hold"]}
    return api.put(one)


def test_what_holds_is_told(shop: StubApi, client: Client) -> None:
    """B21: a finalizer without its controller, and a dead aggregated API."""
    held(shop)
    dead = {"type": "Available", "status": "False", "message": "no endpoints"}
    name = "v1.metrics.k8s.io"
    api_service = obj("APIService", "apiregistration.k8s.io/v1", None, status={"conditions": [dead]})
    api_service["metadata"]["name"] = name
    shop.put(api_service)
    namespace = shop.store["/api/v1/namespaces/shop"].obj
    namespace["metadata"]["finalizers"] = ["kubernetes"]
    namespace["status"] = {"conditions": [{"reason": "SomeResourcesRemain", "message": "1 left", "status": "True"}]}
    clock = iter(float(tick) for tick in range(0, 1000, 5))
    lines: list[str] = []
    deleter = Deleter(
        client, Options(timeout=30, include_data=True), lines.append, sleep=lambda _s: None, clock=lambda: next(clock)
    )
    with pytest.raises(KontrolError) as caught:
        deleter.objects([ObjectId.parse("ConfigMap shop/held"), ObjectId.parse("Namespace shop")])
    text = str(caught.value)
    assert "Not gone after 30 s" in text
    assert "ConfigMap shop/held: held by example.test/hold" in text
    assert "API v1.metrics.k8s.io does not answer: no endpoints" in text
    assert "finalizers are never removed here" in text
    assert lines[0].startswith("Waiting for 1 objects to go, ")
    live = shop.get("/api/v1/namespaces/shop/configmaps/held")
    assert live
    assert live["metadata"]["finalizers"] == ["example.test/hold"]


def test_a_namespace_says_what_it_still_holds(shop: StubApi, client: Client) -> None:
    namespace = shop.store["/api/v1/namespaces/shop"].obj
    namespace["metadata"]["finalizers"] = ["kubernetes"]
    namespace["status"] = {"conditions": [{"reason": "SomeResourcesRemain", "message": "1 left", "status": "True"}]}
    shop.fail("GET", "apiservices", 403, "Forbidden", times=9)
    with pytest.raises(KontrolError, match=r"(?s)Namespace shop: held by kubernetes.*SomeResourcesRemain: 1 left"):
        by_name(client, "Namespace shop", include_data=True, timeout=0)


def test_without_waiting(shop: StubApi, client: Client) -> None:
    held(shop)
    assert by_name(client, "ConfigMap shop/held", wait=False).deleted
