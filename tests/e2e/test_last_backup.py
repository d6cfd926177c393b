"""The last backup of a region: taken before its cluster goes, also when that was killed, and restored afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Say
from tests.e2e.harness import INVENTORY, Region, Started
from tests.e2e.test_decommission import Moment, end, ended, killed, phase
from tests.e2e.test_recovery import query

pytestmark = pytest.mark.life
NAME = "dcdata"
ROWS = "1000\t499500"
NETWORKS = {"pod_cidr": "10.80.0.0/16", "service_cidr": "10.180.0.0/16"}
JOB = "clickhouse-backup"


@pytest.fixture(scope="module")
def declared(bare: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """A region declared as that of all tests, with a name and networks of its own."""
    spec = yaml.safe_load((INVENTORY / "region.yml").read_text(encoding="utf-8"))
    spec["region"]["name"], spec["cluster"] = NAME, NETWORKS
    folder = tmp_path_factory.mktemp("inventories")
    (folder / NAME).mkdir()
    (folder / NAME / "region.yml").write_text(f"---\n{yaml.safe_dump(spec)}", encoding="utf-8")
    region = bare.beside(NAME, folder)
    yield region
    if region.left(set()):
        region.decommission().green()


@pytest.fixture
def data(declared: Region) -> Region:
    """The region as it is declared, with rows in its database."""
    declared.run("bootstrap").green()
    query(declared, "CREATE TABLE IF NOT EXISTS market.kept (n UInt32) ENGINE = MergeTree ORDER BY n")
    query(declared, "TRUNCATE TABLE market.kept")
    query(declared, "INSERT INTO market.kept SELECT number FROM numbers(1000)")
    return declared


def backing_up(region: Region, _started: Started) -> bool:
    """The pod of the backup's Job is there."""
    found = region.kubectl("get", "pods", "--namespace", "clickhouse", "--output", "json", check=False)
    names = [one["metadata"]["name"] for one in json.loads(found or "{}").get("items", [])]
    return any(JOB in name for name in names)


WITH_THE_LEASE = Moment(phase("clickhouse backup"), "clickhouse backup", r"cluster +\S+ is running")
DURING_THE_BACKUP = Moment(backing_up, "clickhouse backup", r"clickhouse +deployed")


def lease_holder(region: Region) -> str:
    where = ("lease", "--namespace", "kontrol-system", "--output", "jsonpath={.items[*].spec.holderIdentity}")
    return region.kubectl("get", *where)


def backups(region: Region) -> list[Path]:
    """Manifests in the store, which make a backup one: a line for each table."""
    return sorted((region.state / "backups" / "data").rglob("manifests/*.jsonl"))


def rows_of(manifest: Path) -> dict[str, int]:
    """The rows that a backup holds, by table."""
    found = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return {one["table"]: int(one["least"]) for one in found}


def test_an_identity_out_of_reach_is_refused(data: Region) -> None:
    pods = data.pods()
    data.tool("docker", "pause", f"{data.cluster}-control-plane")
    try:
        refused = data.run("decommission", *end(data))
    finally:
        data.tool("docker", "unpause", f"{data.cluster}-control-plane")
    assert refused.rc != 0
    assert refused.changed == 0
    assert "is paused" in refused.stdout
    data.run("verify").green()
    assert data.pods() == pods


def test_the_last_backup_is_in_the_store_afterwards_and_brings_the_rows_back(data: Region, say: Say) -> None:
    pods, volumes, before = data.pods(), data.volumes(), backups(data)
    confirmed = ("-e", f"confirm={data.name}")
    killed(data, data.start("decommission", *confirmed), WITH_THE_LEASE)
    assert (data.pods(), lease_holder(data)) == (pods, ""), "the killed run is felt"

    done = data.run("decommission", *confirmed).green()
    made = [one for one in backups(data) if one not in before]
    assert [rows_of(one).get("market.kept") for one in made] == [1000]
    left = data.left(volumes)
    assert left.pop("containers") == [f"{data.cluster}-backup-store"]
    assert set(left) == {"files"}
    assert {"identity.json", "age.key", "secrets.sops.json", "backups"} <= set(left["files"])
    assert not {"cluster.json", "kubeconfig"} & set(left["files"])
    assert data.run("decommission", *confirmed).green().changed == 0

    start = time.monotonic()
    data.run("bootstrap").green()
    restored = data.run("restore").green()
    assert query(data, "SELECT count(), sum(n) FROM market.kept") == ROWS
    say(
        f"decommission with a last backup: {done.seconds:.0f} s; bootstrap and restore {time.monotonic() - start:.0f} s"
        f", of that the restore {restored.seconds:.0f} s"
    )


def test_killed_during_the_last_backup_it_is_repeated_and_nothing_is_left(data: Region, say: Say) -> None:
    volumes = data.volumes()
    killed(data, data.start("decommission", *end(data)), DURING_THE_BACKUP)
    assert query(data, "SELECT count(), sum(n) FROM market.kept") == ROWS
    done = ended(data, volumes)
    assert "backup is complete" in done.stdout
    say(f"killed during the last backup, again with a backup and to the end: {done.seconds:.0f} s")
