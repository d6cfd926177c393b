"""A second store: backups are copied there, it brings them back when the first is lost, and costs nothing when down.

The second store is a server beside the region's own on the network of kind, with keys of its own and nothing on disk.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from images.tools.kontrol_tools import backups, s3
from tests.e2e.backup_jobs import BackupJobs
from tests.e2e.conftest import Say
from tests.e2e.database_lab import Relay, docker, start_store, wait_until
from tests.e2e.harness import ROOT, Region
from tests.e2e.test_decommission import declare
from tests.e2e.test_neo4j_backup import ACCOUNTS, FILL, Graphs
from tests.e2e.test_neo4j_dump import local
from tests.e2e.test_recovery import query

pytestmark = pytest.mark.life
NAME = "copies"
NUMBER = 16  # of its networks, see declare
NETWORK = "kind"
BUCKET = "kontrol-copies"
KEYS = ("second", f"CANARY-{secrets.token_hex(12)}")
GIVEN = dict(zip(("second-store/access-key", "second-store/secret-key"), KEYS, strict=True))
COMPONENTS = ("clickhouse", "neo4j")
TABLE = "CREATE TABLE IF NOT EXISTS market.kept (n UInt32) ENGINE = MergeTree ORDER BY n"
SUM = "SELECT count(), sum(n) FROM market.kept"
TOLD = re.compile(r"^kontrol_backup_second_store_(\w+)\{.*\} (\S+)$", re.MULTILINE)
LOOK_SECONDS = 150
"""Until the probe has looked at the store once more; names that nobody had are remembered for half a minute, too."""


@dataclass
class Copies:
    """The region, its graph, and the container of its second store."""

    region: Region
    graph: Graphs
    store: str

    def first(self, component: str) -> backups.Place:
        """Where the backups of a component lie."""
        return BackupJobs(self.region, component).place

    def second(self, component: str) -> backups.Place:
        """Where their copies lie."""
        port = docker("port", self.store, "7070/tcp").splitlines()[0].rpartition(":")[2]
        return backups.Place(s3.Store(f"http://127.0.0.1:{port}", "us-east-1", *KEYS), BUCKET, component)

    def copied(self) -> bool:
        """Whether the second store has the backups of the first one, and has some."""
        pairs = [(backups.good(self.first(one)), backups.good(self.second(one))) for one in COMPONENTS]
        return all(here and here == there for here, there in pairs)

    def everything(self) -> dict[str, int]:
        """All that is in the second store."""
        place = self.second("")
        return s3.sizes(place.store, BUCKET, "")

    def told(self) -> dict[str, float]:
        """What the probe of the graph tells of the second store; nothing while it starts."""
        try:
            with (
                self.region.forwarded("neo4j", "neo4j-0", 9464) as address,
                urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer,
            ):
                return {name: float(value) for name, value in TOLD.findall(answer.read().decode())}
        except (OSError, IndexError):
            return {}

    def until_told(self, name: str, value: float) -> None:
        """Wait until the probe tells so; what it can reach, the Jobs can."""
        wait_until(lambda: self.told().get(name) == value, LOOK_SECONDS)


def give(region: Region) -> None:
    """Give the keys as a person does."""
    for name, value in GIVEN.items():
        argv = [sys.executable, "-m", "tools.give_secret", region.name, name]
        done = subprocess.run(argv, cwd=ROOT, env=region.env, input=value, capture_output=True, text=True, check=False)
        region.outputs.append(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def copies(bare: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """A region with both databases and a second store, and rows in each."""
    folder = tmp_path_factory.mktemp("inventories")
    later = time.gmtime(time.time() + 43_200)
    schedule: dict[str, object] = {"backup_schedule": f"{later.tm_min} {later.tm_hour} * * *"}  # none by itself
    store = f"second-store-{secrets.token_hex(3)}"
    second: dict[str, object] = {"second_store": {"endpoint": f"http://{store}:7070", "bucket": BUCKET}}
    declare(folder, NAME, NUMBER, foundation=second, mesh={}, clickhouse=schedule, neo4j=schedule)
    region = bare.beside(NAME, folder)
    try:
        refused = region.run("bootstrap")
        said = " ".join(refused.stdout.split())
        assert refused.rc != 0
        assert f"python -m tools.give_secret {NAME} second-store/access-key" in said
        assert region.cluster not in region.tool("kind", "get", "clusters").split()
        give(region)
        region.run("bootstrap").green()
        image = local(region, next(ref for ref in region.lab["images"] if "versitygw" in ref))
        disk = ("--user", "0", "--tmpfs", "/data:size=200m")  # after a stop Docker gives it to root, whoever had it
        start_store(store, NETWORK, image, *disk, keys=KEYS)
        graph = Graphs(region, BackupJobs(region, "neo4j"), Relay(""), "")
        graph.cypher(FILL)
        query(region, TABLE)
        query(region, "INSERT INTO market.kept SELECT number FROM numbers(1000)")
        made = Copies(region, graph, store)
        made.until_told("reachable", 1.0)
        yield made
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", store], capture_output=True, check=False)
        if region.left(set()) and not os.environ.get("E2E_KEEP"):
            region.decommission().green()


def test_each_backup_is_copied_with_those_that_it_builds_on(copies: Copies, say: Say) -> None:
    done = copies.region.run("backup").green()
    assert "copied to the second store" in done.stdout
    query(copies.region, "INSERT INTO market.kept SELECT number + 1000 FROM numbers(1000)")
    copies.region.run("backup").green()
    assert copies.copied()
    newest, before = backups.good(copies.second("clickhouse"))
    assert newest.base == before.backup
    listed = copies.region.run("backups", "-e", "store=second").green()
    assert all(one.backup in listed.stdout for one in (newest, before))
    say(f"a backup of both databases with its copy: {done.seconds:.0f} s")


def test_the_probe_tells_of_the_newest_copy(copies: Copies) -> None:
    newest = backups.good(copies.second("neo4j"))[0].started
    copies.until_told("newest_good_timestamp_seconds", newest)


def test_after_the_loss_of_the_first_store_the_second_brings_all_back(copies: Copies, say: Say) -> None:
    region = copies.region
    sum_before = query(region, SUM)
    for folder in ("data", "versions"):
        for lost in (region.state / "backups" / folder).glob("kontrol-backups*"):
            shutil.rmtree(lost)
    region.run("bootstrap").green()
    for component in COMPONENTS:
        assert backups.good(copies.first(component)) == []
    query(region, "TRUNCATE TABLE market.kept")
    copies.graph.cypher("MATCH (a:Account) WHERE a.id <= 100 DETACH DELETE a")
    without = region.run("restore", "-e", f"confirm={NAME}")
    assert without.rc != 0
    assert "has no good backup of clickhouse" in " ".join(without.stdout.split())

    there = copies.everything()
    restored = region.run("restore", "-e", "store=second", "-e", f"confirm={NAME}").green()
    assert query(region, SUM) == sum_before
    assert copies.graph.holds(), f"{ACCOUNTS} accounts"
    assert copies.everything() == there, "it was only read"
    say(f"restore of both databases from the second store, on it and off it again: {restored.seconds:.0f} s")


def test_afterwards_the_region_is_on_its_own_store_again(copies: Copies) -> None:
    for component in COMPONENTS:
        assert KEYS[0] not in BackupJobs(copies.region, component).keys
        assert BackupJobs(copies.region, component).get("cronjob", f"{component}-backup")
    assert copies.region.run("bootstrap").green().changed == 0
    copies.region.run("backup").green()
    for component in COMPONENTS:
        here, there = backups.good(copies.first(component)), backups.good(copies.second(component))
        assert len(here) == 1
        assert here == there[:1]
        assert len(there) == 3, "those of before are kept"


def test_a_second_store_that_is_down_makes_the_job_red_and_is_made_up_for(copies: Copies) -> None:
    docker("stop", "--time", "1", copies.store)
    before = {one: backups.good(copies.first(one)) for one in COMPONENTS}
    run = copies.region.run("backup")
    assert run.rc != 0
    assert "is complete, but not in the second store: " in " ".join(run.stdout.split())
    job = copies.graph.jobs.start("away")
    assert copies.graph.jobs.end_of(job) == "Failed"
    error = copies.graph.jobs.error(job)
    assert "is complete, but not in the second store: " in error
    for component in COMPONENTS:
        place = copies.first(component)
        made, *others = backups.good(place)
        assert others == before[component]
        told = backups.last_attempt(place)
        assert (told["ok"], made.backup in told["error"]) == (False, True)
    copies.graph.jobs.clean()
    copies.graph.serves()

    copies.until_told("reachable", 0.0)
    docker("start", copies.store)
    copies.until_told("reachable", 1.0)
    copies.region.run("backup").green()
    for component in COMPONENTS:
        assert backups.last_attempt(copies.first(component))["ok"] is True
    assert copies.copied(), "what it had before was in its memory: all of it is copied again"


def test_no_output_holds_a_key(copies: Copies) -> None:
    assert KEYS[1] not in "".join(copies.region.outputs)
    kinds = "pods,configmaps,jobs,cronjobs,statefulsets,events"
    assert KEYS[1] not in copies.region.kubectl("get", kinds, "--all-namespaces", "-o", "json", "--show-managed-fields")
