"""A run's report as one HTML page: nothing is fetched, no script is needed, every value is escaped.

Fed from the report (`report.json`) alone. Layout stands in report.html.j2 and report.css beside this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import html_page

VERDICTS: Final = {"ok": "succeeded", "failed": "failed", "interrupted": "was interrupted", "killed": "was killed"}
MARKS: Final = {"ok": "\u2713", "failed": "\u2717"}
OF_PLACE: Final = {
    "port, outside the mesh": "outside",
    "port, in the mesh, not allowed": "denied",
    "port, in the mesh, allowed": "allowed",
}
PLACES: Final = {"outside": "outside the mesh", "denied": "inside, not allowed", "allowed": "inside, allowed"}
KINDS: Final = {
    **dict.fromkeys(("begin", "prove", "confirm", "access", "precheck"), "prepare"),
    **{verb: verb for verb in ("deploy", "schema", "verify")},
}
"""Colours of the timeline by verb; every other verb (remove, backup ...) is "other"."""
SCALE: Final = 1000
QUARTERS: Final = 4
SHORT_RUN: Final = 10.0
THINNEST: Final = 4
FIRST_REDS: Final = 6
MOST: Final = 4
FIRST_CHARACTERS: Final = 400
SHORT: Final = 12
UNNAMED: Final = "run"
Report = dict[str, Any]


def render(report: Report) -> str:
    """Return the page of a report of format 1."""
    return html_page.render("report.html.j2", report=report, places=PLACES, task_name=task_name, **view(report))


def view(report: Report) -> dict[str, Any]:
    """Return what the page shows, made from the report: pure data, in the order of the page."""
    red = [one for one in report["checks"] if not one["ok"]]
    matrix = [one for one in report["checks"] if _place(one)]
    return {
        "verdict": _verdict(report, red),
        "mark": MARKS.get(report["status"], "!"),
        "summary": _summary(report),
        "tiles": _tiles(report, red),
        "reds": _reds(report, red),
        "timeline": _timeline(report),
        "kinds": list(dict.fromkeys(KINDS.get(one["verb"], "other") for one in report["phases"])),
        "changes": _changes(report["objects"]),
        "matrix": _matrix(matrix),
        "exceptions": _exceptions(report["checks"]),
        "checks": _grouped(sorted((one for one in report["checks"] if not (_place(one) and one["ok"])), key=_is_ok)),
        "facts": _facts(report),
    }


def duration(seconds: float) -> str:
    """Return seconds for people: "12.3 s", "4 min 05 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _verdict(report: Report, red: list[Report]) -> str:
    """Return how the run ended; where, unless it went through to its checks."""
    told = VERDICTS.get(str(report["status"]), "ended")
    if report["status"] == "ok" or red or not report["phases"]:
        return told
    last = report["phases"][-1]
    return f"{told} in {last['component']} {last['verb']}"


def _tiles(report: Report, red: list[Report]) -> list[dict[str, str]]:
    """Return the figures of the first screen; their definitions stand below, under Figures."""
    changed = sum(one["verb"] != "none" for one in report["objects"])
    checks = len(report["checks"])
    green = f"{checks - len(red)} of {checks} green" if checks else "none made"
    tiles = [
        {"name": "duration", "value": duration(report["seconds"]), "note": _slowest(report), "kind": ""},
        {
            "name": "changed",
            "value": _count(changed, "object"),
            "note": _where_changed(report["objects"]),
            "kind": "",
        },
        {
            "name": "checks",
            "value": f"{len(red)} red" if red else green,
            "note": green if red else "",
            "kind": "red" if red else "",
        },
    ]
    tiles += _lab_tile(report)
    tiles += [
        {"name": one["name"], "value": f"{one['value']} MiB", "note": "of the controller", "kind": ""}
        for one in report["figures"]
        if one["name"] == "peak memory"
    ]
    return tiles


