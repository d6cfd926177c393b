"""What do many regions cost: all of them validated and planned at once, 5, 10 and 20 of them.

    python benchmarks/fleet.py [--json FILE] [--regions 5,10,20] [--repeat 3] [--warm]

The specs are written as `new_region` writes them: a market of the policy each in turn, every component, networks of
their own, driver `kind`. They lie in a temporary folder, and so do all state and what is kept of charts.

What is done for each number of regions, in this order (every figure is the median of the repetitions):

- validate: `ansible-inventory --graph`. All specs are read with profile, market policy and argument specs, judged, and
  judged against each other.
- plan: `ansible-playbook playbooks/plan.yml --forks N`, which judges all of it again and then looks at every object of
  every component. Both clocks start before the program is started and stop when it has ended.

One `ansible-playbook` with a fork for each region, because that is the way whose cost can grow with the number: it
holds all regions in one process. `python -m tools.fleet` starts a process for each region; `--way fleet` measures that.

Nothing of ours is replaced. The regions do not exist, so the driver, asked for real, finds neither cluster nor backup
store, and this is what is not done: no API server is asked, so each object is judged as it is rendered; nothing is
waited for; no Job runs. Each chart is rendered for real, once for all regions that give it the same values (`--warm`:
before the clock starts).

`cpu_seconds` is what the program and all children that it waited for used (the wardens, one small process for each
region, are not in it). `peak_mib` is what the run itself tells of its memory. The cost of a region is CPU seconds of
validate and plan together, divided by the number of regions: unlike the wall clock, that hardly changes when something
else uses the machine. The load is printed, because the wall clock does.

Exit code 1 when the largest number takes more than 60 seconds of wall clock, validate and plan together, or when a
region then costs more than 1.25 times what it costs with the smallest number.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).resolve().parents[1]
if AnsibleCollectionConfig.collection_finder is None:  # the tests have one already
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils import markets, new_spec, paths, spec  # noqa: E402 - it is found from here on

LIMIT_SECONDS = 60.0
LIMIT_RATIO = 1.25
PEAK = re.compile(r"memory: ([0-9.]+) MiB at its peak")
PLAYBOOK, FLEET = "playbook", "fleet"


class Sample(NamedTuple):
    """One program that was run: seconds of wall clock, of CPU, its exit code and what it printed."""

    seconds: float
    cpu: float
    rc: int
    text: str


@dataclass
class Row:
    """One line of the result."""

    regions: int
    validate_seconds: float
    plan_seconds: float
    cpu_seconds: float
    peak_mib: float | None
    load: float

    @property
    def seconds(self) -> float:
        """Wall clock of validate and plan together."""
        return round(self.validate_seconds + self.plan_seconds, 2)

    @property
    def cpu_per_region(self) -> float:
        """What one region costs."""
        return round(self.cpu_seconds / self.regions, 3)


class Regions:
    """Regions that do not exist yet, and an environment in which nobody else's state is seen.

    Args:
        folder: For all of it.
        count: How many.
        lab: What the lab of this machine wrote; it names the programs and the charts.
    """

    def __init__(self, folder: Path, count: int, lab: Path) -> None:
        self.count, self.folder, self.inventory = count, folder, folder / "inventories"
        self.state = folder / "state" / "kontrol"
        self.state.mkdir(parents=True)
        shutil.copy(lab, self.state / lab.name)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        self.env |= {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.env |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        write_specs(self.inventory, count)

    def validate(self) -> Sample:
        """Have all specs judged."""
        return run([_program("ansible-inventory"), "-i", str(self.inventory), "--graph"], self.env)

    def plan(self, way: str = PLAYBOOK) -> Sample:
        """Have all regions planned at once."""
        forks = ["-i", str(self.inventory), "--forks", str(self.count)]
        if way == FLEET:
            return run([sys.executable, "-m", "tools.fleet", "plan", *forks], self.env)
        return run([_program("ansible-playbook"), str(ROOT / "playbooks" / "plan.yml"), *forks], self.env)

    def hashes(self) -> dict[str, list[str]]:
        """Return the hashes of the plans that were written, by region."""
        plans = self.state.glob("*/plans/*/plan.json")
        found: dict[str, list[str]] = {}
        for plan in sorted(plans):
            found.setdefault(plan.parents[2].name, []).append(json.loads(plan.read_text(encoding="utf-8"))["hash"])
        return found


def write_specs(inventory: Path, count: int) -> None:
    """Write specs of regions, a market of the policy each in turn."""
    inventory.mkdir()
    roles, policy = spec.load_roles(ROOT), markets.load_policy(ROOT / markets.FILE)
    driver, location = markets.THIS_MACHINE
    codes = list(policy.markets)
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(
        inventory.parent / "state"
    )  # networks of this machine's own regions do not count
    try:
        for number in range(count):
            market = codes[number % len(codes)]
            name = f"{market.lower()}-{number + 1:02}"
            wanted = new_spec.Wanted(name, market, driver, location, profile="development")
            new_spec.ensure(wanted, inventory, ROOT, roles)
    finally:
        os.environ.pop("XDG_STATE_HOME")
        os.environ.update({} if before is None else {"XDG_STATE_HOME": before})


def run(argv: list[str], env: dict[str, str]) -> Sample:
    """Run a program to its end and measure it with all children that it waited for."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Sample(seconds, usage.ru_utime + usage.ru_stime, child.returncode, output.read())


