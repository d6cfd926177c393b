"""Plain tables for a terminal: aligned columns, no wider than 100 characters where the content allows it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 100
GAP: Final = "  "
NARROWEST: Final = 8


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


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return a width per column: what it needs, the widest ones made narrower until all fit."""
    widths = [
        max(len(line) for cell in column for line in (cell.splitlines() or [""])) for column in zip(*rows, strict=True)
    ]
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    return [part for line in cell.splitlines() for part in textwrap.wrap(line, max(width, 1))] or [""]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
