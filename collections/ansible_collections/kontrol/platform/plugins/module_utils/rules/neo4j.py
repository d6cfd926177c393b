"""Rules of the block `neo4j`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.rules.mesh import CPU

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring", "telemetry", "clickhouse")

_QUANTITY: Final = (f"^{quantities.PATTERN}$", quantities.MEANING)
_LABEL: Final = ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label (a-z, 0-9 and -)")
PATTERNS: Final = {
    "cpu": CPU,
    "memory": _QUANTITY,
    "heap": _QUANTITY,
    "page_cache": _QUANTITY,
    "storage": _QUANTITY,
    "storage_class": (
        "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
        "the name of a StorageClass, or nothing for the default one",
    ),
    "clients[].namespace": _LABEL,
    "clients[].service_account": _LABEL,
}
OVERHEAD: Final = "384Mi"
"""What Java and the server need beside heap and page cache: classes, compiled code, threads, network buffers.

Measured on 5.26.30 without load: 126 MB (446 MB resident with a heap of 256 MiB and a page cache of 64 MiB).
"""
LEAST_HEAP: Final = "256Mi"
LEAST_PAGE_CACHE: Final = "32Mi"
LEAST_STORAGE: Final = "1Gi"
TIMEOUT_SECONDS: Final = (30, 3600)


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: memory that does not add up, an edition whose licence nobody accepted."""
    del region
    return [
        *_least(block, "heap", LEAST_HEAP),
        *_least(block, "page_cache", LEAST_PAGE_CACHE),
        *_memory(block),
        *_least(block, "storage", LEAST_STORAGE),
        *_edition(block),
        *_timeout(block),
    ]


def _least(block: Block, option: str, least: str) -> list[Problem]:
    if quantities.to_bytes(block[option]) >= quantities.to_bytes(least):
        return []
    return [Problem("", f"neo4j.{option}", block[option], f"Expected at least {least}")]


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


def _timeout(block: Block) -> list[Problem]:
    low, high = TIMEOUT_SECONDS
    if low <= block["wait_timeout"] <= high:
        return []
    return [Problem("", "neo4j.wait_timeout", block["wait_timeout"], f"Expected {low} to {high} seconds")]
