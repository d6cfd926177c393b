"""Runs the stages of tests/stages.yml, each within its budget of minutes, and reports all of them.

A stage that fails, or takes longer than it may, fails the run; the others still run, except those that need it.
It may take its own budget and what the stages before it left of theirs: a busy machine then fails no stage while the
run as a whole has time, and the run never takes longer than the sum of the table.
The last line has the form that CI reads: `N passed, M failed`.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "stages.yml"
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Stage:
    """One line of the table: `run` are shell commands, done in order until one fails."""

    name: str
    minutes: float
    run: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: `why` is empty where it passed."""

    stage: Stage
    seconds: float
    why: str = ""


def load(path: Path = TABLE) -> list[Stage]:
    """Read the table; a stage may only need one that stands before it."""
    stages: list[Stage] = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]:
        stage = Stage(entry["name"], entry["minutes"], tuple(entry["run"]), tuple(entry.get("needs", ())))
        if missing := set(stage.needs) - {s.name for s in stages}:
            raise ValueError(f"Stage {stage.name!r} needs {sorted(missing)}, which stand not before it in {path}")
        stages.append(stage)
    return stages


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all that it started: ask, wait, then kill its process group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def execute(command: str, seconds: float) -> str:
    """Run one shell command for at most `seconds`; answer what went wrong, or an empty string."""
    print(f"$ {command}", flush=True)
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL
    )
    try:
        rc = process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        _end(process)
        return "over budget"
    except BaseException:
        _end(process)
        raise
    return f"exit {rc}: {command}" if rc else ""


def perform(stage: Stage, failed: set[str], spare: float = 0.0) -> Outcome:
    """Run a stage's commands within its budget and `spare` seconds, unless one that it needs has failed."""
    start = time.monotonic()
    if blocked := sorted(failed.intersection(stage.needs)):
        return Outcome(stage, 0.0, f"not run: needs {', '.join(blocked)}")
    why = ""
    for command in stage.run:
        why = why or execute(command, stage.minutes * 60 + spare - (time.monotonic() - start))
    return Outcome(stage, time.monotonic() - start, why)


def left_of(outcomes: list[Outcome]) -> float:
    """Return the seconds that these stages left of their budgets together, at least 0."""
    return max(0.0, sum(o.stage.minutes * 60 - o.seconds for o in outcomes))


def report(outcomes: list[Outcome]) -> str:
    """Show the table of stages with seconds and budget, and the closing line."""
    lines = [f"{'stage':<12} {'seconds':>8} {'budget':>8}  result"]
    lines += [
        f"{o.stage.name:<12} {o.seconds:>8.0f} {o.stage.minutes * 60:>8.0f}  {o.why or 'passed'}" for o in outcomes
    ]
    bad = sum(1 for o in outcomes if o.why)
    total = sum(o.seconds for o in outcomes)
    lines += [f"{'all':<12} {total:>8.0f}", "", f"{len(outcomes) - bad} passed, {bad} failed"]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the stages named on the command line, or all; answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.stages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="STAGE", help="only these (what they need is taken as done)")
    names = parser.parse_args(argv).names
    stages = load()
    if unknown := set(names) - {s.name for s in stages}:
        parser.error(f"No stage {', '.join(sorted(unknown))}: choose from {', '.join(s.name for s in stages)}")
    outcomes: list[Outcome] = []
    for stage in stages:
        if not names or stage.name in names:
            print(f"\n=== {stage.name} (budget {stage.minutes:g} min)", flush=True)
            outcomes.append(perform(stage, {o.stage.name for o in outcomes if o.why}, left_of(outcomes)))
            print(f"=== {stage.name}: {outcomes[-1].why or 'passed'} ({outcomes[-1].seconds:.0f} s)", flush=True)
    print("\n" + report(outcomes), flush=True)
    return 1 if any(o.why for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
