"""Alerts arrive for real and clear; verify goes red when a target is gone or a group of rules is dropped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Say
from tests.e2e.harness import CLUSTER, Region

pytestmark = pytest.mark.whole
Act = Callable[[Region], None]
PATIENCE_SECONDS = 240
TOLD_SECONDS = 75  # until the operator has told the kubelet, and the kubelet Prometheus
READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8090/alerts').read().decode())"


def received(region: Region, since: float) -> set[tuple[str, str]]:
    """What the test receiver got since then: (alert, firing or resolved)."""
    where = ("--namespace", "monitoring", "deployment/alert-receiver", "--container", "receiver")
    answer = region.kubectl("exec", *where, "--", "python3", "-c", READ)
    alerts: list[dict[str, Any]] = json.loads(answer)
    return {(one["labels"]["alertname"], one["status"]) for one in alerts if one["received"] >= since}


def wait_for(region: Region, wanted: set[tuple[str, str]], since: float) -> float:
    """Wait until the receiver got all of it; answer how many seconds it took."""
    start = time.monotonic()
    while missing := wanted - received(region, since):
        assert time.monotonic() - start < PATIENCE_SECONDS, f"not received: {sorted(missing)}"
        time.sleep(3)
    return time.monotonic() - start


def signalled(region: Region, name: str, signal: str) -> None:
    """Signal every process on the node whose command line holds this name."""
    region.tool("docker", "exec", f"{CLUSTER}-control-plane", "pkill", f"-{signal}", "-f", name)


@contextmanager
def stopped(region: Region, *names: str) -> Iterator[None]:
    """Programs that hang, as far as their clients can tell, for as long as the block runs."""
    for name in names:
        signalled(region, name, "STOP")
    try:
        yield
    finally:
        for name in names:
            signalled(region, name, "CONT")


def istiod(region: Region, replicas: int) -> None:
    region.kubectl("scale", "deployment/istiod", "--namespace", "istio-system", f"--replicas={replicas}")


def test_three_alerts_arrive_and_clear(region: Region, say: Say) -> None:
    began = time.time()
    names = ["TargetDown", "MeshWithoutControlPlane", "ClickHouseProbeFailing"]
    istiod(region, 0)
    try:
        with stopped(region, "node_exporter", "clickhouse_stand_in"):
            fired = wait_for(region, {(name, "firing") for name in names}, began)
    finally:
        istiod(region, 1)
    cleared = wait_for(region, {(name, "resolved") for name in names}, began)
    say(f"alerts {', '.join(names)} arrived {fired:.0f} s after the damage, and cleared {cleared:.0f} s after its end")
    region.run("bootstrap").green()


def no_target(region: Region) -> None:
    region.kubectl("delete", "servicemonitor", "node-exporter", "--namespace", "monitoring")


def unlabelled_target(region: Region) -> None:
    """A monitor that Prometheus does not select, the most reported mistake of all."""
    where = ("--namespace", "monitoring", "servicemonitor", "coredns")
    region.kubectl("label", *where, "kontrol.dev/component-")


def no_rules(region: Region) -> None:
    region.kubectl("delete", "prometheusrule", "mesh-mesh", "--namespace", "monitoring")


def no_collector(region: Region) -> None:
    """Take the collector out of a database's pod, as somebody does who is short of memory."""
    patch = [{"op": "remove", "path": f"/spec/template/spec/containers/{collector_index(region)}"}]
    where = ("statefulset", "clickhouse", "--namespace", "clickhouse")
    region.kubectl("patch", *where, "--type", "json", "--patch", json.dumps(patch))
    region.kubectl("rollout", "status", *where, "--timeout", "300s")


def collector_index(region: Region) -> int:
    (found,) = (one for one in region.items("statefulsets") if one["metadata"]["name"] == "clickhouse")
    names = [container["name"] for container in found["spec"]["template"]["spec"]["containers"]]
    return names.index("collector")


@pytest.mark.parametrize(
    "damage", [no_target, unlabelled_target, no_rules, no_collector], ids=lambda damage: damage.__name__
)
def test_verify_sees_what_is_watched_no_more(damage: Act, region: Region) -> None:
    damage(region)
    time.sleep(TOLD_SECONDS)
    done = region.run("verify")
    assert done.rc != 0
    assert re.search(r"^FAIL +(applied and ready|target is up)", done.stdout, re.MULTILINE), done.stdout[-3000:]
    region.run("bootstrap").green()
