"""What a person sees while a run goes: one live line on a terminal, and a sign of life of a task that takes long.

Ansible's own stdout callback stays what it is: the live line is taken away before anything else is written, and drawn
again below it.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

TICK: Final = 1.0
QUIET_ON_TERMINAL: Final = 15.0
QUIET_ELSEWHERE: Final = 30.0
ERASE: Final = "\r\x1b[K"
DUMB: Final = frozenset({"", "dumb"})
NARROWEST: Final = 20


def can_be_live(stream: TextIO, env: Mapping[str, str], *, color: bool) -> bool:
    """Return whether a stream is a terminal on which a line can be drawn again, and the caller wants that.

    Not where there is no colour (ANSIBLE_NOCOLOR, NO_COLOR), on a dumb terminal, or in CI.
    """
    wanted = color and not env.get("NO_COLOR") and not env.get("CI") and env.get("TERM", "") not in DUMB
    try:
        return wanted and stream.isatty()
    except (AttributeError, ValueError):  # closed, or put in place by somebody else
        return False


def seconds_text(seconds: float) -> str:
    """Return a duration for people: "42 s", "1 min 05 s"."""
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Screen:
    """The standard streams of this process, watched: when something was written last, and the live line below it.

    Args:
        streams: Standard output and standard error; the live line goes to the first.
        live: Whether there is a live line.
        lock: The lock that Ansible holds while it forks, so that no child inherits a lock of ours that is held.
        clock: Monotonic seconds.
    """

    def __init__(
        self, streams: list[TextIO], lock: threading.RLock | Any, *, live: bool, clock: Callable[[], float]
    ) -> None:
        self.live = live
        self.written = clock()
        self._streams = streams
        self._lock = lock
        self._clock = clock
        self._writes: list[Callable[[str], int]] = []
        self._shown = False
        self._at_line_start = True

    def attach(self) -> None:
        """Begin to watch; a stream that does not let itself be watched ends the live line, nothing else."""
        for stream in self._streams:
            write = stream.write
            self._writes.append(write)
            try:
                stream.write = self._watched(stream, write)  # type: ignore[method-assign] # Ansible does the same one level below
            except AttributeError:
                self.live = False

    def detach(self) -> None:
        """Take the live line away and leave the streams as they were."""
        with self._lock:
            self._erase()
            for stream, write in zip(self._streams, self._writes, strict=False):
                with contextlib.suppress(AttributeError):
                    stream.write = write  # type: ignore[method-assign] # what it was
            self._writes.clear()
            self.live = False

    def draw(self, line: str) -> None:
        """Show the live line, cut to the width of the terminal; not in the middle of a line of somebody else."""
        with self._lock:
            if self.live and self._at_line_start and self._writes:
                width = max(shutil.get_terminal_size().columns - 1, NARROWEST)
                self._writes[0](ERASE + line[:width])
                self._streams[0].flush()
                self._shown = True

    def _watched(self, stream: TextIO, write: Callable[[str], int]) -> Callable[[str], int]:
        """Return a writer that clears the way for whole lines, and lets a pipe have them at once: Ansible does not."""

        def watched(text: str) -> int:
            with self._lock:
                self._erase()
                self.written = self._clock()
                self._at_line_start = text.endswith("\n") if text else self._at_line_start
                written = write(text)
                if self._at_line_start:
                    with contextlib.suppress(OSError):  # a reader that went away, such as head: the run goes on
                        stream.flush()
                return written

        return watched

    def _erase(self) -> None:
        if self._shown:
            self._shown = False
            self._writes[0](ERASE)
            self._streams[0].flush()


@dataclass
class Doing:
    """What goes on: its task, the phase it belongs to, the place of that phase ("3 of 14"), and since when."""

    task: str = ""
    phase: str = ""
    place: str = ""
    since: float = 0.0

    def text(self) -> str:
        """Return phase and task as one text."""
        return f"{self.phase}: {self.task}" if self.phase else self.task


class Progress:
    """Beats once a second in a thread of its own.

    Args:
        screen: Where the live line is drawn, and where to see that others spoke.
        say: Shows a plain line.
        each_second: What else is to be done each second.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        screen: Screen,
        say: Callable[[str], None],
        each_second: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen
        self._say = say
        self._each_second = each_second
        self._clock = clock
        self._quiet = QUIET_ON_TERMINAL if screen.live else QUIET_ELSEWHERE
        self._started = clock()
        self._doing = Doing()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kontrol-progress", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._screen.attach()
        self._thread.start()

    def stop(self) -> None:
        """End, and leave the terminal clean; a second call does nothing."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(TICK)
        self._screen.detach()

    def doing(self, task: str, phase: str, place: str) -> None:
        """Tell that a task starts."""
        self._doing = Doing(task, phase, place, self._clock())
        self._draw()

    def beat(self) -> None:
        """Do what is due: one of these each second."""
        self._each_second()
        now, doing = self._clock(), self._doing
        if doing.task and now - max(doing.since, self._screen.written) >= self._quiet:
            phase = f" (phase {doing.place})" if doing.place else ""
            self._say(f"Still at {doing.text()}, {seconds_text(now - doing.since)} so far{phase}")
        self._draw()

    def _draw(self) -> None:
        now, doing = self._clock(), self._doing
        if doing.task:
            place = f"[{doing.place}] " if doing.place else ""
            times = f"{seconds_text(now - doing.since)}, run {seconds_text(now - self._started)}"
            self._screen.draw(f"{place}{times} - {doing.text()}")

    def _run(self) -> None:
        while not self._end.wait(TICK):
            with contextlib.suppress(Exception):  # a sign of life that fails must not disturb the run
                self.beat()
