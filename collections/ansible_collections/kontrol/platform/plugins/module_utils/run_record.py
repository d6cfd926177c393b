"""What is kept of a run: a journal as it goes, a record and a report at its end; and how they are told again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import memory, run_report, state

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL: Final = run_report.JOURNAL
RECORD: Final = run_report.RECORD
REPORT: Final = run_report.REPORT
DURATION: Final = run_report.DURATION
PHASE: Final = run_report.PHASE
LONGEST_MESSAGE: Final = 2000
ENDED: Final = {"end", "interrupted", "killed"}
LOOK_BACK: Final = 20


@dataclass
class Phase:
    """One role and verb of a run; `offset` is the second of the run at which it started."""

    name: str
    at: str
    offset: float = 0.0
    seconds: float = 0.0


@dataclass
class RunRecord:
    """One run in one region, while it goes.

    Attributes:
        run: Id of the run.
        region: Name of the region.
        playbook: File name of the playbook, without `.yml`.
        folder: Where it is kept; None in check mode, when nothing may be written.
        planned: Where the verdicts of a look go that is taken before anything is written, for the plan.
        started: When the playbook was read, on the clock given.
        about: What runs on what, see `run_facts.facts`.
        target: The region's driver, profile and components, and its cluster once that is proven.
        peak: The memory of the run on this machine.
        bucket: Bucket of the region's backups, which gets a copy; "" for none.
        deviations: Artifacts for which the lab has something else than the pin.
    """

    run: str
    region: str
    playbook: str
    folder: Path | None
    started: float
    clock: Callable[[], float] = time.monotonic
    about: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    peak: memory.Peak = field(default_factory=lambda: memory.Peak(0))
    deviations: dict[str, str] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    planned: Path | None = None
    bucket: str = ""
    previous: dict[str, float] = field(default_factory=dict)
    began: str = field(default_factory=state.now)

    def begin(self, pid: int) -> None:
        """Write the first line of the journal, and read how long the phases took last time."""
        if self.folder is not None:
            self.previous = last_phases(self.folder.parent, self.playbook, self.run)
        about = {"run": self.run, "region": self.region, "playbook": self.playbook, "pid": pid}
        more = {**self.about, "target": self.target, "deviations": self.deviations}
        self._journal("run", at=self.began, **about, **more)

    def reach(self, cluster: dict[str, Any]) -> None:
        """Take over which cluster was proven to be the region's."""
        self.target |= cluster
        self._journal("cluster", at=state.now(), **cluster)

    def enter(self, name: str) -> str:
        """Journal a phase before it starts, and return the line that announces it; "" when it is going on already."""
        if self.phases and self.phases[-1].name == name:
            return ""
        self._close_phase()
        self.phases.append(Phase(name, state.now(), round(self.clock() - self.started, 1)))
        self._journal("phase", phase=name, at=self.phases[-1].at)
        return self._announcement(name)

    def add(self, result: dict[str, Any], component: str = "") -> None:
        """Take over what a task's result tells of objects and checks of a component."""
        objects = [run_report.tagged(one, component) for one in result.get("kontrol_objects") or []]
        checks = [run_report.tagged(one, component) for one in result.get("kontrol_checks") or []]
        self.objects += objects
        self.checks += checks
        changed = [f"{one['verb']} {one['object']}" for one in objects if one["verb"] != "none"]
        if changed:
            self._journal("objects", at=state.now(), component=component, changed=changed)
        if checks:
            self._journal("checks", at=state.now(), checks=checks)

    def plan(self, result: dict[str, Any], component: str = "") -> None:
        """Keep what a task would do; nothing of it was done, so neither journal nor report tells of it."""
        told = [run_report.tagged(one, component) for one in result.get("kontrol_objects") or []]
        if told and self.planned is not None:
            state.append_lines(self.planned, told, durable=False)  # the file ends with the run

    def fail(self, task: str, message: str, component: str = "") -> None:
        """Journal that a task failed."""
        self.failures.append({"component": component, "task": task, "message": message[:LONGEST_MESSAGE]})
        self._journal("failed", at=state.now(), **self.failures[-1])

    def interrupted(self) -> None:
        """Journal that the person ended the run, and report what it had done."""
        self._close_phase()
        self._journal("interrupted", at=state.now())
        if self.folder is not None:
            run_report.write(self.folder, self.report("interrupted"))

    def end(self, *, ok: bool) -> dict[str, Any]:
        """Close the run: record, last line of the journal, report; return the record."""
        self._close_phase()
        about = self._about("ok" if ok else "failed")
        memory_of = {"peak_memory_mib": self.peak.mib, "peak_memory_definition": memory.DEFINITION}
        record = {**about, "seconds_definition": DURATION, **memory_of, **self._content()}
        if self.folder is not None:
            state.write_json(self.folder / RECORD, record)
        self._journal("end", at=record["ended"], status=record["status"], seconds=record["seconds"])
        if self.folder is not None:  # last: one that fails must not make the run look killed
            run_report.write(self.folder, self.report(about["status"], about))
        return record

    def report(self, status: str, about: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the report of the run as it is now; its form is schemas/report.schema.json."""
        deviations = [{"artifact": name, "deviation": text} for name, text in sorted(self.deviations.items())]
        kept = {**(about or self._about(status)), **self.about, "target": self.target, "checks": self.checks}
        return run_report.complete({**kept, **self._content(), "deviations": deviations}, self.peak)

    def place(self) -> str:
        """Return how far the run is, such as "3 of 14"; without the whole when no run before tells it."""
        name = self.phases[-1].name if self.phases else ""
        if name in self.previous:
            return f"{list(self.previous).index(name) + 1} of {len(self.previous)}"
        return str(len(self.phases)) if name else ""

    def _about(self, status: str) -> dict[str, Any]:
        return {
            "run": self.run,
            "region": self.region,
            "playbook": self.playbook,
            "status": status,
            "started": self.began,
            "ended": state.now(),
            "seconds": round(self.clock() - self.started, 1),
        }

    def _content(self) -> dict[str, Any]:
        phases = [
            {"phase": one.name, "at": one.at, "offset": one.offset, "seconds": one.seconds} for one in self.phases
        ]
        return {"phases": phases, "phase_definition": PHASE, "objects": self.objects, "failures": self.failures}

    def _close_phase(self) -> None:
        if self.phases:
            last = self.phases[-1]
            last.seconds = round(self.clock() - self.started - last.offset, 1)

    def _announcement(self, name: str) -> str:
        """Return what starts, how far the run is, and how long it took last time."""
        if name not in self.previous:
            return f"Phase {self.place()}: {name}"
        left = sum(list(self.previous.values())[list(self.previous).index(name) :])
        return f"Phase {self.place()}: {name}, {self.previous[name]:.0f} s last time, about {left:.0f} s to the end"

    def _journal(self, event: str, **data: Any) -> None:
        if self.folder is not None:
            state.append_line(self.folder / JOURNAL, {"event": event, **data})


def last_phases(runs: Path, playbook: str, but: str = "") -> dict[str, float]:
    """Return the phases of the newest run of this playbook that ended well, with their seconds, in order."""
    folders = sorted((one for one in runs.glob("*Z-*") if one.name != but), reverse=True)[:LOOK_BACK]
    for folder in folders:
        record = state.read_json(folder / RECORD) or {}
        if record.get("playbook") == playbook and record.get("status") == "ok":
            return {str(one["phase"]): float(one["seconds"]) for one in record.get("phases", [])}
    return {}


def latest(runs: Path) -> Path | None:
    """Return the folder of the newest run that has a journal."""
    return max((one for one in runs.glob("*Z-*") if (one / JOURNAL).is_file()), default=None)


def story(folder: Path, *, writing: bool) -> str:
    """Return one line on what a run did or left.

    Args:
        folder: Its folder.
        writing: Whether that run holds the region's lock right now.
    """
    lines = state.read_lines(folder / JOURNAL)
    if not lines:
        return f"run {folder.name} left no journal"
    first, last = lines[0], lines[-1]
    what = f"run {folder.name} of {first.get('playbook', '?')}"
    phase = next((str(one["phase"]) for one in reversed(lines) if one["event"] == "phase"), "")
    again = "run the same command again" + (f": {first['command']}" if first.get("command") else "")
    during = f' during phase "{phase}"' if phase else " before its first phase"
    if last["event"] == "end":
        return f"{what} ended {last['status']} at {last['at']} after {last['seconds']} s{_why(lines)}"
    if last["event"] == "interrupted":
        return f"{what} was interrupted{during} at {last['at']}; {again}"
    if last["event"] == "killed":
        return f"{what} was killed{during} at {last['at']}; {again}"
    if writing:
        return f"{what} is going on{during}, since {first['at']}"
    return f"{what} was killed{during}, its last sign of life is of {last.get('at', '?')}; {again}"


def _why(lines: list[dict[str, Any]]) -> str:
    failed = [one for one in lines if one["event"] == "failed"]
    return f": {failed[-1]['task']}: {failed[-1]['message']}" if failed else ""