def _lab_tile(report: Report) -> list[dict[str, str]]:
    """Return the tile of the lab's deviations; none when the journal of an older version does not tell them."""
    count = len(report["deviations"])
    if not (count or report["by"]):
        return []
    note = "artifacts that stand in for their pins" if count else "every artifact is as pinned"
    return (
        [{"name": "lab", "value": _count(count, "deviation"), "note": note, "kind": ""}]
        if count or report["by"]
        else []
    )


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _where_changed(objects: list[Report]) -> str:
    """Return how many objects of which component changed, the most first, and how many did not."""
    changed = Counter(one["component"] for one in objects if one["verb"] != "none" and one["component"])
    same = sum(one["verb"] == "none" for one in objects)
    parts = [f"{count} {name}" for name, count in changed.most_common(MOST)]
    return ", ".join([*parts, f"{same} as declared"] if same else parts)


def _slowest(report: Report) -> str:
    if not report["phases"]:
        return ""
    slowest = max(report["phases"], key=lambda one: one["seconds"])
    return f"longest: {slowest['component']} {slowest['verb']}, {duration(slowest['seconds'])}"


def _reds(report: Report, red: list[Report]) -> dict[str, Any]:
    """Return what is red for the first screen: failed checks, and failed tasks that do not only repeat them."""
    told = {one["component"] for one in red} | ({"region"} if red else set())
    lines = [
        {"where": one["component"] or UNNAMED, "what": f"{one['check']}: {one['target']}", "why": _told(one)}
        for one in red
    ]
    lines += [
        {"where": one["component"] or UNNAMED, "what": task_name(one), "why": _cut(one["message"])}
        for one in report["failures"]
        if one["component"] not in told
    ]
    return {"lines": lines[:FIRST_REDS], "more": max(0, len(lines) - FIRST_REDS)}


def task_name(failure: Report) -> str:
    """Return the name of a failed task without the role that Ansible puts before it."""
    return str(failure["task"]).removeprefix(f"{failure['component']} : ")


def _told(check: Report) -> str:
    return f"expected {check['expected']}, seen {check['seen']}"


def _cut(text: str) -> str:
    return text if len(text) <= FIRST_CHARACTERS else text[:FIRST_CHARACTERS].rstrip() + " ..."


def _timeline(report: Report) -> dict[str, Any]:
    """Return one row of bars per component, from their real start; positions are thousandths of the whole."""
    ends = [one["offset"] + one["seconds"] for one in report["phases"]]
    whole = max([report["seconds"], *ends]) or 1.0
    rows: dict[str, dict[str, Any]] = {}
    for one in report["phases"]:
        row = rows.setdefault(one["component"], {"component": one["component"], "seconds": 0.0, "bars": []})
        row["seconds"] += one["seconds"]
        row["bars"].append(
            {
                "x": round(one["offset"] / whole * SCALE, 1),
                "width": max(THINNEST, round(one["seconds"] / whole * SCALE, 1)),
                "kind": KINDS.get(one["verb"], "other"),
                "text": f"{one['verb']}: {duration(one['seconds'])}, from {duration(one['offset'])}",
            }
        )
    for row in rows.values():
        row["text"] = duration(row["seconds"])
    digits = 0 if whole >= SHORT_RUN else 1
    ticks = [f"{whole * part / QUARTERS:.{digits}f} s" for part in range(QUARTERS + 1)]
    return {"rows": list(rows.values()), "ticks": ticks}


def _changes(objects: list[Report]) -> list[dict[str, Any]]:
    """Return per component what changed and how many objects were as declared, the components with changes first."""
    groups = []
    for name, ones in _grouped(objects):
        changed = [one for one in ones if one["verb"] != "none"]
        verbs = Counter(one["verb"] for one in changed)
        counts = ", ".join(f"{count} {verb}" for verb, count in verbs.items()) or "nothing changed"
        groups.append({"component": name, "changed": changed, "counts": counts, "same": len(ones) - len(changed)})
    return sorted(groups, key=lambda one: not one["changed"])


