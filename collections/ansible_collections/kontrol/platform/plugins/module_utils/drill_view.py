"""A drill for people and programs: the result as JSON, the lines of a terminal, a page with the history of drills."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import drill, html_page
from ansible_collections.kontrol.platform.plugins.module_utils.drill import Acknowledged, Evidence, Verdict

PAGE: Final = "drill.html"
FORMAT: Final = 1
WIDTH: Final = 640
HEIGHT: Final = 160
MOST_BARS: Final = 40
MEANINGS: Final = {
    "begin": "what an earlier drill has left is restored, and the region is proven",
    "precheck": "backups, data and passwords are looked at before anything is touched",
    "canaries": "writers run, what is acknowledged is kept on the controller",
    "fault": "the damage is done",
    "rebuild": "what the fault took of the region is made anew",
    "empty": "the target is proven to be empty",
    "restore": "the newest good backup from before the fault comes back",
    "compare": "what came back is counted and held against the backup and the canaries",
    "verify": "the whole region is verified",
    "judge": "the evidence is judged",
}


def iso(moment: float) -> str:
    """Return a second since 1970 as text in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def result(evidence: Evidence, heard: dict[str, Acknowledged], verdict: Verdict) -> dict[str, Any]:
    """Return the result of a drill: what a program reads; figures are null where nothing was proven."""
    proving = evidence["mode"] == "prove"
    return {
        "format": FORMAT,
        "run": evidence["run"],
        "region": evidence["region"],
        "mode": evidence["mode"],
        "source": evidence.get("source", ""),
        "fault": evidence["fault"],
        "breaks": drill.kind_of(evidence).breaks,
        "verdict": "green" if verdict.ok else "red",
        "proven": verdict.proven,
        "reasons": verdict.reasons,
        "rto_seconds": verdict.rto,
        "rpo_seconds": verdict.rpo,
        "rpo_by_database": verdict.rpo_by_database,
        "worst_gap_by_database": verdict.worst,
        "targets": evidence["targets"],
        "definitions": {
            "rto": drill.RTO_OF_PROOF if proving else drill.RTO,
            "rpo": drill.RPO_OF_PROOF if proving else drill.RPO,
            "worst gap": drill.WORST,
        },
        "began": iso(evidence["began"]),
        "ended": iso(evidence["ended"]),
        "timeline": timeline(evidence),
        "databases": {name: _database(evidence, name, heard) for name in evidence["databases"]},
        "versions": evidence.get("versions") or {},
        "checks": verdict.checks,
    }


def timeline(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the phases: when each began, in seconds of the clock of the RTO too, and how long it took."""
    phases = evidence["phases"]
    zero = next((float(evidence[name]) for name in ("fault_at", "ordered_at") if evidence.get(name)), None)
    moments = [*(float(one["at"]) for one in phases), float(evidence["ended"])]
    return [
        {
            "phase": one["phase"],
            "meaning": MEANINGS.get(one["phase"], ""),
            "at": iso(float(one["at"])),
            "clock": None if zero is None else round(float(one["at"]) - zero, 1),
            "seconds": round(end - float(one["at"]), 1),
        }
        for one, end in zip(phases, moments[1:], strict=True)
    ]


def _database(evidence: Evidence, name: str, heard: dict[str, Acknowledged]) -> dict[str, Any]:
    parts = {part: (evidence.get(part) or {}).get(name) for part in ("backups", "before", "restored", "after")}
    acknowledged = heard.get(name, Acknowledged())
    recovered = drill.last_recovered(evidence, name)
    return {
        **parts,
        "acknowledged": acknowledged.count,
        "last_acknowledged": iso(acknowledged.last) if acknowledged.last else None,
        "last_recovered": iso(recovered) if recovered else None,
    }


def line(told: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a drill in the history of its region."""
    kept = ("run", "ended", "mode", "fault", "verdict", "proven", "rto_seconds", "rpo_seconds", "reasons")
    return {name: told[name] for name in kept}


def short(last: dict[str, Any]) -> str:
    """Return the line of the history as one line of status."""
    figures = f"RTO {_told(last['rto_seconds'])}, RPO {_told(last['rpo_seconds'])}"
    return f"{last['run']} of {last['ended']}, {last['fault'] or last['mode']}: {last['verdict']}, {figures}"


def lines(told: dict[str, Any], folder: str) -> list[str]:
    """Return a drill for a terminal."""
    what = f"of {told['source']} in {told['region']}" if told["mode"] == "prove" else f"of {told['region']}"
    named = f"fault {told['fault']}" if told["fault"] else "prove"
    head = f"Drill {what}, {named}: {told['verdict'].upper()}"
    return [
        "",
        head,
        *(f"  red: {reason}" for reason in told["reasons"]),
        f"  RTO {_figure(told['rto_seconds'], told['targets']['rto'])}: {told['definitions']['rto']}",
        f"  RPO {_figure(told['rpo_seconds'], told['targets']['rpo'])}: {told['definitions']['rpo']}",
        *(f"    {name}: {seconds:g} s" for name, seconds in told["rpo_by_database"].items()),
        *(f"  worst gap between backups of {name}: {gap:g} s" for name, gap in told["worst_gap_by_database"].items()),
        f"  to read: {folder}/{PAGE}, {drill.RESULT}",
    ]


def _figure(seconds: float | None, target: float) -> str:
    return "not proven" if seconds is None else f"{seconds:g} s (target {target:g} s)"


def page(told: dict[str, Any], history: list[dict[str, Any]]) -> str:
    """Return the page of a drill, with those before it."""
    shown = history[-MOST_BARS:]
    return html_page.render(
        "drill.html.j2",
        drill=told,
        figure=_figure,
        rows=lambda part: f"{part['rows']} rows" if part and "rows" in part else "",
        history=list(reversed(shown)),
        charts={name: bars(shown, key) for name, key in (("RTO", "rto_seconds"), ("RPO", "rpo_seconds"))},
        width=WIDTH,
        height=HEIGHT,
    )


def bars(history: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return the bars of a chart, the oldest drill first; a drill that proved nothing is a bar without height."""
    largest = max((float(one[key]) for one in history if one.get(key) is not None), default=0.0) or 1.0
    step = WIDTH / max(len(history), 1)
    return [
        {
            "x": round(number * step + step * 0.1, 1),
            "width": round(step * 0.8, 1),
            "height": round(float(one.get(key) or 0.0) / largest * (HEIGHT - 20), 1),
            "known": one.get(key) is not None,
            "ok": one["verdict"] == "green",
            "text": f"{one['run']}: {_told(one.get(key))}, {one['fault'] or one['mode']}, {one['verdict']}",
        }
        for number, one in enumerate(history)
    ]


def _told(seconds: float | None) -> str:
    return "not proven" if seconds is None else f"{seconds:g} s"
