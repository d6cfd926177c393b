"""Command line of the lab: `python -m lab up | check | status | prune | lock`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from lab import docker, facts, mode, paths, schedule, table
from lab.errors import LabError
from lab.progress import clock
from lab.recipes import FORMATS, RECIPES, Context, Look, maven
from lab.store import Durations, Store


def context_of(store: Store) -> Context:
    """Read the tables for the mode that holds here."""
    probe = table.settings(paths.LAB)["probe"]
    chosen = mode.detect(str(probe))
    return Context(store, table.load(paths.LAB, paths.ROOT / "artifacts.yml", chosen, FORMATS), chosen, paths.LAB)


def up(context: Context, names: Sequence[str]) -> int:
    """Make what is missing, of the names only where there are any; then write lab.json."""
    began = time.monotonic()
    durations = Durations(context.store.root / "durations.json")
    with context.store.lock():
        needs = schedule.plan(context.table, schedule.looker(context), names)
        if needs:
            print(f"lab: {len(needs)} of {len(context.table.parts)} parts to make (mode {context.mode})", flush=True)
            schedule.run(context, needs, durations)
        path = paths.state_root() / "lab.json"
        changed = facts.write(context, path)
    written = " written" if changed else ""
    print(f"lab: ready in {clock(time.monotonic() - began)} (mode {context.mode}); {path}{written}")
    return 0


def check(context: Context, names: Sequence[str]) -> int:
    """Say what is missing; make nothing. Returns 1 when something is."""
    needs = schedule.plan(context.table, schedule.looker(context), names)
    durations = Durations(context.store.root / "durations.json")
    for need in needs:
        print(f"missing {need.part.name} ({need.part.kind}): {need.reason}; about {clock(durations.expect(need.part))}")
    ready = not needs and (paths.state_root() / "lab.json").is_file()
    if not needs and not ready:
        print("missing lab.json: run `python -m lab up`")
    print(f"lab: {'complete' if ready else f'{len(needs)} parts missing'} (mode {context.mode})")
    return 0 if ready else 1


def status(context: Context, names: Sequence[str]) -> int:
    """List every part, or the named: its key, whether it is there, its group."""
    world = docker.World()
    for part in context.table.parts.values():
        if names and not {part.name, part.group} & set(names):
            continue
        reason = RECIPES[part.kind].missing(Look(context, part, world)) or "there"
        print(f"{part.name:<30} {part.kind:<10} {part.key} {reason}{f' (group {part.group})' if part.group else ''}")
    return 0


def lock(context: Context, names: Sequence[str]) -> int:
    """Write the lists of Java archives anew that the named parts, or all, are made of."""
    log = context.store.root / "log" / "lock.log"
    for part in context.table.parts.values():
        if part.kind == "maven" and (not names or part.name in names):
            count = maven.refresh(part.recipe, context.here, log)
            print(f"lab: {count} archives in {context.here / part.recipe['lock']}")
    return 0


def prune(context: Context, _names: Sequence[str]) -> int:
    """Remove from the cache and the engine what no row of the table has any more."""
    parts = context.table.parts.values()
    with context.store.lock():
        gone = context.store.prune({(part.name, part.key) for part in parts})
        gone += docker.prune({docker.local_tag(part) for part in parts}, docker.World().images)
    print("\n".join([*gone, f"lab: {len(gone)} parts removed"]))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one verb; returns the exit status."""
    what = "What stands in for the internet; see lab/README.md"
    parser = argparse.ArgumentParser(prog="python -m lab", description=what)
    parser.add_argument("verb", choices=("up", "check", "status", "prune", "lock"))
    parser.add_argument(
        "names", nargs="*", metavar="name", help="parts or groups of the table; none: all but the groups"
    )
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    options = parser.parse_args(argv)
    verbs = {"up": check if options.check else up, "check": check, "status": status, "prune": prune, "lock": lock}
    try:
        return verbs[options.verb](context_of(Store(paths.cache_root())), options.names)
    except LabError as error:
        print(f"lab: {error.render()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: stopped; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