def measure(count: int, way: str, lab: Path, *, warm: bool) -> Row:
    """Validate and plan regions once.

    Raises:
        SystemExit: a program failed, or not each region has a plan of its own.
    """
    with tempfile.TemporaryDirectory(prefix="kontrol-benchmark-") as folder:
        regions = Regions(Path(folder), count, lab)
        if warm:
            regions.plan(way)
            shutil.rmtree(regions.state)
            regions.state.mkdir()
            shutil.copy(lab, regions.state / lab.name)
        load = os.getloadavg()[0]
        validated, planned = regions.validate(), regions.plan(way)
        for done in (validated, planned):
            if done.rc:
                raise SystemExit(f"A program failed with {done.rc}:\n{done.text[-3000:]}")
        plans = [one for found in regions.hashes().values() for one in found]
        if len(set(plans)) != count or len(plans) != count:
            raise SystemExit(
                f"{count} regions made {len(plans)} plans, {len(set(plans))} of them differ:\n{planned.text}"
            )
    peaks = [float(one) for one in PEAK.findall(planned.text)]
    cpu = validated.cpu + planned.cpu
    return Row(count, validated.seconds, planned.seconds, cpu, max(peaks, default=None), load)


def middle(rows: list[Row]) -> Row:
    """Return the medians of measurements of the same number of regions."""
    columns = zip(*(asdict(row).values() for row in rows), strict=True)
    values: list[Any] = [None if None in column else round(statistics.median(column), 2) for column in columns]
    return Row(rows[0].regions, *values[1:])


def problems(rows: list[Row]) -> list[str]:
    """Return which limits do not hold; rows are sorted by number."""
    first, last = rows[0], rows[-1]
    found = []
    if last.seconds > LIMIT_SECONDS:
        found.append(f"{last.regions} regions took {last.seconds} s, more than {LIMIT_SECONDS:.0f} s")
    ratio = last.cpu_per_region / first.cpu_per_region
    if ratio > LIMIT_RATIO:
        found.append(
            f"A region of {last.regions} costs {ratio:.2f} times one of {first.regions}, more than {LIMIT_RATIO}"
        )
    return found


def show(row: Row, first: Row) -> str:
    """Return one line of the table."""
    peak = "-" if row.peak_mib is None else f"{row.peak_mib:.0f}"
    ratio = row.cpu_per_region / first.cpu_per_region
    return (
        f"{row.regions:7} {row.validate_seconds:10.1f} {row.plan_seconds:8.1f} {row.seconds:8.1f} "
        f"{row.seconds / row.regions:8.2f} {row.cpu_seconds:8.1f} {row.cpu_per_region:8.2f} {ratio:6.2f} "
        f"{peak:>8} {row.load:6.1f}"
    )


HEADING = (
    f"{'regions':>7} {'validate s':>10} {'plan s':>8} {'wall s':>8} {'/region':>8} {'cpu s':>8} {'/region':>8} "
    f"{'ratio':>6} {'peak MiB':>8} {'load':>6}"
)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; 0 when the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--regions", type=lambda text: sorted(map(int, text.split(","))), default=[5, 10, 20])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--way", choices=[PLAYBOOK, FLEET], default=PLAYBOOK)
    parser.add_argument("--warm", action="store_true", help="what came of charts is kept already")
    options = parser.parse_args(arguments)
    print(f"{os.cpu_count()} cores, way {options.way}, charts {'kept' if options.warm else 'not kept'}\n{HEADING}")
    found: dict[int, list[Row]] = {count: [] for count in options.regions}
    for _ in range(options.repeat):  # numbers take turns, so that a busy hour meets all of them
        for count, rows in found.items():
            rows.append(measure(count, options.way, paths.lab_file(), warm=options.warm))
            print(show(rows[-1], found[options.regions[0]][0]), flush=True)
    medians = [middle(rows) for rows in found.values()]
    print("\n".join(["medians:", *(show(row, medians[0]) for row in medians)]))
    if options.json:
        shown = [{**asdict(row), "seconds": row.seconds, "cpu_per_region": row.cpu_per_region} for row in medians]
        options.json.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    wrong = problems(medians)
    print("\n".join(wrong or ["The limits hold"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
