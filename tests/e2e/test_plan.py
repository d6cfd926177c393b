"""A plan says what is done, exactly that is done, and drift names what somebody did by hand; on a real region."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import INVENTORY, NAME, Region, Run

pytestmark = pytest.mark.slow
Act = Callable[[Region], None]
HASH = re.compile(r"hash ([0-9a-f]{64})$", re.MULTILINE)


def planned(region: Region, inventory: Path | None = None) -> dict[str, Any]:
    """The plan that the playbook makes, as it was written."""
    done = region.run("plan", inventory=inventory).green()
    (found,) = HASH.findall(done.stdout)
    content: dict[str, Any] = json.loads((region.state / "plans" / found / "plan.json").read_text(encoding="utf-8"))
    assert content["hash"] == found
    return content


def spec(folder: Path, clickhouse: str) -> Path:
    """An inventory of the same region with other options of ClickHouse."""
    text = (INVENTORY / "region.yml").read_text(encoding="utf-8")
    assert "clickhouse: {}" in text
    (folder / NAME).mkdir(parents=True)
    (folder / NAME / "region.yml").write_text(text.replace("clickhouse: {}", f"clickhouse: {clickhouse}"), "utf-8")
    return folder / NAME


def test_an_unchanged_region_has_an_empty_plan_of_the_same_hash(region: Region) -> None:
    one, two = planned(region), planned(region)
    assert one["steps"] == two["steps"] == []
    assert one["hash"] == two["hash"]
    assert one["same"] > 50


def test_what_was_planned_is_done_and_nothing_else(region: Region, tmp_path: Path) -> None:
    before = region.pods()
    other = spec(tmp_path, "{clients: [{namespace: kontrol-verify, service_account: somebody}]}")
    plan = planned(region, other)
    ((step,), (change,)) = (plan["steps"], plan["steps"][0]["changes"])
    assert step["address"] == "AuthorizationPolicy.security.istio.io clickhouse/clickhouse"
    assert change["path"] == "spec.rules"
    assert "sa/somebody" in str(change["after"])
    assert "sa/somebody" not in str(change["before"])

    outdated = region.run("bootstrap", "-e", f"plan={plan['hash']}", inventory=spec(tmp_path / "b", "{clients: []}"))
    assert outdated.rc == 0, "what a plan does not need any more is no difference"
    other_value = spec(tmp_path / "c", "{clients: [{namespace: kontrol-verify, service_account: else}]}")
    stopped = region.run("bootstrap", "-e", f"plan={plan['hash']}", inventory=other_value)
    assert stopped.rc != 0
    assert "spec.rules is not as in the plan" in " ".join(stopped.stdout.split())
    assert stopped.changed == 0

    done = region.run("bootstrap", "-e", f"plan={plan['hash'][:8]}", inventory=other).green()
    assert done.actions == {(one["address"], one["action"]) for one in plan["steps"]}
    record = region.records()[-1]
    changed = {(one["object"], one["verb"]) for one in record["objects"] if one["verb"] != "none"}
    assert changed == done.actions, "the record does not say what the plan said"
    assert region.pods() == before
    region.run("bootstrap").green()


def test_a_plan_that_would_replace_the_cluster_is_shown_and_refused(region: Region, tmp_path: Path) -> None:
    text = (INVENTORY / "region.yml").read_text(encoding="utf-8")
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "region.yml").write_text(text.replace("pod_cidr: 10.62.", "pod_cidr: 10.60."), "utf-8")
    done = region.run("plan", inventory=tmp_path / NAME)
    assert done.rc != 0
    assert "replace Cluster kontrol-" in done.stdout
    assert "pod_cidr: 10.62.0.0/16 -> 10.60.0.0/16" in done.stdout
    found = HASH.findall(done.stdout)[0]
    refused = region.run("bootstrap", "-e", f"plan={found}", inventory=tmp_path / NAME)
    assert refused.rc != 0
    assert refused.changed == 0


def label_by_hand(region: Region) -> None:
    region.kubectl("label", "service", "clickhouse", "--namespace", "clickhouse", "hand=made")


def deleted_service(region: Region) -> None:
    region.kubectl("delete", "service", "clickhouse", "--namespace", "clickhouse")


def changed_replicas(region: Region) -> None:
    region.kubectl("scale", "deployment/target", "--namespace", "kontrol-verify", "--replicas=2")


def stopped_store(region: Region) -> None:
    region.tool("docker", "stop", f"kontrol-{NAME}-backup-store")


DRIFT: dict[Act, str] = {
    label_by_hand: r"added +Service clickhouse/clickhouse +metadata.labels.hand +nothing +made +kubectl-label",
    changed_replicas: r"differs +Deployment.apps kontrol-verify/target +spec.replicas +1 +2 +kubectl",
    stopped_store: rf"differs +BackupStore {NAME} +state +running +exited +nobody tells",
}


@pytest.fixture
def clean(region: Region) -> Iterator[Region]:
    assert region.run("drift").green().stdout.count(f"Region {NAME} is as declared") == 1
    yield region
    region.run("bootstrap", "-e", "take_back=kubectl,kubectl-label").green()


def test_drift_names_each_thing_with_its_owner_and_nothing_else(clean: Region) -> None:
    for damage in DRIFT:
        damage(clean)
    done = clean.run("drift")
    assert done.rc == 2, "a scheduler tells drift by this exit code"
    for line in DRIFT.values():
        assert re.search(line, done.stdout), f"{line} is not in\n{done.stdout[-3000:]}"
    assert f"{len(DRIFT)} found that are not as declared" in done.stdout
    command = re.search(r"To make it as declared: .*( -e take_back=\S+)", done.stdout)
    assert command, "it does not say how to go back"
    fixed = clean.run("bootstrap", *command[1].split()).green()
    assert ("Service clickhouse/clickhouse", "take_over") in fixed.actions
    again = clean.run("drift")
    assert again.rc == 0, again.stdout[-3000:]


def test_a_deleted_object_is_missing_and_plain_bootstrap_makes_it_again(clean: Region) -> None:
    deleted_service(clean)
    done = clean.run("drift")
    assert done.rc == 2
    assert re.search(r"missing +Service clickhouse/clickhouse", done.stdout)
    clean.run("bootstrap").green()
    assert clean.run("drift").rc == 0


def test_what_cannot_be_looked_at_is_not_called_drift(region: Region, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text("{}", encoding="utf-8")
    done: Run = region.run("drift", "-e", f"kubeconfig={nowhere}")
    assert done.rc == 4, done.stdout[-2000:]
    assert "could not be looked at" in done.stdout
