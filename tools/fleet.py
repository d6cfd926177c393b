"""Run one playbook for several regions at once, each by itself: `python -m tools.fleet verify -i inventories`.

Each region has a process, an inventory, events and artifacts of its own (ansible-runner), so one that hangs or fails
disturbs no other, and `ansible-playbook` sees only that region. A run that made no statistics was none, whatever its
exit code says. The summary is a table, and summary.json beside the artifacts.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import ansible_runner
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT: Final = Path(__file__).resolve().parent.parent
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils import (  # noqa: E402 - found by the loader
    paths,
    problems,
    regions,
    schema,
    spec,
    state,
    text_table,
)

COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
TOLD: Final = re.compile(r"^(Phase |fatal: |FAIL |Still at |Waiting )")
"""Lines of a region's run that are worth a line of the fleet's screen."""
REPORT: Final = re.compile(r"^  report: (\S.*)$", re.MULTILINE)
OK, FAILED, CANCELED, NOT_STARTED, NO_STATISTICS = "ok", "failed", "canceled", "not started", "no statistics"
GO_ON, STOP = "go-on", "stop"
FOLDER: Final = ".fleet"
"""Below the root of all regions' state; no region can have this name."""
CALLER: Final = ("HOME", "PATH", "LANG", "LC_ALL", "TERM", "VIRTUAL_ENV", "XDG_STATE_HOME", "XDG_CACHE_HOME", "CI")
"""What a region's run gets of the caller's environment; the rest may hold credentials, and artifacts stay."""
INTERRUPTED: Final = 130


@dataclass
class Outcome:
    """How the run of one region ended; seconds are from its start to its end on this machine's clock."""

    region: str
    status: str = NOT_STARTED
    rc: int | None = None
    changed: int = 0
    seconds: float = 0.0
    report: str = ""
    artifacts: str = ""


