"""Rules of the block `monitoring`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.rules.mesh import CPU

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")

_QUANTITY: Final = (f"^{quantities.PATTERN}$", quantities.MEANING)
_LABEL: Final = ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label (a-z, 0-9 and -)")
PATTERNS: Final = {
    "cpu": CPU,
    "memory": _QUANTITY,
    "storage": _QUANTITY,
    "retention": ("^[1-9][0-9]*[hdwy]$", "a duration such as 36h, 15d or 4w"),
    "storage_class": (
        "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
        "the name of a StorageClass, or nothing for the default one",
    ),
    "receivers[].name": _LABEL,
    "receivers[].url_secret": ("^[a-z0-9][a-z0-9/_-]*$", "the name of a secret such as alerts/pager"),
}
SEVERITIES: Final = ("page", "ticket", "none")
LEAST_MEMORY: Final = "256Mi"
"""Prometheus with the series of a small region takes about 150Mi, and twice that while it replays its log."""
LEAST_STORAGE: Final = "1Gi"
INTERVAL_SECONDS: Final = (5, 60)
TIMEOUT_SECONDS: Final = (30, 3600)


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: sizes that are too small, times out of range, receivers that contradict."""
    del region
    return [
        *_least(block, "memory", LEAST_MEMORY),
        *_least(block, "storage", LEAST_STORAGE),
        *_between(block, "interval", INTERVAL_SECONDS),
        *_between(block, "wait_timeout", TIMEOUT_SECONDS),
        *_receivers(block),
    ]


def _least(block: Block, name: str, least: str) -> list[Problem]:
    if quantities.to_bytes(block[name]) >= quantities.to_bytes(least):
        return []
    return [Problem("", f"monitoring.{name}", block[name], f"Expected at least {least}")]


def _between(block: Block, name: str, limits: tuple[int, int]) -> list[Problem]:
    low, high = limits
    if low <= block[name] <= high:
        return []
    return [Problem("", f"monitoring.{name}", block[name], f"Expected {low} to {high} seconds")]


def _receivers(block: Block) -> list[Problem]:
    problems, names = [], [one["name"] for one in block["receivers"]]
    for number, one in enumerate(block["receivers"]):
        path = f"monitoring.receivers[{number}]"
        if names.index(one["name"]) < number:
            problems.append(Problem("", f"{path}.name", one["name"], "Two receivers have this name"))
        wrong = [severity for severity in one["severities"] if severity not in SEVERITIES]
        if wrong or not one["severities"]:
            message = f"Expected at least one of {', '.join(SEVERITIES)}"
            problems.append(Problem("", f"{path}.severities", one["severities"], message))
    return problems
