"""Rules of the block `monitoring`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")

PATTERNS: Final = {
    "cpu": limits.CPU,
    "memory": limits.QUANTITY,
    "storage": limits.QUANTITY,
    "retention": ("^[1-9][0-9]*[hdwy]$", "a duration such as 36h, 15d or 4w"),
    "storage_class": limits.STORAGE_CLASS,
    "receivers[].name": limits.LABEL,
    "receivers[].url_secret": ("^[a-z0-9][a-z0-9/_-]*$", "the name of a secret such as alerts/pager"),
}
SEVERITIES: Final = ("page", "ticket", "none")
LEAST_MEMORY: Final = "256Mi"
"""Prometheus with the series of a small region takes about 150Mi, and twice that while it replays its log."""
INTERVAL_SECONDS: Final = (5, 60)


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: sizes that are too small, times out of range, receivers that contradict."""
    del region
    return [
        *limits.at_least("monitoring", block, "memory", LEAST_MEMORY),
        *limits.at_least("monitoring", block, "storage", limits.LEAST_STORAGE),
        *limits.between("monitoring", block, "interval", INTERVAL_SECONDS, "seconds"),
        *limits.timeout("monitoring", block),
        *_receivers(block),
    ]


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