@dataclass
class Fleet:
    """One command for several regions.

    Attributes:
        playbook: File of the playbook.
        inventories: Region -> the folder of its spec.
        folder: Where events and artifacts of each region go.
        arguments: What else `ansible-playbook` gets.
        policy: Whether a failure keeps regions that wait from being started.
        say: Shows a line.
    """

    playbook: Path
    inventories: Mapping[str, Path]
    folder: Path
    arguments: Sequence[str] = ()
    policy: str = GO_ON
    environment: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = print
    stopping: threading.Event = field(default_factory=threading.Event)
    _failed: threading.Event = field(default_factory=threading.Event)

    def run(self, forks: int) -> list[Outcome]:
        """Run them, at most `forks` at once, and return how each ended, in the order of their names."""
        with ThreadPoolExecutor(max_workers=forks) as pool:
            outcomes = list(pool.map(self._one, sorted(self.inventories)))
        state.write_json(self.folder / "summary.json", {"regions": [asdict(one) for one in outcomes]})
        return outcomes

    def _one(self, region: str) -> Outcome:
        outcome = Outcome(region, artifacts=str(self.folder / region))
        if self.stopping.is_set() or (self.policy == STOP and self._failed.is_set()):
            return outcome
        start = time.monotonic()
        self.say(f"{region}: started")
        done = ansible_runner.run(
            private_data_dir=str(state.make_private_dir(self.folder / region)),
            playbook=str(self.playbook),
            inventory=str(self.inventories[region]),
            cmdline=" ".join(self.arguments),
            envvars={**self.environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            settings={"suppress_env_files": True},
            event_handler=lambda event: self._hear(region, event),
            cancel_callback=self.stopping.is_set,
            quiet=True,
        )
        outcome.seconds = round(time.monotonic() - start, 1)
        _judge(outcome, done)
        if outcome.status != OK:
            self._failed.set()
        self.say(f"{region}: {outcome.status} after {outcome.seconds} s")
        return outcome

    def _hear(self, region: str, event: Mapping[str, Any]) -> bool:
        for line in COLOUR.sub("", str(event.get("stdout", ""))).splitlines():
            if TOLD.match(line):
                self.say(f"{region}: {line}")
        return True  # keep the event


def _judge(outcome: Outcome, done: Any) -> None:
    """Fill in how a run ended: nothing is a success that did not work on exactly this region."""
    stats = done.stats or {}
    outcome.rc = done.rc
    outcome.changed = sum(stats.get("changed", {}).values())
    text = COLOUR.sub("", done.stdout.read())
    outcome.report = (REPORT.findall(text) or [""])[-1]
    if done.status == "canceled":
        outcome.status = CANCELED
    elif done.status != "successful" or done.rc != 0:
        outcome.status = FAILED
    elif outcome.region not in stats.get("processed", {}):
        outcome.status = NO_STATISTICS
    else:
        outcome.status = OK


def chosen(sources: Sequence[str], limit: str) -> dict[str, Path]:
    """Return the regions that the sources declare, those of `limit` alone where it names any.

    Raises:
        SystemExit: A spec has problems, a name is not declared, or nothing is left.
    """
    judgement = regions.judge(sources, ROOT, spec.load_roles(ROOT), {})
    if judgement.problems:
        raise SystemExit(f"Nothing was started:\n{problems.render(judgement.problems)}")
    declared = {region.name: file.parent for file, region in judgement.regions.items()}
    wanted = [name for name in limit.split(",") if name]
    for name in wanted:
        if name not in declared:
            hint = schema.closest(name, declared) or f"declared are {', '.join(sorted(declared))}"
            raise SystemExit(f"Nothing was started: no host matches '{name}' of --limit; {hint}")
    return {name: declared[name] for name in wanted or sorted(declared)}


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the summary for a terminal."""
    rows = [
        [one.status, one.region, f"{one.seconds:.1f} s", str(one.changed), one.report or one.artifacts]
        for one in outcomes
    ]
    return text_table.table(["", "region", "duration", "changed", "report"], rows, width=140)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when every region is ok, 1 when one is not, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.fleet", description=__doc__.split("\n\n")[0])
    parser.add_argument("playbook", help="name of a playbook, such as verify")
    parser.add_argument("-i", "--inventory", action="append", required=True, help="folder of one or of many regions")
    parser.add_argument("--limit", default="", help="regions, separated by commas")
    parser.add_argument("--forks", type=int, default=0, help="regions at once; all of them where nothing is said")
    parser.add_argument("--on-failure", choices=[GO_ON, STOP], default=GO_ON)
    given, rest = parser.parse_known_args(arguments)
    playbook = ROOT / "playbooks" / f"{given.playbook}.yml"
    if not playbook.is_file():
        known = sorted(file.stem for file in playbook.parent.glob("*.yml"))
        hint = schema.closest(given.playbook, known) or f"there are {', '.join(known)}"
        raise SystemExit(f"Nothing was started: no playbook '{given.playbook}'; {hint}")
    inventories = chosen(given.inventory, given.limit)
    fleet_id = f"{state.now().replace(':', '').replace('-', '')}-{secrets.token_hex(2)}"
    folder = state.make_private_dir(state.make_private_dir(paths.state_root() / FOLDER) / fleet_id)
    _forget_environment()
    fleet = Fleet(playbook, inventories, folder, [part for part in rest if part != "--"], given.on_failure)
    _stop_on_signals(fleet)
    outcomes = fleet.run(given.forks or len(inventories))
    print("\n".join(["", *table(outcomes), "", f"Artifacts: {folder}"]))
    if fleet.stopping.is_set():
        return INTERRUPTED
    return 0 if all(one.status == OK for one in outcomes) else 1


def _forget_environment() -> None:
    """Take out of this process what no region's run may get: ansible-runner hands on, and keeps, all that there is."""
    for name in set(os.environ) - set(CALLER):
        del os.environ[name]


def _stop_on_signals(fleet: Fleet) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        fleet.say("Stopping: what runs is ended, nothing more is started")
        fleet.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
