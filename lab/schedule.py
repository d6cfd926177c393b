"""Which parts must be made, and making them: one processor-bound part at a time, downloads and images beside it."""

from __future__ import annotations

import concurrent.futures
import graphlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab import docker
from lab.errors import LabError
from lab.progress import Progress
from lab.recipes import LANES, RECIPES, Context, Job, Look
from lab.store import Durations
from lab.table import Part, Table


@dataclass(frozen=True)
class Need:
    """A part to be made, and why."""

    part: Part
    reason: str


class PartError(LabError):
    """A part could not be made; carries the text for a person."""


def wanted(part: Part, table: Table) -> bool:
    """Whether a part is of use by itself; the others are only made when a part that is made uses them."""
    if RECIPES[part.kind].live:
        return part.kind != "packages"
    used = any(part.name in other.inputs for other in table.parts.values())  # also by parts of a group
    tools = {str(reference).partition(":")[0] for reference in table.settings.get("tools", {}).values()}
    return not used or "ref" in part.recipe or part.name in tools


def targets(table: Table, names: Sequence[str]) -> set[str]:
    """Parts that a run is for: those of the names (a part's or a group's); without names all of use that have no group.

    Raises LabError for a name that is neither.
    """
    parts = table.parts.values()
    known = {part.name for part in parts} | {part.group for part in parts if part.group}
    unknown = [name for name in names if name not in known]
    if unknown:
        groups = sorted({part.group for part in parts if part.group})
        raise LabError(
            f"'{', '.join(unknown)}' is no part and no group: use names of lab/parts.yml, or {', '.join(groups)}"
        )
    if names:
        return {part.name for part in parts if {part.name, part.group} & set(names)}
    return {part.name for part in parts if not part.group and wanted(part, table)}


def plan(table: Table, missing: Callable[[Part], str | None], names: Sequence[str] = ()) -> list[Need]:
    """Parts to be made for the names, inputs first."""
    aims = targets(table, names)
    chosen: dict[str, Need] = {}
    for part in reversed(list(table.parts.values())):
        if part.name not in aims and not any(part.name in need.part.before for need in chosen.values()):
            continue
        reason = missing(part)
        if reason is not None:
            chosen[part.name] = Need(part, reason)
    return [chosen[name] for name in table.parts if name in chosen]


def looker(context: Context) -> Callable[[Part], str | None]:
    """Tells why a part is missing, from one look at the world."""
    world = docker.World()
    return lambda part: RECIPES[part.kind].missing(Look(context, part, world))


def make(context: Context, part: Part) -> float | None:
    """Make one part; returns the seconds it took, or None when it was there already (a killed run had got so far)."""
    if looker(context)(part) is None:
        return None
    recipe = RECIPES[part.kind]
    log = context.store.log(part)
    log.unlink(missing_ok=True)
    began = time.monotonic()
    work = context.store.scratch(part)
    try:
        facts = recipe.build(Job(context, part, work, log))
    except (LabError, OSError) as error:
        failure = error if isinstance(error, LabError) else LabError(str(error))
        raise PartError(LabError(failure.message, failure.log or log).render(part.name)) from error
    seconds = time.monotonic() - began
    if recipe.live:
        context.store.discard(work)
    else:
        context.store.commit(part, work, {**facts, "key": part.key, "seconds": round(seconds, 1)})
    return seconds


def run(context: Context, needs: list[Need], durations: Durations) -> None:
    """Make all parts. Raises PartError for the first that cannot be made, after those under way have ended."""
    parts = [need.part for need in needs]
    expect = {part.name: durations.expect(part) for part in parts}
    with Progress(parts, expect) as progress:
        _Run(context, {part.name: part for part in parts}, durations, progress).all()


class _Run:
    """One walk through the graph with a pool of workers for each lane."""

    def __init__(self, context: Context, parts: Mapping[str, Part], durations: Durations, progress: Progress) -> None:
        self._context = context
        self._parts = parts
        self._durations = durations
        self._progress = progress
        self._order = {name: index for index, name in enumerate(context.table.parts)}

    def all(self) -> None:
        """Walk to the end, or to the first failure."""
        graph = graphlib.TopologicalSorter(
            {name: [other for other in part.before if other in self._parts] for name, part in self._parts.items()}
        )
        graph.prepare()
        pools = {lane: concurrent.futures.ThreadPoolExecutor(size) for lane, size in LANES.items()}
        waiting: dict[concurrent.futures.Future[None], str] = {}
        try:
            while graph.is_active():
                for name in sorted(graph.get_ready(), key=self._order.__getitem__):
                    part = self._parts[name]
                    waiting[pools[RECIPES[part.kind].lane].submit(self._one, part)] = name
                done, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
                    graph.done(waiting.pop(future))
        finally:
            for pool in pools.values():
                pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, part: Part) -> None:
        """Make one part, tell and note how long it took."""
        self._progress.start(part)
        seconds = make(self._context, part)
        self._progress.end(part, seconds or 0.0)
        if seconds is not None:
            self._durations.record(part, seconds)
