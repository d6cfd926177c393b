"""How much memory a run takes on the controller: sampled, because no counter of the kernel covers a tree of processes.

`ru_maxrss` is not used: it tells of one process only, and a program inherits the figure of the one that started it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFINITION: Final = (
    "highest sum, sampled each second, of the memory of ansible-playbook and all processes below it; pages that "
    "several of them share count once (PSS); the run's warden, one small Python process, is not in it"
)
SHORT_DEFINITION: Final = "ansible-playbook and all processes below it, sampled each second"
PROC: Final = Path("/proc")


@dataclass
class Peak:
    """The highest sample so far.

    Attributes:
        root: Process whose tree is sampled.
        kib: Memory of the whole tree in KiB, 0 as long as there is no sample.
        processes: How many processes that were.
    """

    root: int
    kib: int = 0
    processes: int = 0

    @property
    def mib(self) -> float:
        """Memory of the whole tree in MiB."""
        return round(self.kib / 1024, 1)

    def sample(self) -> None:
        """Take one sample."""
        taken = [one for one in map(kib_of, tree(self.root)) if one]
        if sum(taken) > self.kib:
            self.kib, self.processes = sum(taken), len(taken)


def tree(root: int) -> set[int]:
    """Return a process and all below it, as far as they are there; nothing where there is no /proc."""
    parents = {pid: parent for pid in _pids() if (parent := _parent(pid)) is not None}
    found: set[int] = {root} & parents.keys()
    new = found
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


def kib_of(pid: int) -> int:
    """Return the memory of a process in KiB, shared pages by their share; 0 when it is gone or not ours."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (PROC / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1])
    return 0


def _pids() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir(PROC) if name.isdigit()]  # noqa: PTH208 - names alone, each second
    return []


def _parent(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
    return None
