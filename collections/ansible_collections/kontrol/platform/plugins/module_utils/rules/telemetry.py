"""Rules of the block `telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring",)

PATTERNS: Final = {
    "cpu": limits.CPU,
    "memory": limits.QUANTITY,
    "endpoint": (
        "^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?)?$",
        "the address of an OTLP/HTTP receiver such as https://logs.example.com:4318, or nothing",
    ),
    **limits.CLIENTS,
}
LEAST_MEMORY: Final = "128Mi"
"""The collector takes about 50Mi idle, and refuses work from three quarters of its limit on."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: too little memory, a timeout out of range."""
    del region
    return [*limits.at_least("telemetry", block, "memory", LEAST_MEMORY), *limits.timeout("telemetry", block)]
