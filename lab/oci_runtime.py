"""OCI runtime in front of runc for hosts that lack a capability: asks only for what the host can grant.

Docker hands `--privileged` containers every capability that exists; where this host's bounding set lacks one, runc
fails with "unable to apply caps". This file is copied beside the engine and runs alone: standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# In the order of linux/capability.h: the index is the bit.
# fmt: off
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)
# fmt: on


def bounding(status: str) -> int:
    """Bounding set (bit mask) from the text of /proc/<pid>/status."""
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return int(line.split()[1], 16)


def missing(mask: int, last: int) -> list[str]:
    """Names of the capabilities up to number `last` that a mask lacks."""
    return [f"CAP_{name}" for bit, name in enumerate(CAPABILITIES[: last + 1]) if not mask >> bit & 1]


def trim(process: Mapping[str, Any], mask: int) -> dict[str, Any]:
    """An OCI process object with only the capabilities in the mask and no negative OOM score."""
    granted = {f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1}
    trimmed = dict(process)
    if process.get("capabilities"):
        trimmed["capabilities"] = {
            kind: [name for name in names if name in granted] for kind, names in process["capabilities"].items()
        }
    if process.get("oomScoreAdj", 0) < 0:
        trimmed["oomScoreAdj"] = 0
    return trimmed


def option(argv: Sequence[str], *names: str) -> str | None:
    """Value of an option given as `--name value` or `--name=value`, or None."""
    for index, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else next(iter(argv[index + 1 :]), None)
    return None


def rewrite(path: Path, mask: int, *, bundle: bool) -> None:
    """Trim the process in a bundle's config.json, or the process file of an exec."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document = {**document, "process": trim(document["process"], mask)} if bundle else trim(document, mask)
    fresh = path.with_name(path.name + ".trimmed")
    fresh.write_text(json.dumps(document), encoding="utf-8")
    fresh.replace(path)


def main(argv: Sequence[str]) -> None:
    """Edit what runc will read, then become runc."""
    mask = bounding(Path("/proc/self/status").read_text(encoding="ascii"))
    process = option(argv, "--process", "-p")
    if "create" in argv or "run" in argv:
        rewrite(Path(option(argv, "--bundle", "-b") or ".") / "config.json", mask, bundle=True)
    elif "exec" in argv and process:
        rewrite(Path(process), mask, bundle=False)
    os.execv(shutil.which("runc") or "/usr/sbin/runc", ["runc", *argv])  # noqa: S606 - becoming runc is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
