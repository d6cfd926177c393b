"""The engine on a real API server: what the stub cannot show, namely the server's own conflicts, refusals and texts."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, delete, objects
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig as kubeconfigs
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wait import Target, Waiter
from tests.e2e.test_oracle import administrator

pytestmark = pytest.mark.oracle

Object = dict[str, Any]
SPACE = "engine-e2e"


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest, caller_environment: dict[str, str]) -> Iterator[Client]:
    with administrator(request, caller_environment) as kubeconfig:
        one = Client(kubeconfigs.load(kubeconfig))
        run(one, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        yield one
        removal = delete.Deleter(one, delete.Options(include_data=True, timeout=60))
        removal.objects([ObjectId("Namespace", "", "", SPACE)])
        one.close()


def run(client: Client, *wanted: Object, **options: Any) -> apply.Report:
    items = objects.prepare(copy.deepcopy(wanted), options.get("component", ""))
    return apply.Applier(client, items, apply.Options(**options)).run()


def pairs(report: apply.Report) -> list[tuple[str, str]]:
    return [(one["object"], one["verb"]) for one in report.as_result()["kontrol_objects"]]


def made(kind: str, name: str, api_version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}, **more}


def deployment(name: str, replicas: Any = 0, image: str = "example.test/none:1") -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    selector = {"matchLabels": {"app": name}}
    spec = {"replicas": replicas, "selector": selector, "template": template}
    return made("Deployment", name, "apps/v1", spec=spec)


def stateful_set(service: str = "a") -> Object:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "m", "image": "x.test/x:1"}]}}
    selector = {"matchLabels": {"app": "db"}}
    spec = {"serviceName": service, "replicas": 0, "selector": selector, "template": template}
    return made("StatefulSet", "db", "apps/v1", spec=spec)


def job(image: str = "x.test/x:1") -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
    return made("Job", "once", "batch/v1", spec={"suspend": True, "template": {"spec": pod}})


def claim(mode: str) -> Object:
    spec = {"accessModes": [mode], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}
    return made("PersistentVolumeClaim", "p", spec=spec)


def fixed(value: str) -> Object:
    return made("ConfigMap", "i", immutable=True, data={"a": value})


def patched(client: Client, obj: Object, change: Object, manager: str) -> None:
    """Change an object as another manager."""
    path = Discovery(client).path(obj)
    merge = "application/merge-patch+json"
    client.request("PATCH", path, params={"fieldManager": manager}, body=change, content_type=merge)


def test_conflicts_take_over_and_fields_left_to_the_server(client: Client) -> None:
    """B19: an autoscaler owns replicas."""
    wanted = deployment("scaled")
    left = (Scope.read("Deployment.apps .spec.replicas"),)
    assert pairs(run(client, wanted, server_fields=left))[0][1] == "create"
    assert run(client, wanted, server_fields=left).changed is False
    patched(client, wanted, {"spec": {"replicas": 1, "paused": True}}, "autoscaler")
    assert run(client, wanted, server_fields=left).changed is False
    with pytest.raises(KontrolError, match=r'\.spec\.replicas \(owner "autoscaler" .*take_over: \[".spec.replicas"\]'):
        run(client, wanted)
    taken = (Scope.read(".spec.replicas"),)
    predicted = run(client, wanted, take_over=taken, check=True)
    assert pairs(predicted) == pairs(run(client, wanted, take_over=taken))
    assert pairs(predicted) == [(f"Deployment.apps {SPACE}/scaled", "take_over")]
    assert run(client, wanted).changed is False


def test_a_ca_bundle_that_a_controller_fills_is_left(client: Client) -> None:
    hook = {
        "name": "one.engine.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"service": {"name": "none", "namespace": SPACE}, "caBundle": ""},
        "namespaceSelector": {"matchLabels": {"engine": "never"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
    }
    api_version = "admissionregistration.k8s.io/v1"
    wanted: Object = {"apiVersion": api_version, "kind": "ValidatingWebhookConfiguration", "webhooks": [hook]}
    wanted["metadata"] = {"name": "engine-e2e"}
    left = tuple(Scope.read(path) for path in (".webhooks[*].failurePolicy", ".webhooks[*].clientConfig.caBundle"))
    try:
        run(client, wanted, server_fields=left)
        live = client.get(Discovery(client).path(wanted))
        live["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
        live["webhooks"][0]["failurePolicy"] = "Fail"
        client.request("PUT", Discovery(client).path(wanted), params={"fieldManager": "pilot"}, body=live)
        assert run(client, wanted, server_fields=left, check=True).changed is False
        assert run(client, wanted, server_fields=left).changed is False
        after = client.get(Discovery(client).path(wanted))["webhooks"][0]
        assert (after["failurePolicy"], after["clientConfig"]["caBundle"]) == ("Fail", "Cg==")
    finally:
        delete.Deleter(client, delete.Options()).objects([ObjectId.of(wanted)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (stateful_set(), stateful_set("b")),
        (job(), job("x.test/x:2")),
        (claim("ReadWriteOnce"), claim("ReadWriteMany")),
        (fixed("1"), fixed("2")),
        (made("Secret", "i", type="Opaque"), made("Secret", "i", type="kontrol.dev/other")),
    ],
    ids=["StatefulSet", "Job", "PersistentVolumeClaim", "ConfigMap", "Secret"],
)
def test_immutable_fields_are_explained_and_nothing_is_deleted(client: Client, before: Object, after: Object) -> None:
    run(client, before)
    uid = client.get(Discovery(client).path(before))["metadata"]["uid"]
    for check in (True, False):
        with pytest.raises(KontrolError, match=r"(?s)cannot be changed in place: .*never deleted and created again"):
            run(client, after, check=check)
    assert client.get(Discovery(client).path(before))["metadata"]["uid"] == uid


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (deployment("odd", replicas="3"), r"\.spec\.replicas: expected numeric"),
        (made("Service", "odd", spec={"prots": []}), r"\.spec\.prots: field not declared in schema"),
        (made("Service", "odd", spec={"ports": [{"port": 0}]}), r"spec\.ports\[0\]\.port: Invalid value"),
        (made("ConfigMap", "Odd"), r'Invalid value: "Odd"'),
    ],
)
def test_what_the_server_refuses_is_told_in_check_mode_too(client: Client, wanted: Object, text: str) -> None:
    for check in (True, False):
        with pytest.raises(KontrolError, match=text):
            run(client, wanted, check=check)


def test_a_namespace_held_by_a_finalizer_is_explained(client: Client) -> None:
    """B21."""
    space = "engine-e2e-held"
    held = made("ConfigMap", "held")
    held["metadata"] |= {"namespace": space, "finalizers": ["example.test/hold"]}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
    run(client, namespace, held)
    removal = delete.Deleter(client, delete.Options(include_data=True, timeout=30))
    with pytest.raises(KontrolError, match=r"(?s)Namespace engine-e2e-held: .*example.test/hold in 1 resource"):
        removal.objects([ObjectId.of(namespace)])
    patched(client, held, {"metadata": {"finalizers": None}}, "controller")
    delete.Deleter(client, delete.Options(include_data=True)).objects([ObjectId.of(namespace)])


def test_a_watch_on_the_real_server_ends_with_the_change(client: Client) -> None:
    wanted = made("ConfigMap", "watched", data={"state": "half"})
    run(client, wanted)
    resource = Discovery(client).resource("v1", "ConfigMap")
    target = Target(ObjectId.of(wanted), resource, "data.state", "whole")

    def progress(_line: str) -> None:
        run(client, made("ConfigMap", "watched", data={"state": "whole"}))

    began = time.monotonic()
    Waiter(client, [target], 30, progress, interval=0.3).run()
    assert time.monotonic() - began < 10


def test_a_component_from_first_apply_to_removal(client: Client) -> None:
    system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kontrol-system"}}
    run(client, system) if client.find("/api/v1/namespaces/kontrol-system") is None else None
    one, two, secret = made("ConfigMap", "c1"), deployment("c2"), made("Secret", "c3")
    name = "engine-e2e"
    run(client, one, two, secret, component=name)
    assert run(client, one, two, secret, component=name).changed is False
    predicted = run(client, one, component=name, prune=True, check=True)
    real = run(client, one, component=name, prune=True)
    assert pairs(predicted) == pairs(real)
    assert (f"Deployment.apps {SPACE}/c2", "prune") in pairs(real)
    assert real.as_result()["kept"] == [f"Secret {SPACE}/c3"]
    removal = delete.Deleter(client, delete.Options(component=name, include_data=True)).component()
    assert {str(which) for which in removal.deleted} == {f"ConfigMap {SPACE}/c1", f"Secret {SPACE}/c3"}
    assert client.find(f"/api/v1/namespaces/kontrol-system/configmaps/kontrol-inventory-{name}") is None
