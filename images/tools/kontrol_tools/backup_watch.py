"""Looks at a component's backups each minute and tells Prometheus how they stand, see backups.gauges.

A store that takes nothing more counts as one that cannot be reached: who can write nothing cannot tell of it either.

Each store has a thread of its own: one that hangs stops nothing else. What was seen last stays, since time goes on for
it all the same: the newest backup of a store that does not answer grows old, too.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups, second_store
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL_SECONDS: Final = 60.0
STALE_SECONDS: Final = 180.0
"""How old the last good look may be: one that takes longer hangs, and the store counts as one that does not answer."""
_SECOND: Final = "kontrol_backup_second_store"
_NEWEST: Final = f"{_SECOND}_newest_good_timestamp_seconds"
_REACHABLE: Final = f"{_SECOND}_reachable"
_NO_SECOND: Final = {_NEWEST: math.nan, _REACHABLE: math.nan}
"""What is told of a second store that is not declared: every rule finds its series, and no comparison is true."""


class Watch:
    """Watches the backups of one component.

    Args:
        step: What backups.Place asks for, read anew for each look since keys may change; `component`; `rpo_seconds`,
            the age at which the newest good backup is too old: 0 where nobody makes backups on a schedule; foreign:
            whether the store is another region's, which is only read.
        clock: Tells seconds.
    """

    store = "backups"
    reachable = "kontrol_backup_store_reachable"

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
            self._look()
            self._looked, self._problem = self._clock(), ""
        except ToolError as error:
            self._looked, self._problem = None, str(error)
        if self._problem != before:
            sys.stderr.write(f"{self.store}: {self._problem or 'seen again'}\n")

    def _look(self) -> None:
        """Keep what is seen, also of a store that then takes nothing. Raises ToolError."""
        place = backups.Place.from_arguments(self._step, self._component)
        self._seen = backups.gauges(place)
        if self._step.get("foreign") is not True:
            backups.try_writing(place)

    def gauges(self) -> dict[str, float]:
        """Return what was seen last, and whether the store answers and takes something."""
        return {**self._told(), "kontrol_backup_rpo_target_seconds": self._target}

    def _told(self) -> dict[str, float]:
        looked = self._looked
        reachable = looked is not None and self._clock() - looked < STALE_SECONDS
        return {**self._seen, self.reachable: float(reachable)}


class SecondWatch(Watch):
    """Watches the copies in the second store, which is only read; `second` in the step names it, see second_store."""

    store = "second store"
    reachable = _REACHABLE

    def _look(self) -> None:
        place = second_store.declared(self._step, self._component)
        newest = next(iter(backups.good(place)), None) if place else None
        self._seen = {_NEWEST: newest.started if newest else 0.0}

    def gauges(self) -> dict[str, float]:
        """Return when the newest good backup that is there began, 0 for none, and whether the store answers."""
        return self._told()


def start(step: Mapping[str, Any]) -> Callable[[], dict[str, float]]:
    """Look in the background until the program ends; return what tells of both stores."""
    watches = [Watch(step), *([SecondWatch(step)] if step.get("second") else [])]
    for watch in watches:
        threading.Thread(target=watch.run, args=(threading.Event(),), daemon=True).start()
    return lambda: _NO_SECOND | {name: value for watch in watches for name, value in watch.gauges().items()}
