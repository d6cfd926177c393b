"""What is told of the backups of a region: a table for the screen, checks for the report."""

from __future__ import annotations

from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.text_table import table

Backup = dict[str, Any]

HEADER: Final = ("", "id", "age", "bytes", "seconds", "builds on", "what is wrong")
HOURS: Final = 3600.0
NOT_COMPLETE: Final = "a Job makes it right now, or one that died has left it: a day later it is deleted"


def lines(lists: dict[str, dict[str, Any]], now: float) -> list[str]:
    """Return the lines of a table per component; the newest good backup is marked, it is what restore takes.

    Args:
        lists: By component: {"backups": [{id, base, started, made, seconds, bytes, problem}], "newest": id or ""}.
        now: The moment, as Unix time.
    """
    told: list[str] = []
    for component, found in sorted(lists.items()):
        rows = [_row(one, found["newest"], now) for one in found["backups"]]
        told += ["", f"Backups of {component}, the newest first:", *(table(HEADER, rows) if rows else ["  none"])]
    return told


def _row(one: Backup, newest: str, now: float) -> list[str]:
    mark = "newest" if one["id"] == newest else "FAIL" if one["problem"] else "ok"
    known = bool(one["made"])
    figures = [age(now - one["started"]), str(one["bytes"]), f"{one['seconds']:g}"] if known else ["?"] * 3
    return [mark, one["id"], *figures, one["base"] or "-", one["problem"] or "-"]


def age(seconds: float) -> str:
    """Return an age in hours below two days, else in days."""
    return f"{seconds / HOURS:.1f} h" if seconds < 48 * HOURS else f"{seconds / HOURS / 24:.1f} d"


def checks(found: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return a check for each backup of a component, and one for the newest good one.

    A backup that was complete once and is not good now is red. One that was never complete is told as an exception.
    """
    newest = next((one for one in found["backups"] if one["id"] == found["newest"]), None)
    seen = _facts(newest, now) if newest else "none"
    target = newest["id"] if newest else "any"
    return [
        check("newest good backup", target, "one", seen, newest is not None),
        *(_check(one, now) for one in found["backups"]),
    ]


def _check(one: Backup, now: float) -> dict[str, Any]:
    never = bool(one["problem"]) and not one["made"]
    told = check("backup is good", one["id"], "good", one["problem"] or _facts(one, now), never or not one["problem"])
    return {**told, **({"owner": "backups", "reason": NOT_COMPLETE} if never else {})}


def _facts(one: Backup, now: float) -> str:
    base = f", builds on {one['base']}" if one["base"] else ""
    return f"{age(now - one['started'])} old, {one['bytes']} bytes, made in {one['seconds']:g} s{base}"
