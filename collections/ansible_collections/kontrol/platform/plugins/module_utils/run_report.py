"""The report of a run as data (format 1, schemas/report.schema.json), its files, and the report of a run that died.

`report.json` is the only source of `report.html` and `junit.xml`, so an old report can be rendered again at any time.
"""

from __future__ import annotations

import os
import re
import shlex
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import (
    memory,
    report_html,
    report_junit,
    state,
)

FORMAT: Final = 1
JOURNAL: Final = "journal.jsonl"
RECORD: Final = "record.json"
REPORT: Final = "report.json"
HTML: Final = "report.html"
JUNIT: Final = "junit.xml"
# Not from the start of the process: a shell that becomes ansible-playbook by exec hands down its own, earlier start.
DURATION: Final = "from when the playbook was read to the end of its last task"
JOURNALLED: Final = "from when the run was first journalled to the last line of its journal, whole seconds"
PHASE: Final = "from the start of its first task to the start of the next phase"
CHANGED: Final = "objects for which a task's answer differs from what was there before"
SAME: Final = "objects that a task found as they are declared"
CHECKS: Final = "questions that verify asked; one that could not be asked counts as failed"
CHECK_KEYS: Final = ("check", "target", "expected", "seen", "owner", "reason", "place")
ALWAYS: Final = frozenset({"check", "target", "expected", "seen"})
Report = dict[str, Any]


def tagged(one: dict[str, Any], component: str) -> dict[str, Any]:
    """Return an object or a check with the component that it belongs to; one that names its own keeps it."""
    return {**one, "component": str(one.get("component") or component)}


def complete(content: Report, peak: memory.Peak) -> Report:
    """Return the report made of what a run, a journal or an older report tells; nothing else gets into it.

    Args:
        content: Keys of the report as far as they are known.
        peak: The memory that the run took.
    """
    texts = ("run", "region", "playbook", "status", "started", "ended")
    report: Report = {"format": FORMAT, **{key: str(content.get(key, "")) for key in texts}}
    report["seconds"] = float(content.get("seconds", 0.0))
    for key in ("command", "directory"):
        report[key] = str(content.get(key, ""))
    report |= {key: dict(content.get(key) or {}) for key in ("mode", "by", "code", "versions", "target")}
    report["phases"] = _phases(content)
    report["objects"] = [_texts(one, ("component", "object", "verb", "known")) for one in content.get("objects") or []]
    report["checks"] = [_check(one) for one in content.get("checks") or []]
    report["deviations"] = list(content.get("deviations") or [])
    report["failures"] = [_texts(one, ("component", "task", "message")) for one in content.get("failures") or []]
    report["figures"] = _figures(report, str(content.get("duration", DURATION)), peak)
    report["next"] = _next(report)
    return report


def write(folder: Path, report: Report) -> Path:
    """Write a run's report in its three forms and return the path of the page."""
    state.write_json(folder / REPORT, report)
    return render(folder, report)


def render(folder: Path, report: Report) -> Path:
    """Write page and JUnit file of a report and return the path of the page."""
    state.write_text(folder / JUNIT, report_junit.render(report))
    state.write_text(folder / HTML, report_html.render(report))
    return folder / HTML


def read(folder: Path) -> Report | None:
    """Return the report of a run: as it was kept, as an older version kept it, or made of what its journal tells.

    None for a run of which there is nothing. A run that goes on looks like one that was killed: ask before.
    """
    kept = state.read_json(folder / REPORT)
    if kept is not None and kept.get("format") == FORMAT:
        return kept
    if kept is not None:
        record = state.read_json(folder / RECORD) or {}
        duration = str(kept.get("seconds_definition", DURATION))
        return complete({**record, **kept, "duration": duration}, memory.Peak(0))
    lines = state.read_lines(folder / JOURNAL)
    return _from_journal(folder.name, lines) if lines else None


def page(folder: Path) -> Path | None:
    """Return the page of a run that has ended, made now where it is missing, or None where nothing is known of it."""
    if (folder / HTML).is_file():
        return folder / HTML
    report = read(folder)
    if report is None:
        return None
    return render(folder, report) if (folder / REPORT).is_file() else write(folder, report)


