"""Rules of the block `clickhouse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits, quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring", "telemetry")

PATTERNS: Final = {
    "cpu": limits.CPU,
    "memory": limits.QUANTITY,
    "server_memory": limits.QUANTITY,
    "storage": limits.QUANTITY,
    "storage_class": limits.STORAGE_CLASS,
    **limits.CLIENTS,
}
HEADROOM: Final = "256Mi"
"""What the process needs beside what `max_server_memory_usage` counts: code, stacks, allocator, page cache."""
LEAST_SERVER_MEMORY: Final = "512Mi"
"""Below this the server refuses ordinary queries (ClickHouse's own guide names more for production)."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: memory that does not add up, replicas that nobody has run."""
    del region
    return [
        *_memory(block),
        *limits.at_least("clickhouse", block, "storage", limits.LEAST_STORAGE),
        *_replicas(block),
        *limits.timeout("clickhouse", block),
    ]


def _memory(block: Block) -> list[Problem]:
    server, limit, headroom = map(quantities.to_bytes, (block["server_memory"], block["memory"], HEADROOM))
    problems = limits.at_least("clickhouse", block, "server_memory", LEAST_SERVER_MEMORY)
    if server + headroom > limit:
        total = quantities.to_text(server + headroom)
        message = (
            f"Expected at least {total}: server_memory {block['server_memory']} and {HEADROOM} for what the server "
            "does not count"
        )
        problems.append(Problem("", "clickhouse.memory", block["memory"], message))
    return problems


def _replicas(block: Block) -> list[Problem]:
    if block["replicas"] == 1:
        return []
    message = "Expected 1: replication needs Keeper, which this project has not run on a real server yet"
    return [Problem("", "clickhouse.replicas", block["replicas"], message)]
