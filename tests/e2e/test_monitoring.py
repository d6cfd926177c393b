"""Alerts arrive for real and clear; verify goes red when a target is gone or a group of rules is dropped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.e2e.backup_jobs import BackupJobs, other_secret
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


@contextmanager
def sooner(region: Region, component: str, *alerts: str) -> Iterator[None]:
    """Shorten the time for which alerts of a component's backups must hold, and nothing else of them."""
    name, where = f"{component}-{component}-backups", ("--namespace", component)
    rule = json.loads(region.kubectl("get", "prometheusrule", name, *where, "--output", "json"))
    for one in rule["spec"]["groups"][0]["rules"]:
        one["for"] = "20s" if one["alert"] in alerts else one.get("for", "0s")
    region.kubectl("patch", "prometheusrule", name, *where, "--type", "merge", "--patch", json.dumps(rule))
    try:
        yield
    finally:
        region.kubectl("delete", "prometheusrule", name, *where)  # bootstrap makes it anew, as it is shipped


LOGINS = {"clickhouse": "admin", "neo4j": "neo4j"}
"""Component with backups -> whose password its Job has."""
WRONG = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": {"password": "CANARY-no"}}
FAILED = ("ClickHouseBackupFailed", "Neo4jBackupFailed")
AWAY = ("ClickHouseBackupStoreUnreachable", "Neo4jBackupStoreUnreachable")


def fail(jobs: BackupJobs, login: str) -> None:
    """Have a backup made with a wrong password."""
    jobs.kubectl("apply", "--filename", "-", text=json.dumps(WRONG))
    assert jobs.end_of(jobs.start("wrong", other_secret(login, "wrong"))) == "Failed"


def told(status: str, *alerts: str) -> set[tuple[str, str]]:
    return {(name, status) for name in alerts}


def test_failed_backups_and_a_store_that_is_away_are_told_and_clear(region: Region, say: Say) -> None:
    region.run("backup").green()
    began, store = time.time(), f"{region.cluster}-backup-store"
    with ExitStack() as stack:
        for component, login in LOGINS.items():
            stack.enter_context(sooner(region, component, *FAILED, *AWAY))
            jobs = BackupJobs(region, component)
            stack.callback(jobs.clean)
            fail(jobs, login)
        fired = wait_for(region, told("firing", *FAILED), began)
        region.tool("docker", "stop", store)
        try:
            away = wait_for(region, told("firing", *AWAY), began)
        finally:
            region.tool("docker", "start", store)
        back = wait_for(region, told("resolved", *AWAY), began)
        assert not told("resolved", *FAILED) & received(region, began), "what was seen last stays"
        region.run("backup").green()
        cleared = wait_for(region, told("resolved", *FAILED), began)
    say(
        f"alerts of failed backups arrived {fired:.0f} s after their end and cleared {cleared:.0f} s after good ones, "
        f"those of the store {away:.0f} s after its stop and {back:.0f} s after its start"
    )
    region.run("bootstrap").green()


LONG_SECONDS = 200


def test_a_long_dump_of_neo4j_pages_nobody_and_a_server_that_stays_away_does(region: Region, say: Say) -> None:
    began = time.time()
    jobs = BackupJobs(region, "neo4j")
    unseen = {("Neo4jUnseen", "firing")}
    job = jobs.start("long", slow_dump)
    try:
        jobs.until(job, "dump")
        started = time.monotonic()
        while time.monotonic() - started < LONG_SECONDS:
            assert not unseen & received(region, began)
            time.sleep(10)
        assert jobs.end_of(job) == "Complete"
        outage = time.monotonic() - started
        assert not unseen & received(region, began)
        region.kubectl("scale", "statefulset/neo4j", "--namespace", "neo4j", "--replicas=0")
        fired = wait_for(region, unseen, began)
    finally:
        jobs.clean()
        region.run("bootstrap").green()
    wait_for(region, {("Neo4jUnseen", "resolved")}, began)
    say(f"an outage of {outage:.0f} s by a backup paged nobody; one that nobody meant did after {fired:.0f} s")


def slow_dump(job: dict[str, Any]) -> None:
    """Let the dump of a backup take longer than two minutes."""
    containers = job["spec"]["template"]["spec"]["initContainers"]
    (dump,) = (one for one in containers if one["name"] == "dump")
    dump["command"] = ["/bin/bash", "-c", f'sleep {LONG_SECONDS}; exec "$@"', "-", *dump["command"]]


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
