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
from ansible_collections.kontrol.platform.plugins.module_utils import process, region_run, run_history, state
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import reports

TARGET = {"driver": "kind", "components": ["mesh"]}
ROLE_TASK = "/p/roles/region/tasks/verify_all.yml:7"


class Screen:
    verbosity = 0

    def __init__(self) -> None:
        self.lines: list[str] = []

        self.errors: list[str] = []

    def display(self, line: str, color: str | None = None, stderr: bool = False, **_: Any) -> None:
        (self.errors if stderr else self.lines).append(line)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Iterator[plugin.CallbackModule]:
    monkeypatch.setattr(process, "arm_forks", lambda: None)
    monkeypatch.setattr(atexit, "register", lambda function: None)
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    made = plugin.CallbackModule()
    made._display = Screen()
    made.v2_playbook_on_start(SimpleNamespace(_file_name="/x/playbooks/bootstrap.yml"))
    yield made
    made._stop_progress()
    for name in (region_run.RUN, region_run.MAIN_PID, region_run.PLAYBOOK, region_run.STARTED, region_run.PERSON):
        os.environ.pop(name, None)


def screen(callback: plugin.CallbackModule) -> list[str]:
    lines: list[str] = callback._display.lines
    return lines


def result(host: str = "r", **content: Any) -> Any:
    return SimpleNamespace(
        result=content, host=SimpleNamespace(get_name=lambda: host), task_name="a task", task=task(ROLE_TASK)
    )


def begin(callback: plugin.CallbackModule, folder: Path | None, region: str = "r") -> None:
    session = {"region": region, "folder": str(folder or ""), "deviations": {"istio": "built here"}, "target": TARGET}
    callback.v2_runner_on_ok(result(region, kontrol_session=session))


@pytest.mark.parametrize(
    ("verbosity", "line"), [(0, "ok  b          c      2  e"), (1, "ok  c      t       e         s")]
)
def test_green_checks_are_told_by_kind_and_each_when_asked(
    callback: plugin.CallbackModule, tmp_path: Path, verbosity: int, line: str
) -> None:
    callback._display.verbosity = verbosity
    begin(callback, tmp_path)
    check = {"component": "b", "check": "c", "target": "t", "expected": "e", "seen": "s", "ok": True}
    callback.v2_runner_on_ok(result(kontrol_checks=[check, check]))
    callback.v2_playbook_on_stats(stats())
    assert line in screen(callback)


def test_a_copy_that_could_not_be_made_is_told_after_the_report(
    callback: plugin.CallbackModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def keep(region: str, bucket: str) -> str:
        asked.append((region, bucket))
        return "not copied"

    monkeypatch.setattr(run_history, "keep", keep)
    session = {"region": "r", "folder": str(tmp_path), "deviations": {}, "bucket": "b"}
    callback.v2_runner_on_ok(result("r", kontrol_session=session))
    begin(callback, None, "checked")
    callback.v2_playbook_on_stats(stats())
    assert asked == [("r", "b")]
    assert "History of region r is not copied" in screen(callback)


def task(path: str, name: str = "a task", *, planning: bool = False) -> Any:
    marks = {"kontrol_check": True} if planning else {}
    return SimpleNamespace(get_path=lambda: path, get_vars=lambda: marks, name=name, action="an.action")


def stats(failures: int = 0) -> Any:
    return SimpleNamespace(summarize=lambda host: {"failures": failures, "unreachable": 0})


@pytest.mark.parametrize(
    ("callback_name", "terminal", "asked"),
    [("default", True, "yes"), ("default", False, "no"), ("awx_display", True, "no"), ("json", True, "no")],
)
def test_only_a_person_is_asked(
    monkeypatch: pytest.MonkeyPatch, callback: plugin.CallbackModule, callback_name: str, terminal: bool, asked: str
) -> None:
    monkeypatch.setattr("ansible.constants.DEFAULT_STDOUT_CALLBACK", callback_name)
    monkeypatch.setattr(plugin, "_at_terminal", lambda: terminal)
    callback.v2_playbook_on_start(SimpleNamespace(_file_name="/x/playbooks/new_region.yml"))
    assert os.environ[region_run.PERSON] == asked


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
    told = lines[lines.index("") :]
    assert any(line.endswith(" of bootstrap in region r: failed") for line in told)
    assert "  objects: 1 changed, 1 as declared; checks: 0 ok, 1 failed" in told
    assert any("from when the playbook was read" in line for line in told)
    assert lines[-2] == "  lab: 1 artifacts deviate from their pins, listed in the report"
    assert lines[-1] == f"  report: {tmp_path}/report.html"
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["failures"] == [{"component": "region", "task": "a task", "message": "It is red"}]
    report = reports.valid(json.loads((tmp_path / "report.json").read_text()))
    assert report["checks"] == [{"component": "mesh", **check}]
    assert {one["component"] for one in report["objects"]} == {"mesh"}
    assert report["target"] == TARGET
    assert report["by"]["pid"] == os.getpid()
    assert report["mode"] == {"check": False, "diff": False}
    assert "mesh deploy" in (tmp_path / "report.html").read_text()


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
    assert "was interrupted" in (tmp_path / "report.html").read_text()


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


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ({"msg": "It broke"}, "It broke"),
        ({}, "no message"),
        ({"censored": "the output has been hidden", "msg": "CANARY"}, plugin.NO_LOG),
        (
            {"msg": "One or more items failed", "results": [{"failed": True, "msg": "A"}, {"msg": "fine"}, "text"]},
            "A",
        ),
        (
            {"results": [{"failed": True, "censored": "x", "msg": "CANARY"}, {"failed": True, "msg": "A"}]},
            f"{plugin.NO_LOG}; A",
        ),
    ],
)
def test_why_a_task_failed(whole: dict[str, Any], message: str) -> None:
    assert plugin.failure_message(whole) == message


