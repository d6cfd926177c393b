"""The warden of a run: a process of its own that outlives the run just long enough to clean up behind it.

It holds the region's lock file, renews the Lease once there is one, and watches the controller. When the controller is
gone, by whatever way, it ends what is left of the run, gives the Lease back and removes the run's private folder.
`kill -9` of the controller's process group does not reach it: it has a session of its own.

Started by `start`; runs as `python -I warden.py` with its `Orders` as JSON on standard input, and answers with one line
of JSON on standard output: `{"locked": true}`, or `{"locked": false, "holder": "..."}`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.lease import Lease

RUN_VARIABLE: Final = "KONTROL_RUN"
GRACE_VARIABLE: Final = "KONTROL_GRACE"
"""Seconds that a process may take to end by itself, since something else interrupts it when the run dies."""
LEASE_ORDER: Final = "lease.json"
OWNER_FILE: Final = "owner"
PRIVATE_PREFIX: Final = "kontrol-run-"
LOCK_GRACE: Final = 5.0
TICK: Final = 0.25
KILL_SECONDS: Final = 5.0
START_SECONDS: Final = 20.0
HTTP_SECONDS: Final = 5.0
PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Orders:
    """What a warden is told.

    `lock` is "" for a run that writes nothing (check mode): then only the private folder and the children matter.
    """

    run: str
    main_pid: int
    main_start: str
    private: str
    holder: str
    lock: str = ""
    journal: str = ""


def start(orders: Orders) -> tuple[int, dict[str, Any]]:
    """Start a warden in a session of its own and return its pid and its answer.

    Raises:
        RuntimeError: when it ends without an answer.
    """
    env = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        cwd="/",
        start_new_session=True,
    )
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("The warden has no pipes")
    with contextlib.suppress(BrokenPipeError), stdin:  # one that ended at once gives no answer
        stdin.write(json.dumps(asdict(orders)).encode())
    with stdout:
        readable, _, _ = select.select([stdout], [], [], START_SECONDS)
        line = stdout.readline() if readable else b""
    if not line:
        process.kill()
        raise RuntimeError("The warden gave no answer")
    answer: dict[str, Any] = json.loads(line)
    process.returncode = 0  # it is not waited for: it outlives this process, and init reaps it
    return process.pid, answer


def process_start(pid: int) -> str:
    """Return when a process started, in the kernel's own count; "" when there is no such process or no /proc."""
    try:
        return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def alive(pid: int, started: str = "") -> bool:
    """Return whether that process runs; a process of the same number that started at another time is another one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    found = process_start(pid)
    if found and _is_zombie(pid):
        return False
    return not (started and found) or started == found


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0] == "Z"
    return False


def marked(run: str) -> dict[int, float]:
    """Return the processes with KONTROL_RUN=<run> in their environment, and the grace of each; this one is left out."""
    wanted = f"{RUN_VARIABLE}={run}".encode()
    found = {}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "environ").read_bytes().split(b"\0")
            if wanted in words and int(folder.name) != os.getpid():
                found[int(folder.name)] = _grace(words)
    return found


def _grace(words: list[bytes]) -> float:
    prefix = f"{GRACE_VARIABLE}=".encode()
    with contextlib.suppress(ValueError):
        return max((float(word.removeprefix(prefix)) for word in words if word.startswith(prefix)), default=0.0)
    return 0.0


def _may_end(pid: int) -> bool:
    """Return whether the leader of its group is still there: what a provider does without its terraform is no use."""
    with contextlib.suppress(OSError):
        return alive(os.getpgid(pid))
    return False


def kill_marked(run: str, seconds: float = KILL_SECONDS, meanwhile: Callable[[], None] = lambda: None) -> int:
    """End all that is left of a run, children started meanwhile too; return how many were there.

    What asks for a grace (terraform) is not signalled but waited for: its own watcher has interrupted it, and at a
    second interrupt it would leave its lock behind. All else is killed at once.

    Args:
        run: Id of the run.
        seconds: How long to go on killing, the graces left out.
        meanwhile: Called again and again while it waits.
    """
    started, seen, deadline = time.monotonic(), set[int](), time.monotonic() + seconds
    while (found := marked(run)) and time.monotonic() < deadline:
        waiting = {pid for pid, grace in found.items() if time.monotonic() < started + grace and _may_end(pid)}
        for pid in found.keys() - waiting:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        seen.update(found)
        if waiting:
            deadline = time.monotonic() + seconds
            meanwhile()
        time.sleep(0.1 if waiting else 0.02)
    return len(seen)


def take_lock(path: Path, holder: str, grace: float = LOCK_GRACE) -> tuple[IO[str] | None, str]:
    """Take the lock file, and return it open, or None and who holds it.

    A holder whose controller is gone is given `grace` seconds: its warden is still cleaning up.
    """
    file = path.open("a+", encoding="utf-8")
    deadline = time.monotonic() + grace
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            other = _lock_text(path)
            if (other and _lives(other)) or time.monotonic() > deadline:
                file.close()
                return None, other
            time.sleep(0.05)
            continue
        path.chmod(0o600)
        _write_lock(file, holder)
        return file, holder


def hold_private(private: Path) -> IO[str]:
    """Mark a private folder as in use for as long as the returned file is open."""
    file = (private / OWNER_FILE).open("a", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def sweep_private(parent: Path) -> list[str]:
    """Remove private folders that nobody holds: a run that was killed together with its warden left them."""
    swept = []
    for folder in parent.glob(f"{PRIVATE_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / OWNER_FILE).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder.name)
    return swept


def lock_holder(path: Path) -> str:
    """Return who holds the lock file (JSON of a Holder), "" when it is free."""
    try:
        with path.open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip() or "{}"
    except FileNotFoundError:
        pass
    return ""


def _lock_text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def _lives(holder: str) -> bool:
    """Return whether the controller named in a lock file runs."""
    try:
        return alive(int(json.loads(holder)["pid"]))
    except (ValueError, KeyError, TypeError):
        return False


def _write_lock(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


class Warden:
    """One warden at work.

    Args:
        orders: What it was told.
        make_lease: Makes the Lease from the order that the session step leaves in the private folder.
        gone: Waits up to that many seconds and returns whether the controller is gone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        orders: Orders,
        make_lease: Callable[[dict[str, Any]], Lease],
        gone: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orders = orders
        self._make_lease = make_lease
        self._gone = gone
        self._clock = clock
        self._lease: Lease | None = None
        self._ordered = 0
        self._renew_seconds = 0.0
        self._renewed = 0.0

    def watch(self) -> None:
        """Stay until the controller is gone, renewing the Lease meanwhile."""
        while not self._gone(TICK):
            self._tend_quietly()

    def clean(self) -> None:
        """Clean up behind the run; each step even when another fails."""
        killed = kill_marked(self._orders.run, meanwhile=self._tend_quietly)
        with contextlib.suppress(Exception):
            self._note(killed)
        with contextlib.suppress(Exception):
            self._tend_lease()
            if self._lease is not None:
                self._lease.release()
        shutil.rmtree(self._orders.private, ignore_errors=True)

    def _tend_quietly(self) -> None:
        with contextlib.suppress(Exception):  # a network that fails now may work in the next round
            self._tend_lease()

    def _tend_lease(self) -> None:
        """Renew when it is time; an order to do so appears whenever a cluster is proven: a drill makes it anew."""
        order_file = Path(self._orders.private) / LEASE_ORDER
        if not order_file.is_file():
            return
        made = order_file.stat().st_mtime_ns
        if self._lease is None or made != self._ordered:
            order = json.loads(order_file.read_text(encoding="utf-8"))
            self._lease = self._make_lease(order)
            self._renew_seconds = float(order["renew_seconds"])
            self._renewed = self._clock()
            self._ordered = made
        if self._clock() - self._renewed >= self._renew_seconds:
            self._renewed = self._clock()
            self._lease.renew()

    def _note(self, killed: int) -> None:
        """Add to the journal that the run ended, unless it said so itself."""
        journal = Path(self._orders.journal) if self._orders.journal else None
        if journal is None or not journal.is_file():
            return
        last = journal.read_text(encoding="utf-8").splitlines()[-1:]
        if last and json.loads(last[0]).get("event") in {"end", "interrupted"}:
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": "killed", "at": at, "children_killed": killed}) + "\n")


