"""Memory and storage as Kubernetes writes them: 512Mi, 2Gi, 1G."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = r"[1-9][0-9]*(?:[KMGT]i?)?"
"""What a quantity may look like in a spec: a whole number and a unit."""
MEANING: Final = "a whole number with a unit, such as 512Mi or 2Gi"
_UNITS: Final[dict[str, int]] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("KMGT", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)},
}
_QUANTITY: Final = re.compile(r"([1-9][0-9]*)([KMGT]i?)?\Z")


def to_bytes(text: str) -> int:
    """Return a quantity in bytes. Raises ValueError for anything that is not one."""
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not {MEANING}")
    return int(match[1]) * _UNITS[match[2] or ""]


def times(text: str, factor: int) -> str:
    """Return a quantity as often, in its own unit: 64Mi by 8 is 512Mi."""
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not {MEANING}")
    return f"{int(match[1]) * factor}{match[2] or ''}"


def to_text(size: int) -> str:
    """Return bytes as a text in the largest binary unit that is exact enough to read: 1.5Gi, 768Mi."""
    for unit in ("T", "G", "M", "K"):
        if size >= (factor := _UNITS[f"{unit}i"]):
            return f"{size / factor:.4g}{unit}i"
    return str(size)
