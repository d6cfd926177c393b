"""The stage runner: budgets hold, all stages are reported, the closing line says the truth."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tools import stages
from tools.stages import Outcome, Stage


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stages.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_fits_into_the_limits_of_ci() -> None:
    minutes = {stage.name: stage.minutes for stage in stages.load()}
    assert sum(minutes.values()) < 90
    assert sum(minutes.values()) - minutes["lab"] <= 63


def test_a_stage_cannot_need_a_later_one(tmp_path: Path) -> None:
    path = table(tmp_path, "stages: [{name: a, minutes: 1, run: ['true'], needs: [b]}]")
    with pytest.raises(ValueError, match=r"Stage 'a' needs \['b'\]"):
        stages.load(path)


def test_a_failing_command_ends_the_stage_and_names_itself(tmp_path: Path) -> None:
    after = tmp_path / "after"
    outcome = stages.perform(Stage("x", 1, ("exit 3", f"touch {after}")), set())
    assert outcome.why == "exit 3: exit 3"
    assert not after.exists()


def test_a_pipe_does_not_hide_a_failure() -> None:
    assert stages.execute("false | true", 10).startswith("exit 1")


def test_over_budget_ends_the_stage_with_its_children(tmp_path: Path) -> None:
    late = tmp_path / "late"
    start = time.monotonic()
    outcome = stages.perform(Stage("x", 0.5 / 60, (f"(sleep 2; touch {late}) & sleep 30",)), set())
    assert outcome.why == "over budget"
    assert time.monotonic() - start < 5
    time.sleep(2.1)
    assert not late.exists()


def test_a_stage_may_take_what_those_before_it_left() -> None:
    one, other = Stage("a", 1, ("true",)), Stage("b", 2, ("true",))
    assert stages.left_of([]) == 0
    assert stages.left_of([Outcome(one, 50.0), Outcome(other, 100.0)]) == 30
    assert stages.left_of([Outcome(one, 50.0), Outcome(other, 131.0)]) == 0
    assert stages.perform(Stage("x", 0.5 / 60, ("sleep 1",)), set(), spare=5).why == ""
    assert stages.perform(Stage("x", 0.5 / 60, ("sleep 1",)), set(), spare=0.1).why == "over budget"


def test_a_run_gives_the_rest_of_a_budget_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = "{name: a, minutes: 0.05, run: ['true']}, {name: b, minutes: 0.01, run: ['sleep 1.5']}"
    loaded = stages.load(table(tmp_path, f"stages: [{entries}]"))
    monkeypatch.setattr(stages, "load", lambda: loaded)
    assert stages.main([]) == 0
    assert capsys.readouterr().out.rstrip().endswith("2 passed, 0 failed")
    assert stages.main(["b"]) == 1


def test_a_command_gets_no_standard_input() -> None:
    assert stages.execute("! read -r -t 5 line", 10) == ""


def test_a_stage_is_not_run_when_what_it_needs_failed() -> None:
    outcome = stages.perform(Stage("b", 1, ("exit 9",), needs=("a",)), {"a"})
    assert outcome.why == "not run: needs a"


def test_the_report_ends_with_the_line_that_ci_reads() -> None:
    a = Stage("a", 1, ("true",))
    text = stages.report([Outcome(a, 2.4), Outcome(a, 60.0, "over budget")])
    assert re.search(r"^a +2 +60  passed$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "1 passed, 1 failed"


@pytest.mark.parametrize(
    ("command", "rc", "line"), [("true", 0, "1 passed, 0 failed"), ("false", 1, "0 passed, 1 failed")]
)
def test_the_exit_code_follows_the_stages(
    command: str,
    rc: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = table(tmp_path, f"stages: [{{name: a, minutes: 1, run: ['{command}']}}]")
    loaded = stages.load(path)
    monkeypatch.setattr(stages, "load", lambda: loaded)
    assert stages.main([]) == rc
    assert capsys.readouterr().out.rstrip().splitlines()[-1] == line


def test_an_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        stages.main(["nonsense"])
    assert "No stage nonsense" in capsys.readouterr().err
