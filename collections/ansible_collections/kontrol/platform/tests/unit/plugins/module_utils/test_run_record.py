from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import run_report, state
from ansible_collections.kontrol.platform.plugins.module_utils.run_record import (
    DURATION,
    RunRecord,
    last_phases,
    latest,
    story,
)
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import reports

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
    run.add({"kontrol_objects": [{"object": "A", "verb": "create"}, {"object": "B", "verb": "none"}]}, "b")
    run.add({"kontrol_objects": [{"object": "C", "verb": "none"}], "kontrol_checks": [{"check": "x", "ok": True}]}, "b")
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
    reports.valid(report)
    assert [(one["check"], one["component"]) for one in report["checks"]] == [("x", "b")]
    assert [(one["object"], one["component"]) for one in report["objects"]] == [("A", "b"), ("B", "b"), ("C", "b")]
    first, second = report["phases"]
    assert first["offset"] + first["seconds"] <= second["offset"], "the next phase starts where this one ends"
    assert report["deviations"] == [{"artifact": "istio", "deviation": "another build"}]
    assert journal(tmp_path) == ["run", "phase", "phase", "objects", "checks", "end"]
    assert {one.name for one in (tmp_path / RUN).iterdir()} == {
        "journal.jsonl", "record.json", "report.json", "report.html", "junit.xml",
    }  # fmt: skip


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
            ['was killed during phase "mesh deploy" at T2', "run the same command again: ansible-playbook -i a b"],
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
    first: dict[str, Any] = {
        "event": "run",
        "playbook": "bootstrap",
        "at": "T0",
        "command": "ansible-playbook -i a b",
    }
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


def test_an_interruption_is_journalled_and_reported(tmp_path: Path) -> None:
    run = record(tmp_path)
    run.begin(1)
    run.enter("a deploy")
    run.interrupted()
    assert journal(tmp_path) == ["run", "phase", "interrupted"]
    report = reports.valid(json.loads((tmp_path / RUN / "report.json").read_text()))
    assert report["status"] == "interrupted"
    assert report["phases"][0]["seconds"] > 0


def test_the_cluster_that_was_proven_is_in_journal_and_report(tmp_path: Path) -> None:
    run = record(tmp_path)
    run.target = {"driver": "kind"}
    run.begin(1)
    run.reach({"api_server": "https://x", "ca_sha256": "ab"})
    assert state.read_lines(tmp_path / RUN / "journal.jsonl")[-1]["api_server"] == "https://x"
    assert reports.valid(run.report("ok"))["target"] == {"driver": "kind", "api_server": "https://x", "ca_sha256": "ab"}


def test_how_far_a_run_is(tmp_path: Path) -> None:
    run = record(tmp_path)
    assert run.place() == ""
    run.enter("a deploy")
    assert run.place() == "1"
    run.previous = {"x deploy": 1.0, "a deploy": 2.0}
    assert run.place() == "2 of 2"


def test_in_check_mode_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    record(tmp_path, kept=False).interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_does_not_make_the_run_look_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, report: dict[str, Any]) -> Path:
        raise OSError("No space left on device")

    run = record(tmp_path)
    run.begin(1)
    monkeypatch.setattr(run_report, "write", full)
    with pytest.raises(OSError, match="No space"):
        run.end(ok=True)
    assert "ended ok" in story(tmp_path / RUN, writing=False)
