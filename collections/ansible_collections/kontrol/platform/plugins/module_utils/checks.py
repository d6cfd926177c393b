"""One line of what verify found: the form in which every part hands its checks to the report."""

from __future__ import annotations

from typing import Any


def check(name: str, target: str, expected: str, seen: str, ok: bool) -> dict[str, Any]:
    """Return one check.

    Args:
        name: What is checked.
        target: On what.
        expected: What must be seen.
        seen: What was seen; never a secret.
        ok: Whether that is as expected.
    """
    return {"check": name, "target": target, "expected": expected, "seen": seen, "ok": ok}
