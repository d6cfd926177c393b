from __future__ import annotations

import atexit
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.callback import run as plugin
from ansible_collections.kontrol.platform.plugins.module_utils import process, region_run


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, line: str, color: str | None = None, **_: Any) -> None:
        self.lines.append(line)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Iterator[plugin.CallbackModule]:
    monkeypatch.setattr(process, "arm_forks", lambda: None)
    monkeypatch.setattr(atexit, "register", lambda function: None)
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    made = plugin.CallbackModule()
    made._display = Screen()
    made.v2_playbook_on_start(SimpleNamespace(_file_name="/x/playbooks/bootstrap.yml"))
    yield made
    for name in (region_run.RUN, region_run.MAIN_PID, region_run.PLAYBOOK, region_run.STARTED):
        os.environ.pop(name, None)


def screen(callback: plugin.CallbackModule) -> list[str]:
    lines: list[str] = callback._display.lines
    return lines


def result(host: str = "r", **content: Any) -> Any:
    return SimpleNamespace(result=content, host=SimpleNamespace(get_name=lambda: host), task_name="a task")


def begin(callback: plugin.CallbackModule, folder: Path | None, region: str = "r") -> None:
    session = {"region": region, "folder": str(folder or ""), "deviations": {"istio": "built here"}}
    callback.v2_runner_on_ok(result(region, kontrol_session=session))


def task(path: str) -> Any:
    return SimpleNamespace(get_path=lambda: path)


def stats(failures: int = 0) -> Any:
    return SimpleNamespace(summarize=lambda host: {"failures": failures, "unreachable": 0})


def test_a_run_gets_an_id_and_a_clean_environment(callback: plugin.CallbackModule) -> None:
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", os.environ[region_run.RUN])
    assert os.environ[region_run.PLAYBOOK] == "bootstrap"
    assert os.environ[region_run.MAIN_PID] == str(os.getpid())
    assert "KUBECONFIG" not in os.environ


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        ("/p/roles/mesh/tasks/deploy.yml:3", "mesh deploy"),
        ("/p/roles/mesh/tasks/main.yml:3", ""),
        ("/p/roles/mesh/tasks/render.yml:3", ""),
        ("/p/playbooks/bootstrap.yml:3", ""),
        ("", ""),
    ],
)
def test_a_phase_is_role_and_verb(path: str, phase: str) -> None:
    assert plugin.phase_of(path) == phase


def test_what_the_tasks_tell_is_printed_and_kept(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    callback.v2_playbook_on_task_start(task("/p/roles/mesh/tasks/deploy.yml:3"), False)
    callback.v2_playbook_on_task_start(task("/p/roles/mesh/tasks/deploy.yml:9"), False)
    objects = [
        {"object": "Namespace a", "verb": "create", "known": "server"},
        {"object": "Namespace b", "verb": "none", "known": "server"},
    ]
    callback.v2_runner_on_ok(result(results=[{"kontrol_objects": objects}, {"kontrol_lines": ["a line"]}]))
    check = {"check": "c", "target": "t", "expected": "e", "seen": "s", "ok": False}
    callback.v2_runner_on_failed(result(kontrol_checks=[check], msg="It is red"))
    callback.v2_playbook_on_stats(stats(failures=1))
    lines = screen(callback)
    assert lines[:3] == ["Phase 1: mesh deploy", "create Namespace a (server)", "a line"]
    assert any(line.startswith("FAIL  c") for line in lines)
    assert lines[-5].endswith(" of bootstrap in region r: failed")
    assert lines[-4] == "  objects: 1 changed, 1 as declared; checks: 0 ok, 1 failed"
    assert "from when the playbook was read" in lines[-3]
    assert lines[-2] == "  lab: 1 artifacts deviate from their pins, listed in the report"
    assert lines[-1] == f"  report: {tmp_path}/report.json"
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["failures"] == [{"task": "a task", "message": "It is red"}]
    assert json.loads((tmp_path / "report.json").read_text())["checks"] == [check]


def test_an_ignored_failure_is_none(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    callback.v2_runner_on_failed(result(msg="never mind"), ignore_errors=True)
    callback.v2_playbook_on_stats(stats())
    assert json.loads((tmp_path / "record.json").read_text())["status"] == "ok"


def test_check_mode_says_so_and_writes_nothing(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, None)
    callback.v2_runner_on_ok(result(kontrol_objects=[{"object": "A", "verb": "delete", "known": "rendered"}]))
    callback.v2_playbook_on_stats(stats())
    text = "\n".join(screen(callback))
    assert "delete A (rendered)" in text
    assert "(check mode): ok" in text
    assert "1 would change" in text
    assert "report: none in check mode" in text
    assert list(tmp_path.iterdir()) == []


def test_two_regions_are_told_apart(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    for region in ("r", "s"):
        (tmp_path / region).mkdir()
        begin(callback, tmp_path / region, region)
    callback.v2_playbook_on_task_start(task("/p/roles/mesh/tasks/deploy.yml:3"), False)
    assert screen(callback) == ["r: Phase 1: mesh deploy", "s: Phase 1: mesh deploy"]
    callback.v2_playbook_on_stats(stats())
    assert all((tmp_path / region / "record.json").exists() for region in ("r", "s"))


def test_a_run_that_ends_without_stats_was_interrupted(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    callback._pid += 1
    callback._at_exit()  # a child
    assert "interrupted" not in (tmp_path / "journal.jsonl").read_text()
    callback._pid -= 1
    callback._at_exit()
    assert "interrupted" in (tmp_path / "journal.jsonl").read_text()


def test_without_a_session_nothing_is_kept(callback: plugin.CallbackModule) -> None:
    callback.v2_playbook_on_task_start(task("/p/roles/mesh/tasks/deploy.yml:3"), False)
    callback.v2_runner_on_failed(result(msg="refused"))
    callback.v2_playbook_on_stats(stats())
    assert screen(callback) == []


def test_the_duration_starts_with_the_playbook_and_not_with_the_shell_before_it(
    callback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    callback.v2_playbook_on_start(SimpleNamespace(_file_name="playbooks/bootstrap.yml"))
    assert callback._started == 1000.0
