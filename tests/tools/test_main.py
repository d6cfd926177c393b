"""The program: one JSON document as the last line, exit codes, a target for probes."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import __main__ as program
from images.tools.kontrol_tools import serve
from images.tools.kontrol_tools.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any) -> tuple[int, Any]:
    path = tmp_path / "args.json"
    path.write_text(json.dumps(document))
    code = program.main(["--args", str(path)])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_results_come_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"name": "a", "command": "probe", "endpoints": []}, {"command": "probe", "endpoints": []}]
    code, document = run(tmp_path, capsys, {"steps": steps})
    assert code == 0
    assert document == {"results": {"a": {"endpoints": []}, "probe": {"endpoints": []}}}


def test_an_unknown_command_stops_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []

    def remember(step: Any) -> dict[str, Any]:
        done.append(step)
        return {}

    monkeypatch.setitem(program.COMMANDS, "probe", remember)
    code, document = run(tmp_path, capsys, {"steps": [{"command": "probe"}, {"command": "prove"}]})
    assert code == 2
    assert "Unknown command 'prove'" in document["error"]
    assert done == []


def test_a_step_that_cannot_be_done_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(step: Any) -> dict[str, Any]:
        raise ToolError("No")

    monkeypatch.setitem(program.COMMANDS, "probe", fail)
    assert run(tmp_path, capsys, {"steps": [{"command": "probe"}]}) == (1, {"error": "No"})


def test_wrong_arguments_are_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run(tmp_path, capsys, {"steps": [{"command": "probe"}]})
    assert code == 2
    assert "'endpoints'" in document["error"]


def test_the_target_answers_until_it_is_told_to_end(unused_port: int) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=serve.serve, args=(serve.target(unused_port), stop))
    thread.start()
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/", timeout=2) as answer:
                    assert answer.read() == b"ok\n"
                break
            except OSError:
                threading.Event().wait(0.02)
        else:
            pytest.fail("the target never answered")
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
