"""A plan for people: the lines of a terminal, a Markdown document for a review, a page for a browser."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import html_page
from ansible_collections.kontrol.platform.plugins.module_utils.plan import Plan, Step

MARKS: Final = {"create": "+", "delete": "-", "prune": "-", "recreate": "-+", "replace": "!"}
"""Action -> its mark; any other one, such as update, has CHANGED."""
CHANGED: Final = "~"
SHORT: Final = 12
LONGEST: Final = 90
TABLE: Final = "| | object | known | field | before | after |"
KNOWN: Final = {
    "server": "the API server, or what the region runs on, was asked",
    "rendered": "what it would be part of does not exist yet, so it was judged by what was rendered",
    "unknown": "depends on a value that only the run itself makes, such as a new password",
}


def lines(plan: Plan, folder: str = "") -> list[str]:
    """Return the plan for a terminal: what is made is counted, all else is told one by one, field by field."""
    told = [f"Plan of region {plan.region}: {summary(plan)}"]
    for component, steps in components(plan).items():
        told.append(f"  {component}")
        told += [f"    + {text}" for text in _made(steps)]
        told += [f"    {text}" for one in steps if one["action"] != "create" for text in _step_lines(one)]
    told += [f"  REFUSED: {one}" for one in plan.refusals()]
    told.append(f"  hash {plan.hash}" if plan.steps else "  nothing to do; hash " + plan.hash)
    return [*told, f"  to read: {folder}/plan.html, plan.md, plan.json"] if folder else told


def markdown(plan: Plan) -> str:
    """Return the plan as a Markdown document, every object by name."""
    text = [f"# Plan of region {plan.region}", "", f"{summary(plan)}. Made {plan.made}.", "", f"Hash: `{plan.hash}`"]
    text += ["", *(f"> **Refused:** {one}" for one in plan.refusals())]
    for component, steps in components(plan).items():
        text += ["", f"## {component}", "", TABLE, "|---|---|---|---|---|---|"]
        text += [row for one in steps for row in _rows(one)]
    text += ["", *(f"- `{name}`: {meaning}" for name, meaning in KNOWN.items())]
    return "\n".join(text) + "\n"


def _rows(step: Step) -> list[str]:
    """Return the rows of a step: one for each field, the first with the object's name."""
    fields = [
        f" {_cell(one['path'])} | {_cell(_short(one['before']))} | {_cell(_short(one['after']))} |"
        for one in _fields(step)
    ] or [" | | |"]
    head = f"| {step['action']} | {_cell(step['address'])} | {step['known']} |"
    return [head + fields[0], *(f"| | | |{field}" for field in fields[1:])]


def page(plan: Plan) -> str:
    """Return the plan as one HTML page."""
    shown = {
        component: [{**one, "fields": _fields(one), "mark": MARKS.get(one["action"], CHANGED)} for one in steps]
        for component, steps in components(plan).items()
    }
    return html_page.render(
        "plan.html.j2", plan=plan, summary=summary(plan), components=shown, known=KNOWN, short=_short
    )


def summary(plan: Plan) -> str:
    """Return how many objects there are of each action."""
    counted = ", ".join(f"{number} {action}" for action, number in sorted(plan.counts().items()))
    protected = ", protected" if plan.protected else ""
    return f"{counted or 'no change'}, {plan.same} as declared{protected}"


def components(plan: Plan) -> dict[str, list[Step]]:
    """Return the steps by component, in their order."""
    found: dict[str, list[Step]] = {}
    for one in plan.steps:
        found.setdefault(one["component"] or "region", []).append(one)
    return found


def _made(steps: Iterable[Step]) -> list[str]:
    kinds = Counter(str(one["address"]).partition(" ")[0] for one in steps if one["action"] == "create")
    listed = ", ".join(f"{number} {kind.partition('.')[0]}" for kind, number in kinds.items())
    return [f"create {listed}"] if listed else []


def _step_lines(step: Step) -> list[str]:
    head = f"{MARKS.get(step['action'], CHANGED)} {step['action']} {step['address']} ({step['known']})"
    return [head, *(f"    {one['path']}: {_short(one['before'])} -> {_short(one['after'])}" for one in _fields(step))]


def _fields(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(step.get("changes") or [])


def _short(value: Any) -> str:
    """Return a value as one line of bounded length."""
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")
