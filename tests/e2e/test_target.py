"""Only the region's own cluster is written to, and by one run at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import NAME, Region

IMPOSTER = "kontrol-e2e-imposter"


@pytest.fixture
def imposter(region: Region) -> Iterator[str]:
    """A second kind cluster that holds a copy of the region's identity."""
    config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "networking": {"disableDefaultCNI": True}}
    region.tool("kind", "delete", "cluster", "--name", IMPOSTER)
    node = region.tool("docker", "inspect", "--format", "{{.Config.Image}}", f"kontrol-{NAME}-control-plane").strip()
    arguments = ("create", "cluster", "--name", IMPOSTER, "--image", node, "--config", "-", "--kubeconfig", "/dev/null")
    try:
        region.tool("kind", *arguments, text=json.dumps(config))
        identity = json.loads(
            region.kubectl("get", "configmap", "kontrol-identity", "--namespace", "kontrol-system", "-o", "json")
        )
        for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            identity["metadata"].pop(key, None)
        region.kubectl("create", "namespace", "kontrol-system", cluster=IMPOSTER)
        region.kubectl("create", "--filename", "-", cluster=IMPOSTER, text=json.dumps(identity))
        yield IMPOSTER
    finally:
        region.tool("kind", "delete", "cluster", "--name", IMPOSTER)


def written(region: Region, cluster: str) -> list[str]:
    """Everything in a cluster that our field manager ever wrote."""
    kinds = "namespaces,configmaps,secrets,serviceaccounts,leases,deployments,statefulsets,services,crds"
    items = region.items(kinds, "--show-managed-fields", cluster=cluster)
    ours = [o for o in items if any(m["manager"] == "kontrol" for m in o["metadata"].get("managedFields", []))]
    return sorted(f"{o['kind']} {o['metadata']['name']}" for o in ours)


@pytest.mark.slow
def test_a_cluster_with_a_copied_identity_is_refused_and_sees_no_write(
    imposter: str, region: Region, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(region.tool("kind", "get", "kubeconfig", "--name", imposter), encoding="utf-8")
    refused = region.run("bootstrap", "-e", f"kubeconfig={kubeconfig}")
    assert refused.rc != 0
    assert "leads to another cluster" in refused.stdout
    assert written(region, imposter) == []
    own = region.run("bootstrap", env={"KUBECONFIG": str(kubeconfig), "K8S_AUTH_KUBECONFIG": str(kubeconfig)}).green()
    assert own.changed == 0
    assert written(region, imposter) == []


def test_of_two_at_once_one_writes_and_the_other_names_it(region: Region) -> None:
    both = [region.start("bootstrap"), region.start("bootstrap")]
    runs = [started.wait() for started in both]
    region.outputs += [run.stdout for run in runs]
    green = [run for run in runs if run.rc == 0]
    assert green, runs[0].stdout[-3000:]
    if len(green) == 1:
        loser = next(run for run in runs if run.rc != 0)
        holder = region.records()[-1]["run"]
        assert holder in loser.stdout, loser.stdout[-3000:]
    assert region.run("bootstrap").green().changed == 0