def test_what_the_cluster_is_gets_into_the_report(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    callback.v2_runner_on_ok(result(kontrol_cluster={"api_server": "https://x", "ca_sha256": "ab"}))
    callback.v2_runner_on_unreachable(result(msg="No route"))
    callback.v2_playbook_on_stats(stats(failures=1))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["target"]["api_server"] == "https://x"
    assert report["failures"][0]["message"] == "No route"


def test_beside_output_for_programs_it_speaks_on_standard_error(
    callback: plugin.CallbackModule, tmp_path: Path
) -> None:
    callback._to_stderr = True
    begin(callback, tmp_path)
    callback.v2_playbook_on_stats(stats())
    assert screen(callback) == []
    assert any("report.html" in line for line in callback._display.errors)


def test_the_task_at_work_is_shown(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    progress = callback._progress
    assert progress is not None
    callback.v2_playbook_on_task_start(task("/p/roles/mesh/tasks/deploy.yml:3", "Apply"), False)
    assert progress._doing.text() == "mesh deploy: Apply"
    assert progress._doing.place == "1"
    callback.v2_playbook_on_handler_task_start(task("", ""))
    assert progress._doing.text() == "mesh deploy: an.action"


def test_the_memory_of_this_process_is_sampled(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    begin(callback, tmp_path)
    assert callback._progress is not None
    callback._progress.beat()
    callback.v2_playbook_on_stats(stats())
    [peak] = [
        one for one in json.loads((tmp_path / "report.json").read_text())["figures"] if one["name"] == "peak memory"
    ]
    assert peak["value"] > 10
    assert "PSS" in peak["definition"]
    assert json.loads((tmp_path / "record.json").read_text())["peak_memory_mib"] == peak["value"]
    assert any(line.startswith(f"  memory: {peak['value']} MiB at its peak (") for line in screen(callback))


def test_what_is_planned_is_collected_and_neither_shown_nor_kept(
    callback: plugin.CallbackModule, tmp_path: Path
) -> None:
    session = {"region": "r", "folder": str(tmp_path), "deviations": {}, "planned": str(tmp_path / "objects.jsonl")}
    callback.v2_runner_on_ok(result(kontrol_session=session))
    looking = task("/p/roles/mesh/tasks/deploy.yml:3", planning=True)
    callback.v2_playbook_on_task_start(looking, False)
    would = {"object": "Namespace a", "verb": "create", "known": "rendered"}
    looked = result(kontrol_objects=[would])
    looked.task = looking
    callback.v2_runner_on_ok(looked)
    assert screen(callback) == ["Phase 1: region plan"]
    assert state.read_lines(tmp_path / "objects.jsonl") == [{**would, "component": "mesh"}]
    callback.v2_playbook_on_stats(stats())
    assert not any(line.startswith("  objects:") for line in screen(callback))


def test_several_regions_have_one_summary_with_why_one_failed(callback: plugin.CallbackModule, tmp_path: Path) -> None:
    for name in "za":
        (tmp_path / name).mkdir()
        begin(callback, tmp_path / name, name)
    callback.v2_runner_on_failed(result("a", msg="API server refuses connections"))
    ended = SimpleNamespace(summarize=lambda host: {"failures": int(host == "a"), "unreachable": 0})
    callback.v2_playbook_on_stats(ended)
    told = screen(callback)
    (head,) = [line for line in told if line.startswith("Run ")]
    assert head.endswith("of bootstrap in 2 regions: 1 ok, 1 failed")
    assert len([line for line in told if line.startswith("  duration: ")]) == 1
    assert [line for line in told if line.startswith("  report of")] == [
        f"  report of a: {tmp_path}/a/report.html",
        f"  report of z: {tmp_path}/z/report.html",
    ]
    assert told[-2:] == ["FAILED  a       API server refuses connections", "ok      z"]
