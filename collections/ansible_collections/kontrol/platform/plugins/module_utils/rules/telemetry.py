"""Rules of the block `telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.rules.mesh import CPU

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation", "cluster", "mesh")
AFTER: tuple[str, ...] = ("monitoring",)

_LABEL: Final = ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label (a-z, 0-9 and -)")
PATTERNS: Final = {
    "cpu": CPU,
    "memory": (f"^{quantities.PATTERN}$", quantities.MEANING),
    "endpoint": (
        "^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?)?$",
        "the address of an OTLP/HTTP receiver such as https://logs.example.com:4318, or nothing",
    ),
    "clients[].namespace": _LABEL,
    "clients[].service_account": _LABEL,
}
LEAST_MEMORY: Final = "128Mi"
"""The collector takes about 50Mi idle, and refuses work from three quarters of its limit on."""
TIMEOUT_SECONDS: Final = (30, 3600)


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: too little memory, a timeout out of range."""
    del region
    problems = []
    if quantities.to_bytes(block["memory"]) < quantities.to_bytes(LEAST_MEMORY):
        problems.append(Problem("", "telemetry.memory", block["memory"], f"Expected at least {LEAST_MEMORY}"))
    low, high = TIMEOUT_SECONDS
    if not low <= block["wait_timeout"] <= high:
        message = f"Expected {low} to {high} seconds"
        problems.append(Problem("", "telemetry.wait_timeout", block["wait_timeout"], message))
    return problems
