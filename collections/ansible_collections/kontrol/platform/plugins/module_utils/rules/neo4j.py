"""Rules of the block `neo4j`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits, quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring", "telemetry", "clickhouse")

PATTERNS: Final = {
    "cpu": limits.CPU,
    "memory": limits.QUANTITY,
    "heap": limits.QUANTITY,
    "page_cache": limits.QUANTITY,
    "storage": limits.QUANTITY,
    "storage_class": limits.STORAGE_CLASS,
    **limits.CLIENTS,
}
OVERHEAD: Final = "384Mi"
"""What Java and the server need beside heap and page cache: classes, compiled code, threads, network buffers.

Measured on 5.26.30 without load: 126 MB (446 MB resident with a heap of 256 MiB and a page cache of 64 MiB).
"""
LEAST_HEAP: Final = "256Mi"
LEAST_PAGE_CACHE: Final = "32Mi"


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: memory that does not add up, an edition whose licence nobody accepted."""
    del region
    return [
        *limits.at_least("neo4j", block, "heap", LEAST_HEAP),
        *limits.at_least("neo4j", block, "page_cache", LEAST_PAGE_CACHE),
        *_memory(block),
        *limits.at_least("neo4j", block, "storage", limits.LEAST_STORAGE),
        *_edition(block),
        *limits.backups("neo4j", block),
        *limits.timeout("neo4j", block),
    ]


def _memory(block: Block) -> list[Problem]:
    total = sum(quantities.to_bytes(size) for size in (block["heap"], block["page_cache"], OVERHEAD))
    if total <= quantities.to_bytes(block["memory"]):
        return []
    message = (
        f"Expected at least {quantities.to_text(total)}: heap {block['heap']}, page_cache {block['page_cache']} and "
        f"{OVERHEAD} for Java itself"
    )
    return [Problem("", "neo4j.memory", block["memory"], message)]


def _edition(block: Block) -> list[Problem]:
    if block["edition"] == "community":
        return []
    if not block["accept_licence"]:
        message = "Expected true: the edition enterprise may only be used by who has accepted Neo4j's licence"
        return [Problem("", "neo4j.accept_licence", block["accept_licence"], message)]
    message = "Expected community: this project has not run another edition on a real server yet"
    return [Problem("", "neo4j.edition", block["edition"], message)]
