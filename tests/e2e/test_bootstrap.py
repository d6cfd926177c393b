"""Bootstrap, bootstrap again, and check mode before, between and after: it tells the next run and does nothing."""

from __future__ import annotations

import json
import os
import statistics

from tests.e2e.conftest import FirstRun, Say
from tests.e2e.harness import CLUSTER, Region, Run

OURS = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,authorizationpolicies,namespaces"
QUIET_LOAD = 3.0  # a cluster at rest on two cores has about one


def recorded(region: Region) -> set[tuple[str, str]]:
    """The (object, verb) pairs that the newest run recorded."""
    return {(entry["object"], entry["verb"]) for entry in region.records()[-1]["objects"] if entry["verb"] != "none"}


def versions(region: Region) -> dict[str, str]:
    """Resource version of each object that is ours, so that any write shows; controllers write to theirs."""
    return {
        f"{o['kind']} {o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o["metadata"]["resourceVersion"]
        for o in region.items(OURS, "--selector", "app.kubernetes.io/managed-by=kontrol")
    }


def tells_the_truth(check: Run, region: Region) -> None:
    """What check printed is what the run after it recorded, except what only that run could know."""
    done = {(thing, verb) for thing, verb in recorded(region) if thing not in check.unknown}
    assert check.actions == done


def test_the_first_check_is_green_and_leaves_nothing(first: FirstRun) -> None:
    first.check.green()
    assert first.left_by_check == {}
    assert CLUSTER not in first.clusters_after_check.split()


def test_the_first_check_tells_what_the_first_run_does(first: FirstRun, region: Region) -> None:
    objects = {(e["object"], e["verb"]) for e in region.records()[0]["objects"] if e["verb"] != "none"}
    assert objects, "the first run recorded nothing"
    assert first.check.actions == {(o, v) for o, v in objects if o not in first.check.unknown}
    assert {thing for thing, _verb in objects} >= first.check.unknown


def test_every_check_of_verify_is_green(first: FirstRun, region: Region) -> None:
    first.real.green()
    report = json.loads(min(region.state.glob("runs/*/report.json")).read_text(encoding="utf-8"))
    assert report["checks"]
    assert [c for c in report["checks"] if not c["ok"]] == []


def test_again_nothing_changes_and_no_pod_moves(region: Region, say: Say) -> None:
    before = region.pods()
    busy = os.getloadavg()[0] > QUIET_LOAD
    runs = [region.run("bootstrap").green() for _ in range(3)]
    seconds = ", ".join(f"{run.seconds:.1f}" for run in runs)
    say(f"seconds of a bootstrap that changes nothing: {seconds}{', on a busy machine' if busy else ''}")
    assert [(run.changed, run.verdicts) for run in runs] == [(0, {})] * 3
    assert region.pods() == before
    assert busy or statistics.median(run.seconds for run in runs) <= 30, "slow, although the machine was quiet"


def test_check_after_finds_nothing_and_writes_nothing(region: Region) -> None:
    files, objects = region.files(), versions(region)
    check = region.run("bootstrap", "--check", "--diff").green()
    assert (check.changed, check.verdicts) == (0, {})
    assert region.files() == files
    assert versions(region) == objects


def test_check_between_tells_what_the_next_run_does(region: Region) -> None:
    namespace = ("--namespace", "clickhouse")
    region.kubectl("delete", "authorizationpolicies,poddisruptionbudgets", "--all", *namespace)
    region.kubectl("label", "service", "clickhouse", "kontrol.dev/component-", *namespace)
    objects = versions(region)
    check = region.run("bootstrap", "--check", "--diff").green()
    assert {verb for _thing, verb in check.actions} == {"create", "update"}
    assert versions(region) == objects
    region.run("bootstrap").green()
    tells_the_truth(check, region)
    assert region.run("bootstrap").green().changed == 0
