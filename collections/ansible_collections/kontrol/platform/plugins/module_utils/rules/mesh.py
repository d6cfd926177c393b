"""Rules of the block `mesh`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster")

PATTERNS: Final = {
    "istiod_cpu": limits.CPU,
    "proxy_cpu": limits.CPU,
    "istiod_memory": limits.QUANTITY,
    "proxy_memory": limits.QUANTITY,
}
REPLICAS: Final = (1, 5)
LEAST: Final = {"istiod_memory": "128Mi", "proxy_memory": "48Mi"}
"""Less is not enough for the processes at rest."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the mesh's block: numbers that are out of range."""
    del region
    ranges = {"replicas": REPLICAS, "wait_timeout": limits.TIMEOUT_SECONDS}
    return [
        *(problem for option, both in ranges.items() for problem in limits.between("mesh", block, option, both)),
        *(problem for option, least in LEAST.items() for problem in limits.at_least("mesh", block, option, least)),
    ]
