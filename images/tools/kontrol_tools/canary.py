"""Writes a canary each second into a database and tells each that was acknowledged, until it is told to end.

A line of JSON on standard output for each: {"canary": {"seq": 7, "written": 1700000000.1}}, or {"failed": "why"}. What
is printed was acknowledged by the database; whoever listens keeps it where the disaster does not reach.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL_SECONDS: Final = 1.0
MOST_MISSING: Final = 100


def run(step: Mapping[str, Any], prepare: Callable[[], None], write: Callable[[int, float], None]) -> dict[str, Any]:
    """Write canaries every `interval` seconds for at most `seconds`, or until SIGTERM. Result: sent, failed.

    Args:
        step: interval, seconds.
        prepare: Makes the place of the canaries; called until the first one is acknowledged. Never after that: what a
            disaster took must not be made anew by a writer, the target would not be empty.
        write: Writes canary number n of a moment, and returns when the database has acknowledged it. A number that
            failed is written again, so that there is no hole among those that were acknowledged.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    interval, seconds = arguments.number(step, "interval", INTERVAL_SECONDS), arguments.number(step, "seconds")
    end, sent, failed, prepared = time.monotonic() + seconds, 0, 0, False
    while not stop.is_set() and time.monotonic() < end:
        started, moment = time.monotonic(), time.time()
        try:
            if not prepared:
                prepare()
            write(sent + 1, moment)
        except ToolError as error:
            failed += 1
            _tell({"failed": str(error)})
        else:
            sent, prepared = sent + 1, True
            _tell({"canary": {"seq": sent, "written": moment}})
        stop.wait(max(0.0, started + interval - time.monotonic()))
    return {"sent": sent, "failed": failed}


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def recovered(seqs: list[int], last: float | None, heartbeat: float | None) -> dict[str, Any]:
    """Return what of the canaries is there.

    Args:
        seqs: Numbers that are there.
        last: When the newest of them was written.
        heartbeat: When the newest canary of the exporter was written that counts.
    """
    there = set(seqs)
    newest = max(there, default=0)
    missing = [number for number in range(1, newest) if number not in there]
    return {
        "count": len(there),
        "last_seq": newest,
        "last_written": last,
        "missing": missing[:MOST_MISSING],
        "heartbeat": heartbeat,
    }
