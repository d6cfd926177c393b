"""Plain tables for a terminal: aligned columns, no wider than 100 characters where the content allows it."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 100
GAP: Final = "  "
NARROWEST: Final = 8
MOST_EXPECTATIONS: Final = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Return the lines of a table; cells that are too long are wrapped within their column."""
    widths = _widths([header, *rows], width - len(GAP) * (len(header) - 1))
    lines = [_line(header, widths), GAP.join("-" * one for one in widths)]
    for row in rows:
        cells = [_wrapped(cell, one) for cell, one in zip(row, widths, strict=True)]
        height = max(len(cell) for cell in cells)
        lines += [_line([cell[at] if at < len(cell) else "" for cell in cells], widths) for at in range(height)]
    return lines


def checks_table(checks: Sequence[dict[str, Any]], width: int = WIDTH) -> list[str]:
    """Return the table of verify's checks; a failed one starts with FAIL, an accepted exception names its owner."""
    rows = []
    for one in checks:
        reason = f" ({one['owner']}: {one.get('reason', '')})" if one.get("owner") else ""
        row = [one["check"], one["target"], one["expected"], str(one["seen"]) + reason]
        rows.append(["ok" if one["ok"] else "FAIL", *map(str, row)])
    return table(["", "check", "target", "expected", "seen"], rows, width)


def checks_summary(checks: Sequence[dict[str, Any]], width: int = WIDTH) -> list[str]:
    """Return a line for each kind of check that is green, and each failed check whole, last: there the eye is.

    What several checks of a kind expect is counted: "refused 35, answers 200 3". A check that is alone shows what was
    seen. The report has all of them.
    """
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in checks:
        if one["ok"]:
            kinds.setdefault((str(one.get("component", "")), one["check"]), []).append(one)
    rows = [["ok", component, name, str(len(same)), _told(same)] for (component, name), same in kinds.items()]
    lines = table(["", "component", "check", "", "seen"], rows, width) if rows else []
    failed = [one for one in checks if not one["ok"]]
    return lines + ([""] if lines and failed else []) + (checks_table(failed, width) if failed else [])


def _told(same: Sequence[dict[str, Any]]) -> str:
    """Return what checks of one kind have in common."""
    if len(same) == 1:
        return f"{same[0]['target']}: {same[0]['seen']}"
    counted = Counter(str(one["expected"]) for one in same)
    if len(counted) > MOST_EXPECTATIONS:
        return "each as expected"
    return ", ".join(f"{text} {number}" if len(counted) > 1 else text for text, number in counted.most_common())


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return a width per column: what it needs, the widest ones made narrower until all fit."""
    widths = [
        max(len(line) for cell in column for line in (cell.splitlines() or [""])) for column in zip(*rows, strict=True)
    ]
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    """Return the lines of a cell; names are not broken at their hyphens: they can be searched for and copied."""
    wrapped = [textwrap.wrap(line, max(width, 1), break_on_hyphens=False) for line in cell.splitlines()]
    return [part for parts in wrapped for part in parts] or [""]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
