"""Looks at a component's backups each minute and tells Prometheus how they stand, see backups.gauges.

A store that takes nothing more counts as one that cannot be reached: who can write nothing cannot tell of it either.

It has a thread of its own: a store that hangs stops nothing else. What was seen last stays, since time goes on for it
all the same: the newest backup of a store that does not answer grows old, too.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL_SECONDS: Final = 60.0
STALE_SECONDS: Final = 180.0
"""How old the last good look may be: one that takes longer hangs, and the store counts as one that does not answer."""


class Watch:
    """Watches the backups of one component.

    Args:
        step: What backups.Place asks for, read anew for each look since keys may change; `component`; `rpo_seconds`,
            the age at which the newest good backup is too old: 0 where nobody makes backups on a schedule; foreign:
            whether the store is another region's, which is only read.
        clock: Tells seconds.
    """

    def __init__(self, step: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._step, self._clock = step, clock
        self._target = arguments.number(step, "rpo_seconds", 0.0)
        self._component = arguments.text(step, "component")
        self._seen: dict[str, float] = {}
        self._looked: float | None = None
        self._problem = ""

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while True:
            self.look()
            if stop.wait(INTERVAL_SECONDS):
                return

    def look(self) -> None:
        """Look once, and write one line when a problem appears, changes or is over."""
        before = self._problem
        try:
            place = backups.Place.from_arguments(self._step, self._component)
            self._seen = backups.gauges(place)
            if self._step.get("foreign") is not True:
                backups.try_writing(place)
            self._looked, self._problem = self._clock(), ""
        except ToolError as error:
            self._looked, self._problem = None, str(error)
        if self._problem != before:
            sys.stderr.write(f"backups: {self._problem or 'seen again'}\n")

    def gauges(self) -> dict[str, float]:
        """Return what was seen last, and whether the store answers and takes something."""
        looked = self._looked
        reachable = looked is not None and self._clock() - looked < STALE_SECONDS
        return {
            **self._seen,
            "kontrol_backup_store_reachable": float(reachable),
            "kontrol_backup_rpo_target_seconds": self._target,
        }


def start(step: Mapping[str, Any]) -> Watch:
    """Return a watch that looks in the background until the program ends."""
    watch = Watch(step)
    threading.Thread(target=watch.run, args=(threading.Event(),), daemon=True).start()
    return watch
