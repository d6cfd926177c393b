"""What does the engine's restore cost beside the databases' own commands: the same backup, the same pods, three rounds.

    python benchmarks/recovery.py [--json FILE] [--rows 5000000] [--nodes 200000] [--relationships 500000] [--rounds 3]

A region of its own, `bench` (mesh, both databases, nothing else), is bootstrapped, filled through the databases
themselves, and backed up by `playbooks/backup.yml`. In each round that backup is restored by the bare commands and then
by `playbooks/restore.yml`; after the last one `playbooks/dr_drill.yml` (fault database) is run once. The region is
removed at the end, also after a failure (`--keep`: it stays).

Bare, ClickHouse: the clock starts before `DROP DATABASE ... SYNC` of the four databases and stops when `RESTORE` of
them, one statement, was answered. Bare, Neo4j: from the start of `neo4j-admin database load` to its end, in a pod with
the volume of the stopped server, its memory limit, and the dump beside it; the clock is in the pod. Not in it: to stop
and to start the server, to fetch the dump, to look at what came back.

Engine, ClickHouse: from the moment its Job begins to work on the server (which is a moment before its first write) to
the end of its comparison, as the Job tells it. Engine, Neo4j: from the start of the container that loads (its first
write) to the end of the task that compares. So a start of the server is in it: what does not run cannot be compared.
Not in it: Ansible's own start, the choice of the backup, the start of the Job that restores, the download of the dump,
all that comes after the comparison (schema files, verify). The whole playbook and Neo4j's outages are told beside.

Where the time goes:

- `RESTORE`, `canaries`: as ClickHouse tells them itself (`system.backups`); `drop, looks`: what else the restore did.
- `load`: the container, with putting the graph in its place. Kubernetes tells its start and end in whole seconds, cut:
  up to a second too much for the engine. `Job ends`: from then on to the end of the task; `server starts`: to the
  beginning of the task that compares; `Job starts`: what that one takes besides comparing.
- `compare`: as the Jobs tell it.

Exit code 1 when something could not be measured, the drill was red, or the median of a database's rounds is more than
`--limit` percent above the bare command (20); which parts that is, is told. Other work on the machine changes all of
it: the load is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that it also runs as a program

from benchmarks import recovery_region as regions  # noqa: E402 - it is found from here on
from benchmarks.recovery_region import CLICKHOUSE, NAME, NEO4J, clickhouse, say  # noqa: E402 - it is found from here on
from tests.e2e.harness import Region  # noqa: E402 - it is found from here on

LIMIT = 20.0
_LOAD = '.status.initContainerStatuses[?(@.name=="load")].state.terminated'
LOADED = f'{{{_LOAD}.startedAt}} {{{_LOAD}.finishedAt}}{{"\\n"}}'
RESTORES = (
    "SELECT toFloat64(start_time) AS began, toFloat64(end_time) AS ended FROM system.backups"
    " WHERE status = 'RESTORED' AND start_time >= toDateTime64({since:Float64}, 6) ORDER BY start_time"
)


# What a playbook tells --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One task: when it began and ended (seconds since 1970), what its Jobs told, and the facts that it set."""

    began: float
    ended: float
    jobs: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Played(NamedTuple):
    """One playbook that was run to its end."""

    rc: int
    seconds: float
    tasks: list[Task]
    said: str

    def task(self, job: str) -> Task:
        """Return the task that ran a Job. Raises SystemExit."""
        for one in self.tasks:
            if job in one.jobs:
                return one
        raise SystemExit(f"The playbook ran no Job '{job}':\n{self.said[-3000:]}")

    def result(self, job: str) -> dict[str, Any]:
        """Return what the only step of a Job told. Raises SystemExit."""
        results: list[dict[str, Any]] = list(self.task(job).jobs[job]["results"].values())
        return results[0]

    def fact(self, name: str) -> float:
        """Return the last value of a fact that is a number. Raises SystemExit."""
        for one in reversed(self.tasks):
            if name in one.facts:
                return float(one.facts[name])
        raise SystemExit(f"The playbook set no fact '{name}'")


def moment(text: str) -> float:
    """Return a moment in UTC as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def tasks_of(text: str) -> tuple[list[Task], list[str]]:
    """Return the tasks of what Ansible's callback `json` printed, and why some failed."""
    if "{" not in text:
        return [], []
    tasks, failures = [], []
    for one in (task for play in json.loads(text[text.index("{") :])["plays"] for task in play["tasks"]):
        result: dict[str, Any] = next(iter(one["hosts"].values()), {})
        times = one["task"]["duration"]
        began, ended = moment(times["start"]), moment(times.get("end", times["start"]))
        tasks.append(Task(began, ended, result.get("jobs") or {}, result.get("ansible_facts") or {}))
        if result.get("failed"):
            failures.append(f"{one['task']['name']}: {result.get('msg')}")
    return tasks, failures