def _place(check: Report) -> str:
    """Return the column of the matrix that a check belongs to, "" when it is no cell of it."""
    return str(check.get("place") or OF_PLACE.get(check["check"], ""))


def _matrix(checks: list[Report]) -> list[dict[str, Any]]:
    """Return the rows of the matrix: pod and port, a cell per place that was asked, red rows first.

    The cells of one row may come from several components: who is allowed is asked by the pod's own.
    """
    rows: dict[str, dict[str, Any]] = {}
    for one in checks:
        row = rows.setdefault(one["target"], {"target": one["target"], "cells": {}, "red": False})
        row["cells"][_place(one)] = {"owner": "", **one, "text": _cell(one)}
        row["red"] |= not one["ok"]
    return sorted(rows.values(), key=lambda row: (not row["red"], all(one["owner"] for one in row["cells"].values())))


def _exceptions(checks: list[Report]) -> list[dict[str, str]]:
    """Return who answers for what is open by design, and why: one line per reason."""
    targets: dict[tuple[str, str], list[str]] = {}
    for one in checks:
        if one.get("owner"):
            targets.setdefault((one["owner"], one.get("reason", "")), []).append(one["target"])
    return [{"owner": key[0], "reason": key[1], "targets": ", ".join(found)} for key, found in targets.items()]


def _cell(check: Report) -> str:
    """Return the few words of a cell; what was expected of a red one stands in the list of checks."""
    if not check["ok"]:
        return str(check["seen"]).partition(":")[0]
    if check.get("owner"):
        return "by design"
    return "refused" if check["expected"].startswith("refused") else "answers"


def _grouped(ones: Iterable[Report]) -> list[tuple[str, list[Report]]]:
    groups: dict[str, list[Report]] = {}
    for one in ones:
        groups.setdefault(one["component"] or UNNAMED, []).append(one)
    return list(groups.items())


def _is_ok(check: Report) -> bool:
    return bool(check["ok"])


def _mode(mode: dict[str, bool]) -> str:
    """Return how the command ran; "" for a report that does not tell."""
    if not mode:
        return ""
    return ("checked only" if mode["check"] else "applied") + (", with diff" if mode["diff"] else ", without diff")


def _facts(report: Report) -> list[tuple[str, str]]:
    """Return what ran on what, as far as it is known."""
    target = report["target"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    facts = [
        ("run", report["run"]),
        ("command", report["command"]),
        ("in folder", report["directory"]),
        ("mode", _mode(report["mode"])),
        ("time", f"{report['started']} to {report['ended']}"),
        ("by", ", pid ".join(filter(None, (_who(report), str(report["by"].get("pid", "")))))),
        ("commit", _commit(report)),
        ("region", ", profile ".join(filter(None, (report["region"], target.get("profile"))))),
        ("driver", str(target.get("driver", ""))),
        ("components", ", ".join(target.get("components", []))),
        ("cluster", ", CA ".join(filter(None, (target.get("api_server"), str(target.get("ca_sha256", ""))[:SHORT])))),
        ("versions", versions),
    ]
    return [(name, value) for name, value in facts if value]


def _who(report: Report) -> str:
    return "@".join(str(report["by"][key]) for key in ("user", "host") if report["by"].get(key))


def _commit(report: Report) -> str:
    """Return the short commit, and whether the checkout held more than that."""
    commit = str(report["code"].get("commit", ""))[:SHORT]
    state = "with changes beside it" if report["code"].get("dirty") else "clean"
    return f"{commit}, {state}" if commit else ""


def _summary(report: Report) -> str:
    """Return the line below the headline: when, who, on which cluster, from which commit."""
    target = report["target"]
    cluster = " ".join(filter(None, (target.get("driver"), target.get("api_server"))))
    commit = _commit(report)
    parts = (report["started"], _who(report), cluster, f"commit {commit}" if commit else "", f"run {report['run']}")
    return " \u00b7 ".join(filter(None, parts))
