"""Which TCP ports a pod listens on, read from the kernel's tables of its network namespace."""

from __future__ import annotations

from typing import Final

LISTEN: Final = "0A"
TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")


def _is_loopback(address: str) -> bool:
    """Tell whether an address as /proc writes it (words of 4 bytes, little endian) is reachable from inside only."""
    if len(address) == 8:
        return address.endswith("7F")
    mapped = address.startswith("0000000000000000FFFF0000") and address.endswith("7F")
    return mapped or address == "00000000000000000000000001000000"


def ports(text: str) -> list[int]:
    """Return the ports in the tables' text that listen on an address other hosts can reach, in order.

    Args:
        text: Content of /proc/net/tcp and /proc/net/tcp6, one after the other.
    """
    found = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == LISTEN and ":" in fields[1]:
            address, port = fields[1].split(":")
            if not _is_loopback(address):
                found.add(int(port, 16))
    return sorted(found)
