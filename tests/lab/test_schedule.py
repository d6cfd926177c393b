from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from lab import progress, schedule
from lab.errors import LabError
from lab.recipes import RECIPES, Context, Job, Look, Recipe
from lab.store import Durations

ROWS: dict[str, Any] = {
    "prog": {"type": "go", "programs": {}},
    "base": {"type": "rootfs", "suite": "s", "include": []},
    "leaf": {"type": "image", "base": "base", "files": {"x": "prog:x"}},
    "engine": {"type": "engine"},
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Recipes that only note what they were asked to make."""
    order: list[str] = []

    def build(job: Job) -> dict[str, Any]:
        if "fail" in job.row:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            job.log.write_text("first\nlast words\n")
            raise LabError("It broke")
        order.append(job.part.name)
        return {}

    def missing(look: Look) -> str | None:
        return None if look.context.store.facts(look.part) is not None else "not built"

    for kind, recipe in RECIPES.items():
        live = kind == "engine"
        gone: Callable[[Look], str | None] = (lambda look: None) if live else missing
        monkeypatch.setitem(RECIPES, kind, Recipe(1, recipe.lane, build, gone, live))
    return order


def run(context: Context) -> list[str]:
    needs = schedule.plan(context.table, schedule.looker(context))
    schedule.run(context, needs, Durations(context.store.root / "durations.json"))
    return [need.part.name for need in needs]


def test_makes_inputs_first_then_nothing(context_of: Callable[..., Context], made: list[str]) -> None:
    context = context_of(ROWS)
    assert sorted(run(context)) == ["base", "leaf", "prog"]
    assert made[-1] == "leaf"
    made.clear()
    assert run(context) == []
    assert made == []


def test_inputs_of_what_is_there_are_not_made(context_of: Callable[..., Context], made: list[str]) -> None:
    context = context_of(ROWS)
    run(context)
    prog = context.table.parts["prog"]
    context.store.discard(context.store.place(prog))
    assert run(context) == []
    context.store.discard(context.store.place(context.table.parts["leaf"]))
    assert sorted(run(context)) == ["leaf", "prog"]


def test_names_choose_parts_and_what_they_are_made_of(context_of: Callable[..., Context], made: list[str]) -> None:
    context = context_of({**ROWS, "more": {"type": "go", "programs": {}, "group": "extra"}})
    every = schedule.looker(context)
    assert [need.part.name for need in schedule.plan(context.table, every)] == ["prog", "base", "leaf"]
    assert [need.part.name for need in schedule.plan(context.table, every, ["prog"])] == ["prog"]
    both = {need.part.name for need in schedule.plan(context.table, every, ["leaf", "extra"])}
    assert both == {"prog", "base", "leaf", "more"}


def test_failure_names_the_part_and_keeps_what_was_made(context_of: Callable[..., Context], made: list[str]) -> None:
    context = context_of({**ROWS, "leaf": {**ROWS["leaf"], "fail": 1}})
    with pytest.raises(schedule.PartError) as caught:
        run(context)
    text = caught.value.render()
    assert text.startswith("Part 'leaf': It broke\n  log: ")
    assert text.endswith("  | first\n  | last words")
    again = context_of(ROWS)
    assert run(again) == ["leaf"]


def test_a_part_that_a_killed_run_finished_is_not_made_again(
    context_of: Callable[..., Context], made: list[str]
) -> None:
    context = context_of(ROWS)
    needs = schedule.plan(context.table, schedule.looker(context))
    schedule.make(context, context.table.parts["prog"])
    schedule.run(context, needs, Durations(context.store.root / "durations.json"))
    assert made.count("prog") == 1


def test_live_parts_leave_no_files(
    context_of: Callable[..., Context], made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(ROWS)
    engine = RECIPES["engine"]
    monkeypatch.setitem(RECIPES, "engine", Recipe(1, "io", engine.build, lambda look: "down", live=True))
    assert schedule.make(context, context.table.parts["engine"]) is not None
    assert list((context.store.root / "tmp").iterdir()) == []


def test_os_errors_become_one_message(
    context_of: Callable[..., Context], made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(job: Job) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(RECIPES, "go", Recipe(1, "cpu", full, lambda look: "not built"))
    context = context_of(ROWS)
    with pytest.raises(schedule.PartError, match=r"Part 'prog': .*No space left on device"):
        schedule.make(context, context.table.parts["prog"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (599, "9 min 59 s"), (725, "12 min")],
)
def test_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text


def test_progress_tells_what_how_far_and_how_long(
    context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "BEAT_S", 0.01)
    parts = list(context_of(ROWS).table.parts.values())
    expect = {"prog": 100.0, "base": 30.0, "leaf": 10.0, "engine": 0.0}
    stream = io.StringIO()
    by_name = {part.name: part for part in parts}
    with progress.Progress(parts, expect, stream) as shown:
        shown.start(by_name["prog"])
        while "of about" not in stream.getvalue():
            pass
        shown.end(by_name["prog"], 101.0)
        shown.start(by_name["leaf"])
    lines = stream.getvalue().splitlines()
    assert lines[0] == "lab [0/4] prog: go, about 1 min 40 s; about 1 min 40 s left"
    assert "lab [0/4] prog 0 s of about 1 min 40 s; about 1 min 40 s left" in lines
    assert "lab [1/4] prog: done in 1 min 41 s" in lines
    assert "lab [1/4] leaf: image, about 10 s; about 20 s left" in lines
