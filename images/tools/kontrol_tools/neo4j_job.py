"""What the containers of one Job of Neo4j's backup tell each other, in a folder that all of them mount.

The Job stops the server, which must run again whatever happens to the Job. So a container that fails writes down why
and ends well, and those after it do what they still must; only the last one fails. `keep` is there the whole time: when
the Job ends in any other way (its deadline, its deletion, an eviction), it starts the server and gives the lock back.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups
from .backups import Place
from .errors import ToolError
from .stateful_set import StatefulSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMPONENT: Final = "neo4j"
RESTORE: Final = "restore"
"""Who holds the lock for a restore; a region has one writer, so a further restore takes it over from a dead one."""
HOLD_SECONDS: Final = 900.0
"""How long a restore holds the lock at each of its steps: the longest between two of them, a stop or a start."""
SETTLE_SECONDS: Final = 0.5
DYING_SECONDS: Final = 3.0
"""How long a dump may take to die with its Job; the server cannot open what it holds. Less than the pod's grace."""
LONGEST_TAIL: Final = 300


class Work:
    """The folder; `state.json` in it holds what is known so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def from_arguments(cls, step: Mapping[str, Any]) -> Work:
        """Read `work`: the folder."""
        return cls(Path(arguments.text(step, "work")))

    @property
    def state(self) -> dict[str, Any]:
        """Return what is known."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def add(self, **known: Any) -> None:
        """Add what became known; whoever reads sees all of it or nothing."""
        new = self.folder / "state.new"
        new.write_text(json.dumps(self.state | known), encoding="utf-8")
        new.rename(self.folder / "state.json")

    def allow(self, program: str) -> None:
        """Let a program of Neo4j's own run, which comes after: without it, its container does nothing."""
        (self.folder / f"{program}.allowed").touch()

    def ended(self, program: str) -> bool:
        """Return whether a program has ended, or never began."""
        return (self.folder / f"{program}.code").exists() or not (self.folder / f"{program}.allowed").exists()

    def judge(self, program: str, failed: str) -> None:
        """Raise ToolError with the end of what a program said, unless it ended well."""
        code, log = (self._text(f"{program}.{end}") for end in ("code", "log"))
        if code.strip() != "0":
            said = " | ".join(line.strip() for line in log.splitlines() if line.strip())[-LONGEST_TAIL:]
            raise ToolError(f"{failed}: it ended with {code.strip() or 'nothing'}; it said: {said or 'nothing'}")

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def told(step: Mapping[str, Any], work: Callable[[Mapping[str, Any], Work], None]) -> dict[str, Any]:
    """Do a container's part, unless one before it failed; what fails is told to the last one. Result: nothing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the first process of a container ignores it otherwise
    place = Work.from_arguments(step)
    if "error" not in place.state:
        try:
            work(step, place)
        except ToolError as error:
            place.add(error=str(error))
    return {}


def keep(step: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the lock of a backup until SIGTERM, and then see to it that the server runs. Result: nothing."""
    place, work = Place.from_arguments(step, COMPONENT), Work.from_arguments(step)
    _until_signal(lambda: backups.renew(place, work.state["id"]) if _going_on(work) else None)
    leave(StatefulSet.from_arguments(step), place, work)
    return {}


def hold(step: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the lock of a restore until SIGTERM; a store that is `foreign` has none of ours. Result: nothing."""
    place, foreign = Place.from_arguments(step, COMPONENT), step.get("foreign") is True
    _until_signal(lambda: None if foreign else backups.renew(place, RESTORE, HOLD_SECONDS))
    return {}


def _until_signal(renew: Callable[[], None]) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.wait(backups.RENEW_SECONDS):
        renew()


def _going_on(work: Work) -> bool:
    state = work.state
    return "locked" in state and "done" not in state


def leave(server: StatefulSet, place: Place, work: Work, sleep: Callable[[float], None] = time.sleep) -> None:
    """Start the server if this Job has stopped it, give the lock back, and tell of a backup that was not completed."""
    sleep(SETTLE_SECONDS)  # what stops the server ends with us, but may be in the middle of it
    waited = 0.0
    while not work.ended("dump") and waited < DYING_SECONDS:
        sleep(SETTLE_SECONDS)
        waited += SETTLE_SECONDS
    state = work.state
    if "stopping" in state and "started_again" not in state:
        server.scale(1)
    if _going_on(work):
        lacking = "copied to the second store" if "complete" in state else "complete"
        backups.note(place, state["id"], f"It was ended before it was {lacking}")
        backups.give_back(place, state["id"])
