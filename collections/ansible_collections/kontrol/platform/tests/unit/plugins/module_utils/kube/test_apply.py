"""What an apply writes, says and leaves alone, against the stub API server."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, objects
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope
from ansible_collections.kontrol.platform.tests.unit.stub_api import Object, StubApi

CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.test"},
    "spec": {
        "group": "example.test",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True}],
    },
}
WIDGET: Object = {
    "apiVersion": "example.test/v1",
    "kind": "Widget",
    "metadata": {"name": "w", "namespace": "shop"},
    "spec": {"size": 1},
}
NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def config_map(name: str = "a", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"},
        "data": data or {"k": "v"},
    }


def deployment(image: str = "shop:1", replicas: int = 2) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


def secret(value: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "admin", "namespace": "shop"},
        "stringData": {"password": value, "user": "same"},
    }


EVERY_KIND: list[Object] = [
    NAMESPACE,
    config_map(),
    secret("CANARY-A"),
    deployment(),
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa", "namespace": "shop"}},
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "shop"},
        "spec": {"podSelector": {}, "ingress": []},
    },
    WIDGET,
    CRD,
]


def run(client: Client, wanted: list[Object], **options: Any) -> apply.Report:
    component = options.get("component", "")
    items = objects.prepare(copy.deepcopy(wanted), component)
    return apply.Applier(client, items, apply.Options(**options), sleep=lambda _seconds: None).run()


def verbs(report: apply.Report) -> dict[str, str]:
    return {str(verdict.id): verdict.verb for verdict in report.verdicts}


def triples(report: apply.Report) -> list[tuple[str, str]]:
    return [(one["object"], one["verb"]) for one in report.as_result()["kontrol_objects"]]


@pytest.fixture
def shop(api: StubApi) -> StubApi:
    api.put(NAMESPACE)
    return api


def test_waves_put_namespaces_and_crds_first_and_custom_resources_last(api: StubApi, client: Client) -> None:
    run(client, list(reversed(EVERY_KIND)))
    written = [request.path.split("/")[-2] for request in api.writes]
    assert set(written[:2]) == {"namespaces", "customresourcedefinitions"}
    assert written[-2:] == ["deployments", "widgets"]


def test_create_again_modify_again_each_also_in_check_mode(api: StubApi, client: Client) -> None:
    """B01: the sum and every object tell the same, and check mode printed it before."""
    states = [EVERY_KIND, EVERY_KIND, [*EVERY_KIND[:3], deployment("shop:2"), *EVERY_KIND[4:]]]
    for number, state in enumerate([states[0], states[1], states[2], states[2]]):
        before = copy.deepcopy({path: stored.obj for path, stored in api.store.items()})
        writes = len(api.writes)
        predicted = run(client, state, check=True)
        assert len(api.writes) == writes
        assert {path: stored.obj for path, stored in api.store.items()} == before
        real = run(client, state)
        assert triples(predicted) == triples(real)
        assert real.changed is predicted.changed is (number in {0, 2})
    changed = [name for name, verb in verbs(run(client, states[0])).items() if verb != "none"]
    assert changed == ["Deployment.apps shop/web"]


def test_an_empty_list_moves_the_version_and_is_no_change(shop: StubApi, client: Client) -> None:
    policy = EVERY_KIND[5]
    run(client, [policy])
    first = shop.get(shop.path(policy))
    assert first
    version = first["metadata"]["resourceVersion"]
    assert run(client, [policy]).changed is False
    again = shop.get(shop.path(policy))
    assert again
    assert again["metadata"]["resourceVersion"] != version


def test_check_mode_says_rendered_for_what_cannot_be_asked(api: StubApi, client: Client) -> None:
    report = run(client, EVERY_KIND, check=True)
    known = {str(verdict.id): verdict.known for verdict in report.verdicts}
    assert known["Namespace shop"] == "server"
    assert known["ConfigMap shop/a"] == "rendered"
    assert known["Widget.example.test shop/w"] == "rendered"
    assert api.writes == []


def test_a_new_version_of_a_served_kind_is_an_update_in_check_mode(shop: StubApi, client: Client) -> None:
    run(client, [CRD, WIDGET])
    newer = {**WIDGET, "apiVersion": "example.test/v2"}
    report = run(client, [newer], check=True, diff=True)
    assert [(one.verb, one.known) for one in report.verdicts] == [("update", "rendered")]


def test_without_a_cluster_everything_is_a_rendered_create() -> None:
    wanted = [*EVERY_KIND, config_map("later", token=objects.SENTINEL)]
    report = apply.render(objects.prepare(wanted), apply.Options(check=True, diff=True))
    assert {verdict.verb for verdict in report.verdicts} == {"create"}
    assert {verdict.known for verdict in report.verdicts} == {"rendered", "unknown"}
    assert str(report.verdicts[0].id) == "Namespace shop"
    assert "CANARY" not in json.dumps(report.as_result())


def test_unknown_values_are_never_sent(shop: StubApi, client: Client) -> None:
    later = config_map("later", token=f"x{objects.SENTINEL}y")
    report = run(client, [later], check=True)
    assert [(one.verb, one.known) for one in report.verdicts] == [("create", "unknown")]
    with pytest.raises(KontrolError, match=r"still unknown in ConfigMap shop/later"):
        run(client, [later])
    assert not [request for request in shop.requests if request.method == "PATCH"]


def test_null_means_absent_on_create_and_on_update(shop: StubApi, client: Client) -> None:
    """B02."""
    wanted = config_map()
    wanted["metadata"]["labels"] = {"cost-centre": None, "team": "core"}
    run(client, [wanted])
    live = copy.deepcopy(shop.get(shop.path(wanted)))
    assert live
    assert "cost-centre" not in live["metadata"]["labels"]
    assert run(client, [wanted]).changed is False
    assert shop.get(shop.path(wanted)) == live


def test_many_objects_of_a_kind_are_read_with_one_list(shop: StubApi, client: Client) -> None:
    wanted = [config_map(f"c{number}") for number in range(30)]
    assert len(run(client, wanted).verdicts) == 30
    shop.requests.clear()
    assert run(client, wanted).changed is False
    reads = [
        request for request in shop.requests if request.method == "GET" and request.path.startswith("/api/v1/names")
    ]
    assert len(reads) == 1


def test_an_object_that_was_not_ours_is_an_update(shop: StubApi, client: Client) -> None:
    wanted = [config_map(f"c{number}") for number in range(5)]
    shop.put(wanted[3], manager="somebody")
    assert verbs(run(client, wanted))["ConfigMap shop/c3"] == "update"


def test_what_a_controller_writes_meanwhile_is_no_change_of_ours(shop: StubApi, client: Client) -> None:
    run(client, [deployment()])
    path = shop.path(deployment())
    read = Client.find

    def find_then_write(self: Client, wanted: str) -> Object | None:
        found = copy.deepcopy(read(self, wanted))
        if wanted == path:
            shop.store[path].obj["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "find", find_then_write)
        assert verbs(run(client, [deployment()])) == {"Deployment.apps shop/web": "none"}


def test_a_field_that_is_given_no_more_is_removed(shop: StubApi, client: Client) -> None:
    run(client, [secret("a")])
    less = secret("a")
    del less["stringData"]["user"]
    report = run(client, [less])
    assert report.changed
    live = shop.get(shop.path(less))
    assert live
    assert live["data"] == {"password": base64.b64encode(b"a").decode()}


class TestConflicts:
    """B19."""

    def test_fields_and_owner_are_told(self, shop: StubApi, client: Client) -> None:
        shop.put(deployment(replicas=7), manager="autoscaler")
        with pytest.raises(KontrolError) as caught:
            run(client, [deployment(), config_map()])
        text = str(caught.value)
        assert "1 of 2 objects cannot be applied" in text
        assert (
            'Deployment.apps shop/web: fields belong to another manager: .spec.replicas (owner "autoscaler" us' in text
        )
        assert 'take_over: [".spec.replicas"]' in text
        assert caught.value.result["kontrol_objects"][0]["object"] == "ConfigMap shop/a"

    @pytest.mark.parametrize(
        "scope", [".spec.replicas", "Deployment.apps .spec.replicas", "Deployment.apps shop/web spec.replicas"]
    )
    def test_named_fields_are_taken_over(self, shop: StubApi, client: Client, scope: str) -> None:
        shop.put(deployment(replicas=7), manager="autoscaler")
        taken = (Scope.read(scope),)
        predicted = run(client, [deployment()], take_over=taken, check=True)
        real = run(client, [deployment()], take_over=taken)
        assert triples(predicted) == triples(real) == [("Deployment.apps shop/web", "take_over")]
        assert run(client, [deployment()], take_over=taken).changed is False

    def test_nothing_is_taken_when_one_field_is_not_named(self, shop: StubApi, client: Client) -> None:
        shop.put(deployment("other:1", replicas=7), manager="autoscaler")
        with pytest.raises(KontrolError, match="containers"):
            run(client, [deployment()], take_over=(Scope.read(".spec.replicas"),))
        assert not [request for request in shop.requests if request.query.get("force") == "true"]

    def test_server_fields_are_left_to_their_owner(self, shop: StubApi, client: Client) -> None:
        left = (Scope.read("Deployment.apps .spec.replicas"),)
        assert run(client, [deployment()], server_fields=left).changed
        assert run(client, [deployment(replicas=5)], server_fields=left).changed is False
        scaled = copy.deepcopy(deployment(replicas=9))
        live = shop.get(shop.path(scaled))
        assert live
        shop.store[shop.path(scaled)].owners["kontrol"].discard(("spec", "replicas"))
        shop.store[shop.path(scaled)].owners["autoscaler"] = {("spec", "replicas")}
        live["spec"]["replicas"] = 9
        shop._manage(shop.store[shop.path(scaled)])
        assert run(client, [deployment(replicas=5)], server_fields=left).changed is False
        assert live["spec"]["replicas"] == 9


class TestFailures:
    def test_an_immutable_field_is_explained(self, shop: StubApi, client: Client) -> None:
        message = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"
        shop.fail("PATCH", "deployments", 422, "Invalid", message)
        with pytest.raises(KontrolError, match=r"cannot be changed in place: .*never deleted and created again"):
            run(client, [deployment()])
        assert not [request for request in shop.requests if request.method == "DELETE"]

    def test_later_waves_are_not_tried(self, shop: StubApi, client: Client) -> None:
        shop.fail("PATCH", "configmaps", 403, "Forbidden", 'cannot patch resource "configmaps"', times=9)
        with pytest.raises(KontrolError) as caught:
            run(client, [config_map("a"), config_map("b"), deployment()])
        text = str(caught.value)
        assert "2 of 3 objects cannot be applied" in text
        assert text.count('cannot patch resource "configmaps"') == 2
        assert "1 objects that come after them were not tried" in text

    def test_check_mode_lists_the_failures_of_all_waves(self, shop: StubApi, client: Client) -> None:
        shop.fail("PATCH", "", 403, "Forbidden", "no", times=9)
        with pytest.raises(KontrolError, match="2 of 2 objects"):
            run(client, [config_map(), deployment()], check=True)

    def test_a_long_list_of_failures_is_cut(self, shop: StubApi, client: Client) -> None:
        shop.fail("PATCH", "", 403, "Forbidden", "no", times=99)
        with pytest.raises(KontrolError, match="and 5 more"):
            run(client, [config_map(f"c{number}") for number in range(30)])

    @pytest.mark.parametrize(
        ("code", "message"),
        [(500, 'failed calling webhook "x": connection refused'), (409, "the object has been modified")],
    )
    def test_what_passes_by_itself_is_tried_again(self, shop: StubApi, client: Client, code: int, message: str) -> None:
        shop.fail("PATCH", "configmaps", code, "X", message, times=2)
        assert verbs(run(client, [config_map()])) == {"ConfigMap shop/a": "create"}

    def test_a_missing_crd_is_an_error(self, shop: StubApi, client: Client) -> None:
        with pytest.raises(KontrolError, match=r"Kind 'Widget' of 'example.test/v1' is not served"):
            run(client, [WIDGET])
        assert shop.writes == []

    def test_a_crd_that_is_served_late_is_waited_for(self, shop: StubApi, client: Client) -> None:
        """B06."""
        shop.discovery_lag = 0.2  # type: ignore[assignment] # seconds
        items = objects.prepare([copy.deepcopy(WIDGET), copy.deepcopy(CRD)])
        report = apply.Applier(client, items, apply.Options(), sleep=lambda _s: __import__("time").sleep(0.05)).run()
        assert verbs(report)["Widget.example.test shop/w"] == "create"

    def test_a_broken_aggregated_api_harms_nobody_else(self, shop: StubApi, client: Client) -> None:
        """B05."""
        shop.fail("GET", "/apis/metrics.k8s.io", 503, "ServiceUnavailable", "down", times=99)
        assert run(client, [config_map()]).changed
        metric = {"apiVersion": "metrics.k8s.io/v1", "kind": "Metric", "metadata": {"name": "m", "namespace": "shop"}}
        with pytest.raises(KontrolError, match=r"API group 'metrics.k8s.io/v1' cannot be used"):
            run(client, [metric])

    def test_an_error_about_a_secret_does_not_show_it(self, shop: StubApi, client: Client) -> None:
        value = base64.b64encode(b"CANARY-A").decode()
        shop.fail("PATCH", "secrets", 422, "Invalid", f"data: Invalid value {value} CANARY-A")
        with pytest.raises(KontrolError) as caught:
            run(client, [secret("CANARY-A")])
        assert "CANARY" not in str(caught.value)
        assert value not in str(caught.value)


class TestDiff:
    """B03."""

    def test_secrets_are_never_shown(self, shop: StubApi, client: Client) -> None:
        run(client, [secret("CANARY-A")])
        report = run(client, [secret("CANARY-B")], check=True, diff=True)
        (shown,) = report.as_result()["diff"]
        assert shown["before"] == "data:\n  password: (hidden, before)\n"
        assert shown["after"] == "data:\n  password: (hidden, after)\n"

    def test_only_changed_paths_are_shown(self, shop: StubApi, client: Client) -> None:
        run(client, [deployment()])
        (shown,) = run(client, [deployment("shop:2")], diff=True).as_result()["diff"]
        assert "replicas" not in shown["after"]
        assert "image: shop:2" in shown["after"]
        assert "name: web" in shown["after"]

    def test_no_diff_unless_asked(self, shop: StubApi, client: Client) -> None:
        assert "diff" not in run(client, [config_map()]).as_result()


class TestInventory:
    COMPONENT = "shop"
    PATH = "/api/v1/namespaces/kontrol-system/configmaps/kontrol-inventory-shop"

    def named(self, api: StubApi) -> list[str]:
        found = api.get(self.PATH)
        return found["data"]["objects"].splitlines() if found else []

    def test_it_names_what_was_applied(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map(), deployment()], component="shop")
        assert self.named(shop) == ["ConfigMap shop/a", "Deployment.apps shop/web"]
        live = shop.get(shop.path(config_map()))
        assert live
        assert live["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "kontrol",
            "kontrol.dev/component": "shop",
        }

    def test_a_second_run_writes_nothing_to_it(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map()], component="shop")
        shop.requests.clear()
        run(client, [config_map()], component="shop")
        assert [request.path for request in shop.writes] == [shop.path(config_map())]

    def test_it_is_widened_before_anything_else_is_written(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map("a")], component="shop")
        shop.fail("PATCH", "configmaps/b", 403, "Forbidden", "no")
        with pytest.raises(KontrolError):
            run(client, [config_map("b")], component="shop", prune=True)
        assert self.named(shop) == ["ConfigMap shop/a", "ConfigMap shop/b"]

    def test_its_namespace_may_come_with_the_apply(self, api: StubApi, client: Client) -> None:
        api.remove("/api/v1/namespaces/kontrol-system")
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kontrol-system"}}
        run(client, [system], component="shop")
        assert self.named(api) == ["Namespace kontrol-system"]

    def test_without_its_namespace_the_apply_stops(self, shop: StubApi, client: Client) -> None:
        shop.remove("/api/v1/namespaces/kontrol-system")
        with pytest.raises(KontrolError, match="Namespace 'kontrol-system' is not there"):
            run(client, [config_map()], component="shop")
        assert not shop.get(shop.path(config_map()))

    def test_prune_deletes_what_is_given_no_more(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map("a"), config_map("b")], component="shop")
        predicted = run(client, [config_map("a")], component="shop", prune=True, check=True, diff=True)
        assert shop.get(shop.path(config_map("b")))
        real = run(client, [config_map("a")], component="shop", prune=True)
        assert triples(predicted) == triples(real) == [("ConfigMap shop/a", "none"), ("ConfigMap shop/b", "prune")]
        assert not shop.get(shop.path(config_map("b")))
        assert self.named(shop) == ["ConfigMap shop/a"]
        assert run(client, [config_map("a")], component="shop", prune=True).changed is False

    def test_data_is_kept_and_stays_in_the_inventory(self, shop: StubApi, client: Client) -> None:
        run(client, [secret("x"), NAMESPACE, config_map()], component="shop")
        report = run(client, [config_map()], component="shop", prune=True)
        assert report.as_result()["kept"] == ["Namespace shop", "Secret shop/admin"]
        assert self.named(shop) == ["ConfigMap shop/a", "Namespace shop", "Secret shop/admin"]

    def test_what_another_component_took_is_kept(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map("a"), config_map("b")], component="shop")
        run(client, [config_map("b")], component="other")
        report = run(client, [config_map("a")], component="shop", prune=True)
        assert report.as_result()["kept"] == ["ConfigMap shop/b"]
        assert shop.get(shop.path(config_map("b")))

    def test_without_prune_the_rest_is_kept(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map("a"), config_map("b")], component="shop")
        report = run(client, [config_map("a")], component="shop")
        assert report.as_result()["kept"] == ["ConfigMap shop/b"]

    def test_too_many_deletions_stop_before_any_write(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map(f"c{number}") for number in range(4)], component="shop")
        shop.requests.clear()
        with pytest.raises(KontrolError, match="3 objects would be pruned, more than max_prune 2"):
            run(client, [config_map("c0")], component="shop", prune=True, max_prune=2)
        assert shop.writes == []

    def test_what_is_gone_or_going_is_not_pruned(self, shop: StubApi, client: Client) -> None:
        going = config_map("b")
        going["metadata"]["finalizers"] = ["example.test/hold"]
        run(client, [config_map("a"), going, config_map("c")], component="shop")
        shop.remove(shop.path(config_map("c")))
        assert run(client, [config_map("a")], component="shop", prune=True).changed
        again = run(client, [config_map("a")], component="shop", prune=True)
        assert again.changed is False
        assert again.as_result()["kept"] == ["ConfigMap shop/b"]

    def test_a_failing_deletion_is_told(self, shop: StubApi, client: Client) -> None:
        run(client, [config_map("a"), config_map("b")], component="shop")
        shop.fail("DELETE", "configmaps/b", 403, "Forbidden", "not yours")
        with pytest.raises(KontrolError, match=r"(?s)1 objects cannot be pruned.*ConfigMap shop/b: .*not yours"):
            run(client, [config_map("a")], component="shop", prune=True)


def test_nothing_given_is_nothing_done(api: StubApi, client: Client) -> None:
    """B29."""
    assert run(client, [], component="shop").as_result() == {"changed": False, "kontrol_objects": [], "kept": []}
    assert api.writes == []