def _texts(one: dict[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    return {key: str(one.get(key, "")) for key in keys}


def _check(one: dict[str, Any]) -> dict[str, Any]:
    known = {key: str(one.get(key, "")) for key in CHECK_KEYS if key in ALWAYS or one.get(key)}
    return {"component": str(one.get("component", "")), **known, "ok": bool(one.get("ok"))}


def _phases(content: Report) -> list[dict[str, Any]]:
    """Return the phases with their component and verb; an older record tells only the time of day of their start."""
    phases = []
    for one in content.get("phases") or []:
        component, _space, verb = str(one["phase"]).partition(" ")
        offset = one.get("offset", _between(str(content.get("started", "")), str(one.get("at", ""))))
        times = {"offset": float(offset), "seconds": float(one.get("seconds", 0.0))}
        phases.append({"component": component, "verb": verb, "at": str(one.get("at", "")), **times})
    return phases


def _between(start: str, end: str) -> float:
    """Return the seconds between two times of a record, 0 when one of them is missing."""
    try:
        return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    except ValueError:
        return 0.0


def _figures(report: Report, duration: str, peak: memory.Peak) -> list[dict[str, Any]]:
    """Return the figures of a report, each with what starts and stops its clock, or what it counts (design rule 13)."""
    changed = sum(one["verb"] != "none" for one in report["objects"])
    figures = [_figure("duration", report["seconds"], "s", duration)]
    if report["phases"]:
        slowest = max(report["phases"], key=lambda one: one["seconds"])
        name = f"slowest phase, {slowest['component']} {slowest['verb']}"
        figures.append(_figure(name, slowest["seconds"], "s", PHASE))
    figures += [
        _figure("changed objects", changed, "", CHANGED),
        _figure(
            "objects as declared",
            len(report["objects"]) - changed,
            "",
            "objects that a task found as they are declared",
        ),
        _figure("green checks", sum(one["ok"] for one in report["checks"]), f"of {len(report['checks'])}", CHECKS),
    ]
    if peak.kib:
        figures.append(_figure("peak memory", peak.mib, f"MiB in {peak.processes} processes", memory.DEFINITION))
    return figures


def _figure(name: str, value: float, unit: str, definition: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "definition": definition}


def _next(report: Report) -> list[dict[str, str]]:
    """Return what a person can do now: a sentence, and the command where there is one."""
    again, red = report["command"] or _command(report, report["playbook"]), [c for c in report["checks"] if not c["ok"]]
    if report["status"] in {"interrupted", "killed"}:
        text = "Run the same command again: it goes on from what is there"
        return [
            _step(text, again),
            _step("See what there is of the region, and who writes", _command(report, "status")),
        ]
    if red:
        return [
            _step("See docs/runbooks/verify.md for each red check and its usual remedy"),
            _step("Bootstrap puts back what is missing, and verifies again", _command(report, "bootstrap")),
        ]
    if report["status"] != "ok":
        return [_step("Remove the cause that is told above, then run the same command again", again)]
    if report["playbook"] == "decommission":
        return [_step("Nothing. To have the region again, bootstrap it", _command(report, "bootstrap"))]
    if report["playbook"] == "verify":
        return [_step("Nothing. Verify again at any time", again)]
    return [_step("Nothing. To prove the region again at any time, verify it", _command(report, "verify"))]


def _step(text: str, command: str = "") -> dict[str, str]:
    return {"text": text, "command": command}


def _command(report: Report, playbook: str) -> str:
    """Return the command that runs another playbook on the same region: with the same -i, beside the same playbook."""
    words = shlex.split(report["command"])
    inventories = [after for word, after in pairwise(words) if word in {"-i", "--inventory"}]
    own = next((word for word in words if re.search(rf"\b{re.escape(report['playbook'])}\.ya?ml$", word)), "")
    folder = os.path.dirname(own) if own else "playbooks"  # noqa: PTH120 - a text, not a file of this machine
    path = f"{folder}/{playbook}.yml" if folder else f"{playbook}.yml"
    options = [part for one in inventories or [f"inventories/{report['region']}"] for part in ("-i", one)]
    return shlex.join(["ansible-playbook", *options, path])


def _from_journal(run: str, lines: list[dict[str, Any]]) -> Report:
    """Return the report of a run that could not write one; its status is what its last line tells."""
    first, last = lines[0], lines[-1]
    at = str(last.get("at", first.get("at", "")))
    ends = {"end": str(last.get("status")), "interrupted": "interrupted"}
    content = {
        **first,
        "run": run,
        "status": ends.get(last["event"], "killed"),
        "started": first.get("at", ""),
        "ended": at,
        "seconds": _between(str(first.get("at", "")), at),
        "duration": JOURNALLED,
        "target": dict(first.get("target") or {}),
        "deviations": [
            {"artifact": name, "deviation": text} for name, text in sorted((first.get("deviations") or {}).items())
        ],
        "phases": _journalled_phases(lines, at),
        "objects": [one for line in lines if line["event"] == "objects" for one in _journalled_objects(line)],
        "checks": [one for line in lines if line["event"] == "checks" for one in line["checks"]],
        "failures": [line for line in lines if line["event"] == "failed"],
    }
    for line in lines:
        if line["event"] == "cluster":
            content["target"] |= {key: value for key, value in line.items() if key not in {"event", "at"}}
    return complete(content, memory.Peak(0))


def _journalled_phases(lines: list[dict[str, Any]], end: str) -> list[dict[str, Any]]:
    phases = [{"phase": line["phase"], "at": line["at"]} for line in lines if line["event"] == "phase"]
    ends = [*(one["at"] for one in phases[1:]), end]
    return [{**one, "seconds": _between(one["at"], after)} for one, after in zip(phases, ends, strict=False)]


def _journalled_objects(line: dict[str, Any]) -> list[dict[str, str]]:
    found = []
    for text in line["changed"]:
        verb, _space, name = text.partition(" ")
        found.append({"component": line.get("component", ""), "object": name, "verb": verb, "known": "server"})
    return found
