"""Rules of the block `clickhouse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.rules.mesh import CPU

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring", "telemetry")

_QUANTITY: Final = (f"^{quantities.PATTERN}$", quantities.MEANING)
_LABEL: Final = ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label (a-z, 0-9 and -)")
PATTERNS: Final = {
    "cpu": CPU,
    "memory": _QUANTITY,
    "server_memory": _QUANTITY,
    "storage": _QUANTITY,
    "storage_class": (
        "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
        "the name of a StorageClass, or nothing for the default one",
    ),
    "clients[].namespace": _LABEL,
    "clients[].service_account": _LABEL,
}
HEADROOM: Final = "256Mi"
"""What the process needs beside what `max_server_memory_usage` counts: code, stacks, allocator, page cache."""
LEAST_SERVER_MEMORY: Final = "512Mi"
"""Below this the server refuses ordinary queries (ClickHouse's own guide names more for production)."""
LEAST_STORAGE: Final = "1Gi"
TIMEOUT_SECONDS: Final = (30, 3600)


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: memory that does not add up, replicas that nobody has run."""
    del region
    return [*_memory(block), *_storage(block), *_replicas(block), *_timeout(block)]


def _memory(block: Block) -> list[Problem]:
    server, limit, headroom = map(quantities.to_bytes, (block["server_memory"], block["memory"], HEADROOM))
    problems = []
    if server < quantities.to_bytes(LEAST_SERVER_MEMORY):
        message = f"Expected at least {LEAST_SERVER_MEMORY}"
        problems.append(Problem("", "clickhouse.server_memory", block["server_memory"], message))
    if server + headroom > limit:
        total = quantities.to_text(server + headroom)
        message = (
            f"Expected at least {total}: server_memory {block['server_memory']} and {HEADROOM} for what the server "
            "does not count"
        )
        problems.append(Problem("", "clickhouse.memory", block["memory"], message))
    return problems


def _storage(block: Block) -> list[Problem]:
    if quantities.to_bytes(block["storage"]) >= quantities.to_bytes(LEAST_STORAGE):
        return []
    return [Problem("", "clickhouse.storage", block["storage"], f"Expected at least {LEAST_STORAGE}")]


def _replicas(block: Block) -> list[Problem]:
    if block["replicas"] == 1:
        return []
    message = "Expected 1: replication needs Keeper, which this project has not run on a real server yet"
    return [Problem("", "clickhouse.replicas", block["replicas"], message)]


def _timeout(block: Block) -> list[Problem]:
    low, high = TIMEOUT_SECONDS
    if low <= block["wait_timeout"] <= high:
        return []
    return [Problem("", "clickhouse.wait_timeout", block["wait_timeout"], f"Expected {low} to {high} seconds")]
