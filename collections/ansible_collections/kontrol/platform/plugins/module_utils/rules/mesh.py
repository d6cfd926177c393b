"""Rules of the block `mesh`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster")

CPU: Final = ("^([1-9][0-9]*m|[1-9][0-9]*)$", "a number of CPUs such as 2, or thousandths such as 100m")
PATTERNS: Final = {
    "istiod_cpu": CPU,
    "proxy_cpu": CPU,
    "istiod_memory": (f"^{quantities.PATTERN}$", quantities.MEANING),
    "proxy_memory": (f"^{quantities.PATTERN}$", quantities.MEANING),
}
REPLICAS: Final = (1, 5)
TIMEOUT_SECONDS: Final = (30, 3600)
LEAST: Final = {"istiod_memory": "128Mi", "proxy_memory": "48Mi"}
"""Less is not enough for the processes at rest."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the mesh's block: numbers that are out of range."""
    del region
    problems = []
    for option, (low, high) in {"replicas": REPLICAS, "wait_timeout": TIMEOUT_SECONDS}.items():
        if not low <= block[option] <= high:
            problems.append(Problem("", f"mesh.{option}", block[option], f"Expected {low} to {high}"))
    for option, least in LEAST.items():
        if quantities.to_bytes(block[option]) < quantities.to_bytes(least):
            problems.append(Problem("", f"mesh.{option}", block[option], f"Expected at least {least}"))
    return problems
