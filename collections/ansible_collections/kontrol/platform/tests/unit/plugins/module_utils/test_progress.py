from __future__ import annotations

import io
import os
import threading

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.progress import (
    ERASE,
    Progress,
    Screen,
    can_be_live,
    seconds_text,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """What a terminal would show: lines, the last one drawn again after an erase."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        return [line.rpartition(ERASE)[2] for line in self.getvalue().split("\n")]


class World:
    def __init__(self, *, live: bool) -> None:
        self.clock = Clock()
        self.out, self.err = Terminal(), Terminal()
        self.screen = Screen([self.out, self.err], threading.RLock(), live=live, clock=self.clock)
        self.samples = 0
        self.progress = Progress(self.screen, self.say, self.sample, self.clock)
        self.screen.attach()

    def say(self, line: str) -> None:
        self.out.write(line + "\n")

    def sample(self) -> None:
        self.samples += 1

    def pass_seconds(self, count: int) -> None:
        for _second in range(count):
            self.clock.now += 1
            self.progress.beat()


@pytest.mark.parametrize(
    ("env", "color", "live"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "CI": "true"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
    ],
)
def test_where_a_line_can_be_live(env: dict[str, str], color: bool, live: bool) -> None:
    assert can_be_live(Terminal(), env, color=color) is live
    assert can_be_live(io.StringIO(), env, color=color) is False


def test_a_closed_stream_is_not_live() -> None:
    def closed() -> bool:
        raise ValueError("closed")

    stream = Terminal()
    stream.isatty = closed  # type: ignore[method-assign]
    assert can_be_live(stream, {"TERM": "xterm"}, color=True) is False


def test_the_live_line_tells_place_times_phase_and_task() -> None:
    world = World(live=True)
    world.clock.now += 61
    world.progress.doing("Apply", "mesh deploy", "3 of 14")
    world.pass_seconds(3)
    assert world.out.shown == ["[3 of 14] 3 s, run 1 min 04 s - mesh deploy: Apply"]
    assert world.samples == 3


def test_other_output_is_never_torn_and_the_live_line_stays_below_it() -> None:
    world = World(live=True)
    world.progress.doing("Apply", "mesh deploy", "3 of 14")
    world.out.write("TASK [mesh : Apply]\n")
    world.err.write("a warning\n")
    assert world.err.getvalue() == "a warning\n"
    assert world.out.shown == ["TASK [mesh : Apply]", ""]
    world.pass_seconds(1)
    assert world.out.shown == ["TASK [mesh : Apply]", "[3 of 14] 1 s, run 1 s - mesh deploy: Apply"]
    world.out.write("half a line")
    world.pass_seconds(1)
    assert world.out.shown[-1] == "half a line", "nothing is drawn into the line of somebody else"
    world.out.write(", and its end\n")
    world.pass_seconds(1)
    assert world.out.shown[1] == "half a line, and its end"
    assert world.out.shown[2].startswith("[3 of 14] 3 s")


def test_the_end_leaves_the_terminal_clean() -> None:
    world = World(live=True)
    world.progress.doing("Apply", "", "")
    assert world.out.shown == ["0 s, run 0 s - Apply"]
    world.progress.stop()
    world.progress.stop()
    assert world.out.shown == [""]
    world.pass_seconds(1)
    world.out.write("after")
    assert world.out.shown == ["after"]


def test_a_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 20)))
    world = World(live=True)
    world.progress.doing("A task with a very long name " * 3, "mesh deploy", "3 of 14")
    assert len(world.out.shown[0]) == 29


def test_a_stream_that_cannot_be_watched_has_no_live_line() -> None:
    class Slotted:
        __slots__ = ()

        def write(self, text: str) -> int:
            return len(text)

    screen = Screen([Slotted()], threading.RLock(), live=True, clock=Clock())  # type: ignore[list-item]
    screen.attach()
    assert screen.live is False
    screen.detach()


@pytest.mark.parametrize(("live", "quiet"), [(True, 15), (False, 30)])
def test_a_long_task_speaks(live: bool, quiet: int) -> None:
    world = World(live=live)
    world.progress.doing("Wait for the server", "clickhouse schema", "9 of 14")
    world.pass_seconds(quiet - 1)
    assert "Still" not in world.out.getvalue()
    world.pass_seconds(1)
    said = [line for line in world.out.shown if line.startswith("Still")]
    assert said == [f"Still at clickhouse schema: Wait for the server, {quiet} s so far (phase 9 of 14)"]
    world.pass_seconds(quiet)
    assert world.out.getvalue().count("Still at") == 2


def test_a_task_that_speaks_itself_is_not_doubled() -> None:
    world = World(live=False)
    world.progress.doing("Wait", "", "")
    for _round in range(10):
        world.pass_seconds(20)
        world.err.write("Waiting: 2 of 3 are ready\n")
    assert world.out.getvalue() == ""


def test_elsewhere_nothing_is_drawn() -> None:
    world = World(live=False)
    world.progress.doing("Wait", "", "")
    world.pass_seconds(5)
    assert world.out.getvalue() == ""


def test_the_thread_beats_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.kontrol.platform.plugins.module_utils.progress.TICK", 0.01)
    beaten = threading.Event()

    def sample() -> None:
        beaten.set()
        raise OSError("a sign of life that fails disturbs nothing")

    screen = Screen([Terminal()], threading.RLock(), live=False, clock=Clock())
    progress = Progress(screen, lambda line: None, sample, Clock())
    progress.start()
    assert beaten.wait(5)
    beaten.clear()
    assert beaten.wait(5), "the beat after one that failed"
    progress.stop()
    assert not progress._thread.is_alive()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3725, "62 min 05 s")])
def test_durations_for_people(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_writers_of_two_threads_do_not_tear_a_line() -> None:
    world = World(live=True)
    world.progress.doing("Apply", "mesh deploy", "1 of 2")
    line = "x" * 60 + "\n"

    def write() -> None:
        for _time in range(300):
            world.out.write(line)

    threads = [threading.Thread(target=write), threading.Thread(target=lambda: world.pass_seconds(300))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one for one in world.out.shown[:-1] if one != line.rstrip() and not one.startswith("Still")] == []
