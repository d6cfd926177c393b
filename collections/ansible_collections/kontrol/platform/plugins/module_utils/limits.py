"""What the rules of several blocks share: how values must look, and limits of sizes and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

CPU: Final = ("^([1-9][0-9]*m|[1-9][0-9]*)$", "a number of CPUs such as 2, or thousandths such as 100m")
QUANTITY: Final = (f"^{quantities.PATTERN}$", quantities.MEANING)
LABEL: Final = ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "a DNS label (a-z, 0-9 and -)")
STORAGE_CLASS: Final = (
    "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
    "the name of a StorageClass, or nothing for the default one",
)
CLIENTS: Final = {"clients[].namespace": LABEL, "clients[].service_account": LABEL}
LEAST_STORAGE: Final = "1Gi"
TIMEOUT_SECONDS: Final = (30, 3600)
BACKUP_MINUTES: Final = (5, 1440)
BACKUPS_KEPT: Final = (1, 1000)


def at_least(role: str, block: Block, option: str, least: str) -> list[Problem]:
    """Return the problem of a size that is less than the least one."""
    if quantities.to_bytes(block[option]) >= quantities.to_bytes(least):
        return []
    return [Problem("", f"{role}.{option}", block[option], f"Expected at least {least}")]


def between(role: str, block: Block, option: str, limits: tuple[int, int], unit: str = "") -> list[Problem]:
    """Return the problem of a number that is out of its limits, both of them included."""
    low, high = limits
    if low <= block[option] <= high:
        return []
    return [Problem("", f"{role}.{option}", block[option], f"Expected {low} to {high} {unit}".rstrip())]


def timeout(role: str, block: Block) -> list[Problem]:
    """Return the problem of a `wait_timeout` that is out of its limits."""
    return between(role, block, "wait_timeout", TIMEOUT_SECONDS, "seconds")


def backups(role: str, block: Block) -> list[Problem]:
    """Return the problems of `backup_timeout` and `backup_keep` that are out of their limits."""
    return [
        *between(role, block, "backup_timeout", BACKUP_MINUTES, "minutes"),
        *between(role, block, "backup_keep", BACKUPS_KEPT, "backups"),
    ]