def play(region: Region, playbook: str, *variables: str, red: bool = False) -> Played:
    """Run a playbook to its end; it may be red where that is said. Raises SystemExit."""
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(region.inventory)]
    argv += [str(ROOT / "playbooks" / f"{playbook}.yml"), *(part for one in variables for part in ("-e", one))]
    env = {**region.env, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    began = time.monotonic()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    seconds = round(time.monotonic() - began, 1)
    tasks, failures = tasks_of(done.stdout)
    said = "\n".join([done.stderr, *failures])
    if done.returncode and not red:
        raise SystemExit(f"{playbook} failed with {done.returncode}:\n{said[-3000:]}")
    return Played(done.returncode, seconds, tasks, said)


# Figures ----------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One database in one round; all but the ratio in seconds.

    Attributes:
        round: Its number.
        database: clickhouse or neo4j.
        bare: The bare command.
        parts: The engine, from first write to compared, by what it did.
        beside: What is not in it.
        load: Of the machine before it.
    """

    round: int
    database: str
    bare: float
    parts: dict[str, float]
    beside: dict[str, float]
    load: float

    @property
    def engine(self) -> float:
        """From first write to compared."""
        return round(sum(self.parts.values()), 2)

    @property
    def ratio(self) -> float:
        """How many times the bare command the engine takes."""
        return round(self.engine / self.bare, 2)


def parts_of_clickhouse(restore: dict[str, Any], restores: list[dict[str, Any]]) -> dict[str, float]:
    """Return where the time of a restore went.

    Args:
        restore: What its Job told: seconds, compare_seconds.
        restores: The RESTOREs as ClickHouse tells them, in order: that of the databases, those of canaries.
    """
    if not restores:
        raise SystemExit("ClickHouse tells of no RESTORE of the engine")
    first, *more = [float(one["ended"]) - float(one["began"]) for one in restores]
    rest = restore["seconds"] - first - sum(more)
    parts = {"RESTORE": first, "canaries": sum(more), "drop, looks": rest, "compare": restore["compare_seconds"]}
    return {name: round(seconds, 2) for name, seconds in parts.items()}


def load_times(text: str) -> tuple[float, float]:
    """Return when the container that loads began and ended, from what was seen of its pod. Raises SystemExit."""
    seen = re.findall(r"^(\S+Z) (\S+Z)$", text, re.MULTILINE)
    if not seen:
        raise SystemExit("Nothing was seen of the container that loads the dump")
    began, ended = seen[-1]
    return moment(began), moment(ended)


def parts_of_neo4j(began: float, ended: float, load: Task, compare: Task, seconds: float) -> dict[str, float]:
    """Return where the time of a restore went.

    Args:
        began: When the container that loads began.
        ended: When it ended.
        load: The task that it belongs to.
        compare: The task that compares.
        seconds: What that one takes to compare.
    """
    parts = {
        "load": ended - began,
        "Job ends": load.ended - ended,
        "server starts": compare.began - load.ended,
        "Job starts": compare.ended - compare.began - seconds,
        "compare": seconds,
    }
    return {name: round(one, 2) for name, one in parts.items()}


def middle(rows: list[Row]) -> Row:
    """Return the round of one database whose ratio is the median; what is beside it are medians of all."""
    one = sorted(rows, key=lambda row: row.ratio)[(len(rows) - 1) // 2]
    beside = {name: round(statistics.median(row.beside[name] for row in rows), 2) for name in one.beside}
    return Row(0, one.database, one.bare, one.parts, beside, one.load)


def listed(parts: dict[str, float]) -> str:
    """Return seconds by name as text."""
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items())


def problems(rows: list[Row], drill: dict[str, Any], limit: float) -> list[str]:
    """Return what is not as it should be; `rows` are the medians."""
    found = []
    for row in rows:
        overhead = 100 * (row.engine / row.bare - 1)
        if overhead > limit:
            found.append(
                f"{row.database}: the engine takes {overhead:.0f} % more than the bare command ({row.engine:.1f} s and "
                f"not {row.bare:.1f} s), the limit is {limit:g} %; it goes to: {listed(row.parts)}"
            )
    if drill["verdict"] != "green":
        found.append(f"The drill is {drill['verdict']}: {'; '.join(drill['reasons'])}")
    return found


HEADING = (
    f"{'round':>6} {'database':10} {'bare s':>8} {'engine s':>8} {'ratio':>6} {'load':>6}  where the engine's time goes"
)


def show(row: Row) -> str:
    """Return one line of the table."""
    number = str(row.round or "median")
    return (
        f"{number:>6} {row.database:10} {row.bare:8.1f} {row.engine:8.1f} {row.ratio:6.2f} {row.load:6.1f}  "
        f"{listed(row.parts)}"
    )


def told(row: Row) -> dict[str, Any]:
    """Return a line as a program reads it."""
    return {**asdict(row), "engine": row.engine, "ratio": row.ratio}


# The rounds -------------------------------------------------------------------------------------------------------


@contextmanager
def loads_seen(region: Region) -> Iterator[list[str]]:
    """Watch the containers that load a dump; when the block has ended, the list holds what was seen."""
    seen: list[str] = []
    argv = ["get", "pods", "--namespace", NEO4J, "--watch", "-o", f"jsonpath={LOADED}"]
    with region.kubeconfig() as file, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([region.lab["tools"]["kubectl"], "--kubeconfig", file, *argv], stdout=output)
        try:
            yield seen
        finally:
            process.terminate()
            process.wait()
            output.seek(0)
            seen.append(output.read())


def one_round(region: Region, number: int, backup: str) -> list[Row]:
    """Restore by the bare commands, then by the engine."""
    load, since = os.getloadavg()[0], time.time()
    with clickhouse(region) as client:
        restored = regions.bare_restore(client, backup)
    loaded, start, outage = regions.bare_load(region)
    between, since = os.getloadavg()[0], time.time()
    with loads_seen(region) as seen:
        done = play(region, "restore", f"confirm={NAME}", f"backup={backup}")
    with clickhouse(region) as client:
        restores = client.rows(RESTORES, {"since": str(since)})
    restore, compare = done.result("clickhouse-restore"), done.task("neo4j-compare")
    began, ended = load_times(seen[0])
    parts = parts_of_neo4j(began, ended, done.task("neo4j-load"), compare, done.result("neo4j-compare")["seconds"])
    job = float(done.task("clickhouse-restore").jobs["clickhouse-restore"]["seconds"])
    whole = {"whole playbook": done.seconds}
    by_hand = {"server starts by hand": start, "outage by hand": outage}
    return [
        Row(number, CLICKHOUSE, restored, parts_of_clickhouse(restore, restores), {"whole Job": job, **whole}, load),
        Row(number, NEO4J, loaded, parts, {**by_hand, "outage": done.fact("__neo4j_outage"), **whole}, between),
    ]


def drilled(region: Region) -> dict[str, Any]:
    """Lose all that is in the databases and have it restored; return what the drill says. Raises SystemExit."""
    done = play(region, "dr_drill", "fault=database", f"confirm={NAME}", "within=2", red=True)
    results = sorted(region.state.glob("runs/*/drill.json"))
    if not results:
        raise SystemExit(f"The drill has no result:\n{done.said[-3000:]}")
    result: dict[str, Any] = json.loads(results[-1].read_text(encoding="utf-8"))
    kept = ("verdict", "reasons", "rto_seconds", "rpo_seconds", "rpo_by_database", "timeline")
    return {**{name: result[name] for name in kept}, "load": os.getloadavg()[0]}


def backed_up(region: Region, options: argparse.Namespace) -> dict[str, Any]:
    """Back the region up; return the name of the backup and what it holds. Raises SystemExit."""
    done = play(region, "backup")
    tables, dump = done.result("clickhouse-backup"), done.result("neo4j-backup")
    held = {"rows": tables["rows"], "nodes": dump["nodes"], "relationships": dump["relationships"]}
    if lacking := [name for name, count in held.items() if count < getattr(options, name)]:
        raise SystemExit(f"The backup holds too little: {lacking} of {held}")
    sizes = {"clickhouse_bytes": tables["bytes"], "neo4j_bytes": dump["bytes"]}
    return {"id": tables["id"], **held, **sizes, "seconds": done.seconds, "outage_of_neo4j": dump["outage"]}


def measure(region: Region, options: argparse.Namespace) -> tuple[dict[str, Any], list[Row], dict[str, Any]]:
    """Fill, back up, restore in rounds, drill; return the backup, the rows, the drill."""
    began = time.monotonic()
    with clickhouse(region) as client:
        regions.fill_tables(client, options.rows)
    regions.fill_graph(region, options.nodes, options.relationships)
    say(f"filled: {time.monotonic() - began:.0f} s")
    backup = backed_up(region, options)
    say(f"backup: {', '.join(f'{name} {value}' for name, value in backup.items())}")
    regions.start_loader(region, backup["id"])
    rows: list[Row] = []
    say(HEADING)
    for number in range(1, options.rounds + 1):
        rows += (found := one_round(region, number, backup["id"]))
        say("\n".join(map(show, found)))
    return backup, rows, drilled(region)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; 0 when the limit holds and the drill is green."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of ClickHouse")
    parser.add_argument("--nodes", type=int, default=200_000, help="of Neo4j, at least 20")
    parser.add_argument("--relationships", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=LIMIT, help="percent that the engine may take more")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--keep", action="store_true", help="leave the region")
    options = parser.parse_args(arguments)
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with regions.made(options.keep) as region:
        say(f"bootstrap: {play(region, 'bootstrap').seconds:.0f} s")
        backup, rows, drill = measure(region, options)
    medians = [middle([row for row in rows if row.database == name]) for name in (CLICKHOUSE, NEO4J)]
    say("\n".join(map(show, medians)))
    say("\n".join(f"beside, {row.database}: {listed(row.beside)}" for row in medians))
    say("drill: {verdict}, RTO {rto_seconds} s, RPO {rpo_seconds} s, load {load:.1f}".format(**drill))
    if options.json:
        result = {"cores": os.cpu_count(), "backup": backup, "rounds": [told(row) for row in rows], "drill": drill}
        text = json.dumps({**result, "medians": [told(row) for row in medians]}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    wrong = problems(medians, drill, options.limit)
    say("\n".join(wrong or ["The limit holds"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