def _graft() -> None:
    """Make the collection importable without Ansible: its folders as packages, found by their place on disk."""
    platform = Path(__file__).resolve().parents[2]
    places = {
        "ansible_collections": platform.parent.parent,
        "ansible_collections.kontrol": platform.parent,
        "ansible_collections.kontrol.platform": platform,
        "ansible_collections.kontrol.platform.plugins": platform / "plugins",
    }
    for name, place in places.items():
        module = types.ModuleType(name)
        module.__path__ = [str(place)]
        sys.modules[name] = module


def _lease_from(order: dict[str, Any]) -> Lease:
    """Return the Lease that an order names; only now is the Kubernetes client loaded."""
    from ansible_collections.kontrol.platform.plugins.module_utils.api import Api  # noqa: PLC0415 - after _graft
    from ansible_collections.kontrol.platform.plugins.module_utils.lease import Holder, Lease  # noqa: PLC0415 - same

    return Lease(Api.open(str(order["kubeconfig"]), timeout=HTTP_SECONDS), Holder(**order["holder"]))


def watcher(pid: int, started: str) -> Callable[[float], bool]:
    """Return a function that waits up to that many seconds and tells whether the process is gone."""
    if not hasattr(os, "pidfd_open"):

        def poll(seconds: float) -> bool:
            time.sleep(seconds)
            return not alive(pid, started)

        return poll
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return lambda _seconds: True
    if started and process_start(pid) != started:  # the number was given to another process before it was opened
        return lambda _seconds: True

    def wait(seconds: float) -> bool:
        return bool(select.select([descriptor], [], [], seconds)[0])

    return wait


def main() -> int:
    """Read the orders, answer, and do the work of a warden."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    orders = Orders(**json.loads(sys.stdin.read()))
    gone = watcher(orders.main_pid, orders.main_start)
    lock, holder = take_lock(Path(orders.lock), orders.holder) if orders.lock else (None, "")
    refused = bool(orders.lock) and lock is None
    held = None if refused else hold_private(Path(orders.private))
    sys.stdout.write(json.dumps({"locked": False, "holder": holder} if refused else {"locked": True}) + "\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if held is None:
        shutil.rmtree(orders.private, ignore_errors=True)
        return 1
    _graft()
    warden = Warden(orders, _lease_from, gone)
    warden.watch()
    warden.clean()
    held.close()
    if lock is not None:
        _write_lock(lock, "")
        lock.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
