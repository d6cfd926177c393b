"""Hear the canaries of a drill: follow the logs of their writers, and keep on this machine what they acknowledge.

A writer is a Job in the mesh that writes one canary a second into a database and prints a line for each that the
database acknowledged. Runs as `python -I canaries.py` with its `Orders` as JSON on standard input, until it is killed;
it carries the mark of the run, so the warden ends it with the run. A line is on the disk of this machine before the
next one is read: what the disaster then takes, it cannot take back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if __name__ == "__main__":  # started in isolation, so it finds the collection by its place on disk
    sys.path.insert(0, str(Path(__file__).resolve().parents[5]))

from ansible_collections.kontrol.platform.plugins.module_utils import state, warden
from ansible_collections.kontrol.platform.plugins.module_utils.drill import Acknowledged
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.jobs import CONTAINER
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 0.5
FEWEST: Final = 3
FIRST_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Writer:
    """One Job that writes canaries: into which database, and where it runs."""

    database: str
    namespace: str
    job: str


@dataclass(frozen=True)
class Orders:
    """What the follower is told: the kubeconfig, the writers, and the folder for a file of each database."""

    kubeconfig: str
    folder: str
    writers: tuple[Writer, ...]


def file_of(folder: Path, database: str) -> Path:
    """Return the file of what the canaries of a database acknowledged."""
    return folder / f"canaries-{database}.jsonl"


def acknowledged(folder: Path, database: str) -> Acknowledged:
    """Return what the controller heard of a database's canaries."""
    heard = {int(one["seq"]): float(one["written"]) for one in state.read_lines(file_of(folder, database))}
    if not heard:
        return Acknowledged()
    last = max(heard)
    return Acknowledged(len(heard), heard[last], last)


def start(orders: Orders) -> tuple[int, str]:
    """Start the follower in a session of its own; return its pid and when it started, for `stop`."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    if process.stdin is None:
        raise KontrolError("The follower of the canaries has no standard input")
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(asdict(orders)).encode())
    process.returncode = 0  # it is not waited for: it outlives this task
    return process.pid, warden.process_start(process.pid)


def stop(pid: int, started: str) -> None:
    """End a follower, if it still is that process."""
    if pid and warden.alive(pid, started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_first(folder: Path, databases: list[str], clock: Callable[[], float] = time.monotonic) -> None:
    """Wait until some canaries of each database were acknowledged. Raises KontrolError with those that are silent."""
    deadline = clock() + FIRST_SECONDS
    while silent := [name for name in databases if acknowledged(folder, name).count < FEWEST]:
        if clock() > deadline:
            raise KontrolError(
                f"After {FIRST_SECONDS:.0f} s fewer than {FEWEST} canaries of {', '.join(silent)} were acknowledged; "
                "nothing was destroyed. Is the region green? Run playbooks/verify.yml"
            )
        time.sleep(0.2)


class Follower:
    """Follows the log of one writer.

    Args:
        client: The engine's client.
        writer: The writer.
        folder: Where its file goes.
    """

    def __init__(self, client: Client, writer: Writer, folder: Path) -> None:
        self._client, self._writer = client, writer
        self._file = file_of(folder, writer.database)
        self._last = 0

    def run(self) -> None:
        """Follow for ever; a stream that ends is opened again, and what is heard twice is kept once."""
        while True:
            with contextlib.suppress(KontrolError, ValueError, OSError):
                self.once()
            time.sleep(AGAIN_SECONDS)

    def once(self) -> None:
        """Follow until the stream ends."""
        home = f"/api/v1/namespaces/{self._writer.namespace}/pods"
        for pod in self._client.list(home, {"labelSelector": f"job-name={self._writer.job}"}):
            path = f"{home}/{pod['metadata']['name']}/log"
            with self._client.stream(path, {"container": CONTAINER, "follow": "true"}, QUIET_SECONDS) as lines:
                for line in lines:
                    self._keep(line)

    def _keep(self, line: dict[str, Any]) -> None:
        """Keep an acknowledged canary."""
        canary = line.get("canary")
        if isinstance(canary, dict) and int(canary["seq"]) > self._last:
            self._last = int(canary["seq"])
            state.append_line(self._file, {**canary, "heard": time.time()})


def main() -> int:
    """Read the orders and follow all writers at once."""
    data = json.loads(sys.stdin.read())
    orders = Orders(data["kubeconfig"], data["folder"], tuple(Writer(**one) for one in data["writers"]))
    threads = [
        threading.Thread(
            target=Follower(Client(kubeconfig.load(orders.kubeconfig), workers=1), one, Path(orders.folder)).run
        )
        for one in orders.writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
