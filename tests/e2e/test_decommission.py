"""A region is ended: refused where it must be, killed anywhere and run again, half made or whole; nothing is left.

The regions here have a cluster and no component, so that each is made in half a minute; one with data is in
test_last_backup.py. What is left is looked for with docker, kind and in the file system, not only by our own proof.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Fleet, Say
from tests.e2e.harness import Region, Run, Started

SECONDS_TO_DIE = 5.0
AT_ONCE = 2  # of kind clusters, a machine with the usual 128 inotify instances holds five
Reached = Callable[[Region, Started], bool]


@dataclass(frozen=True)
class Moment:
    """A moment of a run: how it is known, the phase that status names, and what status then tells to be there."""

    reached: Reached
    phase: str
    there: str


def phase(name: str) -> Reached:
    return lambda _region, started: started.in_phase(name)


def child(*words: str) -> Reached:
    return lambda _region, started: started.has_child(*words)


def marked_as_going(region: Region, _started: Started) -> bool:
    """The record says that the cluster is being deleted, which is written before anything of it goes."""
    record = region.state / "cluster.json"
    try:
        return '"deleting"' in record.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def node_made(region: Region, _started: Started) -> bool:
    return bool(region.volumes())


ENDING = {
    "while the nodes go": Moment(child("rm -f -v", "-control-plane"), "cluster remove", r"identity +[0-9a-f]{8}-"),
    "before anything goes": Moment(phase("region last_backup"), "region last_backup", r"cluster +\S+ is running"),
    "before the nodes go": Moment(marked_as_going, "cluster remove", r"cluster +\S+ is (half made|absent)"),
    "while the foundation goes": Moment(
        child("docker", "stop", "-backup-store"), "foundation remove", r"secret store +2 secrets"
    ),
    "before the proof": Moment(phase("region nothing_left"), "region nothing_left", r"identity +not made yet"),
}
MAKING = {
    "before the backup store is there": Moment(phase("foundation deploy"), "foundation deploy", r"cluster +\S+ is abs"),
    "while the nodes are made": Moment(node_made, "cluster deploy", r"cluster +\S+ is half made"),
    "before the cluster is proven": Moment(phase("region prove"), "region prove", r"cluster +\S+ is running"),
}
INTERRUPTED = "interrupted"
REFUSED = "refused"
WHOLE = [REFUSED, *ENDING, INTERRUPTED]


def name_of(what: str) -> str:
    """The name of the region on which something is tried."""
    return f"dc{[*WHOLE, *MAKING].index(what) + 1}"


def declare(folder: Path, name: str, number: int, /, **blocks: dict[str, object]) -> None:
    """Declare a region with a cluster and, unless blocks say otherwise, no component."""
    cluster = {"pod_cidr": f"10.{70 + number}.0.0/16", "service_cidr": f"10.{170 + number}.0.0/16"}
    region = {"name": name, "driver": "kind", "profile": "development"}
    text = yaml.safe_dump({"region": {**region, **blocks.pop("region", {})}, "cluster": cluster, **blocks})
    (folder / name).mkdir(parents=True)
    (folder / name / "region.yml").write_text(f"---\n{text}", encoding="utf-8")


@dataclass
class Regions:
    """A region for each thing that is tried; whole ones are made two at once, when the first of them is needed."""

    bare: Region
    fleet: Fleet
    folder: Path
    made: set[str] = field(default_factory=set)

    def declared(self, what: str) -> Region:
        """Answer the region for it, which is declared and no more."""
        return self.bare.beside(name_of(what), self.folder)

    def whole(self, what: str) -> Region:
        """Answer the region for it, bootstrapped together with its neighbour."""
        start = WHOLE.index(what) // AT_ONCE * AT_ONCE
        batch = WHOLE[start : start + AT_ONCE]
        if what not in self.made:
            self.fleet("bootstrap", self.folder, *map(name_of, batch))
            self.made |= set(batch)
        return self.declared(what)


@pytest.fixture(scope="module")
def regions(fleet: Fleet, bare: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regions]:
    """All of them, declared in one folder; what a failed test leaves is removed at the end."""
    made = Regions(bare, fleet, tmp_path_factory.mktemp("inventories"))
    every = [*WHOLE, *MAKING]
    for number, what in enumerate(every):
        declare(made.folder, name_of(what), number)
    yield made
    for region in map(made.declared, every):
        if region.left(set()):
            region.decommission().green()


def end(region: Region) -> tuple[str, ...]:
    return ("-e", f"confirm={region.name}", "-e", f"remove_foundation={region.name}")


def killed(region: Region, started: Started, moment: Moment) -> str:
    """Kill a run when it is there, and answer what status tells of it."""
    started.until(lambda: moment.reached(region, started))
    started.kill_group()
    region.outputs.append(started.stdout())
    assert started.survivors(SECONDS_TO_DIE) == []
    return told(region, f'was killed during phase "{moment.phase}"', moment.there)


def told(region: Region, *patterns: str) -> str:
    """Answer what status tells, which is how the last run went, what is there, and how to go on."""
    text = region.run("status").green().stdout
    for pattern in (*patterns, "run the same command again", r"writer +nobody"):
        assert re.search(pattern, text), f"{pattern} is not in\n{text}"
    return text


def ended(region: Region, volumes: set[str]) -> Run:
    """Decommission it, and look for what is left in other places than the proof does."""
    done = region.run("decommission", *end(region)).green()
    assert "nothing is left: files of the region" in done.stdout
    assert region.left(volumes) == {}
    again = region.run("decommission", *end(region)).green()
    assert again.changed == 0
    return done


@pytest.mark.life
@pytest.mark.parametrize("what", ENDING)
def test_a_killed_decommission_is_repeated_and_nothing_is_left(what: str, regions: Regions, say: Say) -> None:
    region, start = regions.whole(what), time.monotonic()
    volumes = region.volumes()
    assert volumes, "a node without a volume: nothing could be left of it"
    killed(region, region.start("decommission", *end(region)), ENDING[what])
    done = ended(region, volumes)
    say(f"killed {what}: again {done.seconds:.1f} s, {time.monotonic() - start:.1f} s with all looks")


@pytest.mark.life
def test_an_interrupted_decommission_is_repeated_and_nothing_is_left(regions: Regions) -> None:
    region = regions.whole(INTERRUPTED)
    volumes, moment = region.volumes(), ENDING["while the nodes go"]
    started = region.start("decommission", *end(region))
    started.until(lambda: moment.reached(region, started))
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.wait().rc != 0
    assert started.survivors(SECONDS_TO_DIE) == []
    told(region, f'was interrupted during phase "{moment.phase}"')
    ended(region, volumes)


@pytest.mark.life
@pytest.mark.parametrize("what", MAKING)
def test_what_a_killed_bootstrap_made_is_decommissioned(what: str, regions: Regions, say: Say) -> None:
    region, start = regions.declared(what), time.monotonic()
    started = region.start("bootstrap")
    started.until(lambda: MAKING[what].reached(region, started))
    volumes = region.volumes()
    killed(region, started, MAKING[what])
    done = ended(region, volumes)
    say(f"bootstrap killed {what}: decommission {done.seconds:.1f} s, {time.monotonic() - start:.1f} s with all looks")


@pytest.fixture
def unharmed(regions: Regions) -> Iterator[Region]:
    """A whole region that is the same afterwards, save for the records of the runs that were refused."""
    region = regions.whole(REFUSED)

    def there() -> tuple[list[str], dict[str, bytes]]:
        ids = [region.tool("docker", "inspect", "-f", "{{.Id}}", one) for one in region.containers()]
        return ids, {name: data for name, data in region.files().items() if not name.startswith(("runs/", "lock"))}

    before = there()
    yield region
    assert there() == before


def refused(region: Region, *arguments: str, inventory: Path | None = None) -> str:
    done = region.run("decommission", *arguments, inventory=inventory)
    assert done.rc != 0, done.stdout[-3000:]
    assert done.changed == 0
    return " ".join(done.stdout.split())


def variant(region: Region, folder: Path, /, **blocks: dict[str, object]) -> Path:
    """Declare the same region with other blocks."""
    declare(folder, region.name, WHOLE.index(REFUSED), **blocks)
    return folder / region.name


@pytest.mark.life
def test_a_wrong_name_is_refused(unharmed: Region) -> None:
    assert f"add `-e confirm={unharmed.name}`" in refused(unharmed)
    assert '"madrid" was confirmed' in refused(unharmed, "-e", "confirm=madrid")
    other = refused(unharmed, "-e", f"confirm={unharmed.name}", "-e", "remove_foundation=madrid")
    assert '`remove_foundation` names "madrid"' in other


@pytest.mark.life
def test_a_protected_region_is_refused_and_check_says_so(unharmed: Region, tmp_path: Path) -> None:
    spec = variant(unharmed, tmp_path, region={"protected": True})
    assert "is protected" in refused(unharmed, *end(unharmed), inventory=spec)
    check = unharmed.run("decommission", *end(unharmed), "--check", inventory=spec)
    assert "A run would be refused" in check.stdout
    assert f"container {unharmed.cluster}-control-plane (running)" in check.stdout


@pytest.mark.life
def test_a_cluster_that_is_not_recorded_is_refused(unharmed: Region, tmp_path: Path) -> None:
    record = unharmed.state / "cluster.json"
    record.rename(tmp_path / "record")
    try:
        assert "was not made by this region" in refused(unharmed, *end(unharmed))
    finally:
        (tmp_path / "record").rename(record)


@pytest.mark.life
def test_without_a_proven_cluster_the_last_backup_has_to_be_declined(unharmed: Region, tmp_path: Path) -> None:
    """The spec declares a database; whether there is one cannot be asked."""
    spec = variant(unharmed, tmp_path, mesh={}, clickhouse={})
    node = f"{unharmed.cluster}-control-plane"
    for stop, start, why in (
        ("pause", "unpause", "is paused"),  # its identity cannot be reached
        ("stop", "start", "is stopped, so no last backup of clickhouse can be taken"),
    ):
        unharmed.tool("docker", stop, node)
        try:
            assert why in refused(unharmed, *end(unharmed), inventory=spec)
        finally:
            unharmed.tool("docker", start, node)


@pytest.mark.life
def test_a_region_whose_cluster_was_lost_is_ended_once_the_last_backup_is_declined(
    regions: Regions, tmp_path: Path
) -> None:
    region = regions.whole(REFUSED)
    spec, volumes = variant(region, tmp_path, mesh={}, clickhouse={}), region.volumes()
    region.tool("docker", "rm", "--force", "--volumes", f"{region.cluster}-control-plane")
    assert "is gone, and nobody decommissioned it" in refused(region, *end(region), inventory=spec)
    assert region.containers() == [f"{region.cluster}-backup-store"]
    region.run("decommission", *end(region), "-e", "last_backup=declined", inventory=spec).green()
    assert region.left(volumes) == {}
