"""The writer of canaries: what it tells was acknowledged, and it makes nothing anew that was lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from images.tools.kontrol_tools import canary
from images.tools.kontrol_tools.errors import ToolError

STEP = {"interval": 0.001, "seconds": 5}


class Place:
    """Where canaries go; `fails` tells which tries fail, and the last one ends the run."""

    def __init__(self, fails: set[int], tries: int) -> None:
        self.fails, self.tries = fails, tries
        self.prepared = 0
        self.written: list[int] = []
        self.asked = 0

    def prepare(self) -> None:
        self.prepared += 1

    def write(self, seq: int, moment: float) -> None:
        assert moment > 0
        self.asked += 1
        if self.asked > self.tries:
            raise KeyboardInterrupt
        if self.asked in self.fails:
            raise ToolError("no route")
        self.written.append(seq)


def told(place: Place, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    with pytest.raises(KeyboardInterrupt):
        canary.run(STEP, place.prepare, place.write)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_acknowledged_canary_is_told_and_has_no_hole_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    place = Place({2, 3}, 5)
    lines = told(place, capsys)
    assert [one["canary"]["seq"] for one in lines if "canary" in one] == place.written == [1, 2, 3]
    assert [one for one in lines if "failed" in one] == [{"failed": "no route"}] * 2


def test_the_place_is_made_until_the_first_one_is_there_and_never_again(capsys: pytest.CaptureFixture[str]) -> None:
    place = Place({1, 4}, 6)
    told(place, capsys)
    assert place.prepared == 2


def test_it_ends_after_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(set(), 10_000)
    done = canary.run({"interval": 0.001, "seconds": 0.05}, place.prepare, place.write)
    assert done["failed"] == 0
    assert done["sent"] == len(capsys.readouterr().out.splitlines()) > 0


def test_what_came_back_tells_holes() -> None:
    found = canary.recovered([1, 2, 5, 5], 10.0, 9.0)
    assert found == {"count": 3, "last_seq": 5, "last_written": 10.0, "missing": [3, 4], "heartbeat": 9.0}
    assert canary.recovered([], None, None)["missing"] == []
