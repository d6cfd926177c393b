from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.run_record import (
    DURATION,
    RunRecord,
    last_phases,
    latest,
    story,
)

RUN = "20261125T030000Z-0001"


def record(tmp_path: Path, run: str = RUN, playbook: str = "bootstrap", *, kept: bool = True) -> RunRecord:
    folder = tmp_path / run
    if kept:
        folder.mkdir()
    clock = iter(range(1000, 2000))
    return RunRecord(run, "r", playbook, folder if kept else None, 990.0, lambda: float(next(clock)))


def journal(tmp_path: Path) -> list[str]:
    return [one["event"] for one in state.read_lines(tmp_path / RUN / "journal.jsonl")]


def test_a_phase_is_in_the_journal_before_it_starts(tmp_path: Path) -> None:
    run = record(tmp_path)
    run.begin(1)
    assert run.enter("mesh deploy") == "Phase 1: mesh deploy"
    assert state.read_lines(tmp_path / RUN / "journal.jsonl")[-1]["phase"] == "mesh deploy"
    assert run.enter("mesh deploy") == ""
    assert journal(tmp_path) == ["run", "phase"]


def test_record_and_report_tell_all_with_definitions(tmp_path: Path) -> None:
    run = record(tmp_path)
    run.deviations = {"istio": "another build"}
    run.begin(1)
    run.enter("a deploy")
    run.enter("b deploy")
    run.add({"kontrol_objects": [{"object": "A", "verb": "create"}, {"object": "B", "verb": "none"}]})
    run.add({"kontrol_objects": [{"object": "C", "verb": "none"}], "kontrol_checks": [{"check": "x", "ok": True}]})
    run.add({})
    run.end(ok=True)
    kept = json.loads((tmp_path / RUN / "record.json").read_text())
    assert kept["status"] == "ok"
    assert kept["seconds"] > 0
    assert kept["seconds_definition"] == DURATION
    assert [one["phase"] for one in kept["phases"]] == ["a deploy", "b deploy"]
    assert all(one["seconds"] > 0 for one in kept["phases"])
    assert [one["object"] for one in kept["objects"]] == ["A", "B", "C"]
    report = json.loads((tmp_path / RUN / "report.json").read_text())
    assert report["checks"] == [{"check": "x", "ok": True}]
    assert report["deviations"] == [{"artifact": "istio", "deviation": "another build"}]
    assert journal(tmp_path) == ["run", "phase", "phase", "objects", "end"]


def test_check_mode_keeps_nothing_on_disk(tmp_path: Path) -> None:
    run = record(tmp_path, kept=False)
    run.begin(1)
    run.enter("a deploy")
    run.add({"kontrol_objects": [{"object": "A", "verb": "create"}]})
    run.fail("task", "message")
    assert run.end(ok=False)["status"] == "failed"
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_tells_how_far_and_how_long(tmp_path: Path) -> None:
    first = record(tmp_path, "20261125T020000Z-0001")
    first.enter("a deploy")
    first.enter("b deploy")
    first.end(ok=True)
    failed = record(tmp_path, "20261125T021000Z-0001")
    failed.enter("a deploy")
    failed.end(ok=False)
    run = record(tmp_path)
    run.begin(1)
    assert run.enter("a deploy") == "Phase 1 of 2: a deploy, 1 s last time, about 2 s to the end"
    assert run.enter("c deploy") == "Phase 2: c deploy"
    assert last_phases(tmp_path, "verify") == {}


@pytest.mark.parametrize(
    ("events", "writing", "words"),
    [
        ([], False, ["left no journal"]),
        ([{"event": "end", "status": "ok", "at": "T2", "seconds": 3}], False, ["ended ok at T2 after 3 s"]),
        (
            [
                {"event": "failed", "task": "t", "message": "m"},
                {"event": "end", "status": "failed", "at": "T", "seconds": 1},
            ],
            False,
            ["ended failed at T after 1 s: t: m"],
        ),
        (
            [{"event": "phase", "phase": "mesh deploy", "at": "T1"}, {"event": "killed", "at": "T2"}],
            False,
            ['was killed during phase "mesh deploy" at T2', "run the same command again"],
        ),
        (
            [{"event": "phase", "phase": "mesh deploy", "at": "T1"}],
            False,
            ['was killed during phase "mesh deploy", its last sign of life is of T1'],
        ),
        ([{"event": "interrupted", "at": "T2"}], False, ["was interrupted before its first phase at T2"]),
        ([{"event": "phase", "phase": "p", "at": "T1"}], True, ['is going on during phase "p", since T0']),
    ],
)
def test_what_a_run_left_is_told(tmp_path: Path, events: list[dict[str, Any]], writing: bool, words: list[str]) -> None:
    folder = tmp_path / RUN
    folder.mkdir()
    first: dict[str, Any] = {"event": "run", "playbook": "bootstrap", "at": "T0"}
    for event in [first, *events] if events else []:
        state.append_line(folder / "journal.jsonl", event)
    told = story(folder, writing=writing)
    assert f"run {RUN}" in told
    assert all(word in told for word in words), told


def test_the_newest_run_with_a_journal_is_the_last_one(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    for run in ("20261125T030000Z-0001", "20261125T020000Z-ffff"):
        record(tmp_path, run).begin(1)
    (tmp_path / "20261125T040000Z-0001").mkdir()
    found = latest(tmp_path)
    assert found is not None
    assert found.name == "20261125T030000Z-0001"


def test_an_interruption_is_journalled(tmp_path: Path) -> None:
    run = record(tmp_path)
    run.begin(1)
    run.interrupted()
    assert journal(tmp_path) == ["run", "interrupted"]
