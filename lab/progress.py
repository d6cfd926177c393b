"""What a person sees of a run: which part, how far, how long still."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from lab.recipes import LANES, RECIPES
from lab.table import Part

BEAT_S = 20.0


def clock(seconds: float) -> str:
    """Seconds in words: `45 s`, `3 min 20 s`, `12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min" if minutes >= 10 or not rest else f"{minutes} min {rest} s"


class Progress:
    """Prints a line when a part starts and ends, and a heartbeat for long ones. Use as a context manager."""

    def __init__(self, parts: list[Part], expect: Mapping[str, float], stream: TextIO = sys.stdout) -> None:
        self._parts = {part.name: part for part in parts}
        self._expect = expect
        self._stream = stream
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._done: set[str] = set()
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._heartbeat, daemon=True)

    def __enter__(self) -> Self:
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def start(self, part: Part) -> None:
        """A part begins."""
        with self._lock:
            self._running[part.name] = time.monotonic()
            self._print(f"{part.name}: {part.kind}, about {clock(self._expect[part.name])}; {self._left()}")

    def end(self, part: Part, seconds: float) -> None:
        """A part is there."""
        with self._lock:
            self._running.pop(part.name, None)
            self._done.add(part.name)
            self._print(f"{part.name}: done in {clock(seconds)}")

    def _left(self) -> str:
        """How long the whole will still take: the busier lane counts."""
        lanes: dict[str, float] = {}
        for name, part in self._parts.items():
            if name not in self._done:
                spent = time.monotonic() - self._running[name] if name in self._running else 0.0
                lane = RECIPES[part.kind].lane
                lanes[lane] = lanes.get(lane, 0.0) + max(self._expect[name] - spent, 1.0) / LANES[lane]
        return f"about {clock(max(lanes.values(), default=0.0))} left"

    def _print(self, text: str) -> None:
        """One line, with how many parts are done of how many."""
        total = len(self._parts)
        print(f"lab [{len(self._done):>{len(str(total))}}/{total}] {text}", file=self._stream, flush=True)

    def _heartbeat(self) -> None:
        """Tell every so often what still runs."""
        while not self._stop.wait(BEAT_S):
            with self._lock:
                now = time.monotonic()
                running = [
                    f"{name} {clock(now - began)} of about {clock(self._expect[name])}"
                    for name, began in self._running.items()
                    if now - began > BEAT_S / 2
                ]
                if running:
                    self._print(f"{', '.join(running)}; {self._left()}")
