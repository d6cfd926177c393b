from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, run_facts


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


@pytest.mark.skipif(shutil.which("git") is None, reason="the container of the trixie lane has no git")
def test_the_commit_and_whether_it_is_all(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert run_facts.code(checkout) == {"commit": commit, "dirty": False}
    (checkout / "new").write_text("")
    assert run_facts.code(checkout) == {"commit": commit, "dirty": True}
    (checkout / "new").unlink()
    (checkout / "file").write_text("2")
    assert run_facts.code(checkout)["dirty"] is True


def test_outside_a_checkout_no_commit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = {"commit": "", "dirty": False}
    assert run_facts.code(tmp_path) == unknown

    def missing(name: str) -> str:
        raise process.ToolError(name)

    monkeypatch.setattr(process, "find_tool", missing)
    assert run_facts.code(tmp_path) == unknown


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (
            ["/x/bin/ansible-playbook", "-i", "inventories/local", "a.yml"],
            "ansible-playbook -i inventories/local a.yml",
        ),
        (["a", "-e", "confirm=local", "--check"], "a -e confirm=local --check"),
        (["a", "-e", "token=CANARY"], "a -e 'token=***'"),
        (["a", "-etoken=CANARY"], "a '-etoken=***'"),
        (["a", "--extra-vars=token=CANARY adopt=x"], "a '--extra-vars=token=*** adopt=x'"),
        (["a", "--extra-vars", '{"token": "CANARY"}'], "a --extra-vars '***'"),
        (["a", "-e", "CANARY 'unclosed"], "a -e '***'"),
        (["a", "-e", "confirm=local CANARY"], "a -e 'confirm=local ***'"),
        (["a", "-e", "@file.yml"], "a -e @file.yml"),
        ([], ""),
    ],
)
def test_a_command_is_kept_without_what_may_be_a_secret(argv: Sequence[str], shown: str) -> None:
    assert run_facts.shown_command(argv) == shown


def test_all_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_tool", lambda name: f"/usr/bin/{name}")

    def runner(argv: Sequence[str], **_: Any) -> process.Completed:
        return process.Completed(0, "# branch.oid abc\n# branch.head main\n", "")

    found = run_facts.facts(["ansible-playbook", "a.yml"], paths.project_root(), runner)
    assert found["by"]["host"] == socket.gethostname()
    assert found["by"]["pid"] == os.getpid()
    assert found["code"] == {"commit": "abc", "dirty": False}
    assert found["directory"] == str(Path.cwd())
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["versions"]["ansible-core"].startswith("2.")
    assert found["versions"]["kontrol.platform"] == "0.1.0"


def test_what_cannot_be_told_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid")

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr("getpass.getuser", nameless)
    found = run_facts.facts([], tmp_path, lambda *_, **__: process.Completed(128, "", "no repository"))
    assert found["by"]["user"] == str(os.getuid())
    assert found["directory"] == ""
    assert found["versions"]["kontrol.platform"] == ""
    assert run_facts._version("no-such-package-at-all") == ""
