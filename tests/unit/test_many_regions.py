"""Many regions in one command: each has a plan of its own, and one that cannot be reached costs the others nothing."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import access, identity
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import READY, ClusterSpec, Record
from ansible_collections.kontrol.platform.plugins.module_utils.identity import Identity
from benchmarks.fleet import Regions

pytestmark = pytest.mark.lab
Make = Callable[[int], Regions]
STEPS = {"Identity", "Cluster", "Deployment.apps", "StatefulSet.apps", "CustomResourceDefinition.apiextensions.k8s.io"}
ENGINE = """#!/bin/sh
case "$*" in
{found}
*) exec {real} "$@" ;;
esac
"""


@pytest.fixture
def make(tmp_path: Path, lab_facts: Path) -> Make:
    """Regions of which none exists; `make` gives as many as are asked for."""
    return lambda count: Regions(tmp_path / "regions", count, lab_facts)


def plan_of(regions: Regions, region: str) -> dict[str, Any]:
    (file,) = regions.state.glob(f"{region}/plans/*/plan.json")
    plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return plan


def names(regions: Regions) -> list[str]:
    return sorted(folder.name for folder in regions.inventory.iterdir())


def kinds(plan: dict[str, Any]) -> set[str]:
    return {step["address"].partition(" ")[0] for step in plan["steps"]}


def test_five_regions_at_once_have_a_plan_each_and_the_same_one_twice(make: Make) -> None:
    regions = make(5)
    first = regions.plan()
    assert first.rc == 0, first.text[-3000:]
    hashes = regions.hashes()
    assert sorted(hashes) == names(regions)
    assert len({one for found in hashes.values() for one in found}) == 5, "two regions share a plan"
    for name in names(regions):
        plan = plan_of(regions, name)
        assert (plan["region"], plan["failure"]) == (name, "")
        assert len(plan["steps"]) > 100
        assert kinds(plan) >= STEPS
        assert {step["action"] for step in plan["steps"]} == {"create"}
        assert not any(other in json.dumps(plan) for other in names(regions) if other != name)
    again = regions.plan()
    assert again.rc == 0, again.text[-3000:]
    assert regions.hashes() == hashes, "a second look made other plans"
    assert len(list((regions.folder / "cache" / "kontrol" / "objects").glob("*.json"))) == 3, "two charts, one manifest"
    assert first.seconds + again.seconds < 120


def nobody_there() -> str:
    """A kubeconfig of an address at which nobody listens, with the CA certificate of this machine's choice."""
    certificate = ssl.create_default_context().get_ca_certs(binary_form=True)[0]
    pem = base64.b64encode(ssl.DER_cert_to_PEM_cert(certificate).encode()).decode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    entries = {
        "clusters": [{"name": "c", "cluster": {"server": address, "certificate-authority-data": pem}}],
        "users": [{"name": "u", "user": {"token": "CANARY-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **entries})


def cluster(regions: Regions, region: str, kubeconfig: str, *, running: bool) -> None:
    """Have state, engine and kind tell of a cluster of a region; both programs are asked for all else."""
    folder, node = regions.state / region, f"node-of-{region}"
    folder.mkdir(mode=0o700)
    way = access.parse(kubeconfig, "kind")
    own = Identity(region, "11111111-1111-4111-8111-111111111111", "r1", "2026-11-25T00:00:00Z")
    (folder / identity.FILE).write_text(json.dumps(asdict(own)))
    declared = (regions.inventory / region / "region.yml").read_text(encoding="utf-8")
    networks = [re.findall(rf"{option}: (\S+)", declared)[0] for option in ("pod_cidr", "service_cidr")]
    record = Record(
        READY, "kind", f"kontrol-{region}", "r1", "2026-11-25T00:00:00Z", way.api_server, way.ca_sha256, "v1",
        (node,), spec=asdict(ClusterSpec(*networks)),
    )  # fmt: skip
    (folder / "cluster.json").write_text(json.dumps(asdict(record)))
    seen = {"Id": node, "Name": f"/{node}", "Created": "2026-11-25T00:00:01Z", "Config": {"Image": "v1"}}
    told = [{**seen, "State": {"Running": running, "Status": "running" if running else "exited"}}]
    (regions.folder / f"{node}.json").write_text(json.dumps(told))
    (regions.folder / f"kontrol-{region}.kubeconfig").write_text(kubeconfig)


def tell_of_clusters(regions: Regions, *told: str) -> None:
    """Put programs before Docker and kind that answer for these regions."""
    lab = regions.state / "lab.json"
    facts = json.loads(lab.read_text(encoding="utf-8"))
    cases = {
        "docker": [
            line
            for name in told
            for line in (
                f"*label=io.x-k8s.kind.cluster=kontrol-{name}) echo node-of-{name} ;;",
                f"'container inspect node-of-{name}') cat {regions.folder}/node-of-{name}.json ;;",
            )
        ],
        "kind": [
            f"'get kubeconfig --name kontrol-{name}') cat {regions.folder}/kontrol-{name}.kubeconfig ;;"
            for name in told
        ],
    }
    for tool, found in cases.items():
        program = regions.folder / tool
        program.write_text(ENGINE.format(found="\n".join(found), real=facts["tools"][tool]))
        program.chmod(0o700)
        facts["tools"][tool] = str(program)
    lab.write_text(json.dumps(facts))


def test_a_region_that_cannot_be_reached_fails_by_itself_and_the_others_have_their_plans(
    make: Make,
) -> None:
    regions = make(4)
    one, gone, stopped, other = names(regions)
    kubeconfig = nobody_there()
    cluster(regions, gone, kubeconfig, running=True)
    cluster(regions, stopped, kubeconfig, running=False)
    tell_of_clusters(regions, gone, stopped)
    done = regions.plan()
    assert done.rc == 2, done.text[-3000:]
    for name in (one, other):
        assert (plan_of(regions, name)["failure"], kinds(plan_of(regions, name)) >= STEPS) == ("", True)
    assert "refuses connections" in plan_of(regions, gone)["failure"]
    assert f"Cluster kontrol-{stopped} is stopped" in plan_of(regions, stopped)["failure"]
    for name in (gone, stopped):
        assert kinds(plan_of(regions, name)) <= {
            "SecretStore",
            "StoredSecret",
            "BackupBucket",
            "BackupStore",
            "Cluster",
        }
        assert plan_of(regions, name)["refusals"]
    summary = done.text[done.text.index("\nRun ") :]
    assert summary.count("\nRun ") == 1
    assert re.search(r"of plan in 4 regions \(check mode\): 2 ok, 2 failed\n", summary)
    for name, how in ((one, "ok"), (other, "ok"), (gone, "FAILED"), (stopped, "FAILED")):
        assert re.search(rf"^{how} +{name}\b", summary, re.MULTILINE), summary
    whole = " ".join(summary.split())
    assert "refuses connections" in whole
    assert "is stopped, so nobody can tell what is in it" in whole
    assert "CANARY" not in done.text
