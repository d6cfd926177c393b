"""What a run shows and leaves, with the real ansible-playbook and processes of this machine only (no cluster)."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import ansible_runner
import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CANARY = "CANARY-4d1f"
REGION = "report"
ERASE = "\r\x1b[K"
SETTINGS = f"""
[defaults]
collections_path = {ROOT}/collections
roles_path = roles
callbacks_enabled = kontrol.platform.run
"""
HEAD = f"""
- hosts: all
  gather_facts: false
  vars: {{ansible_connection: local, ansible_python_interpreter: "{sys.executable}", region_driver: kind}}
  tasks:
    - name: Begin
      kontrol.platform.session: {{verb: begin, region: {REGION}}}
    - name: Use the role
      ansible.builtin.include_role: {{name: mesh, tasks_from: verify}}
"""
PLAYS = {
    "green": "",
    "secret": """
    - name: Fail with a secret
      ansible.builtin.fail: {msg: "the token is {{ token }}"}
      no_log: true
""",
    "loop": """
    - name: Fail with secrets in a loop
      ansible.builtin.fail: {msg: "the token is {{ item }}"}
      loop: ["{{ token }}", "{{ token }}2"]
      no_log: true
""",
    "slow": """
    - name: Sleep in a module
      ansible.builtin.command: sleep 4
""",
    "long": """
    - name: Sleep in a module
      ansible.builtin.command: sleep 300
""",
}
STATUS = f"""
- hosts: all
  gather_facts: false
  vars: {{ansible_connection: local}}
  tasks:
    - kontrol.platform.region_status: {{region: {REGION}}}
"""
ROLE = """
- name: Ask <script>alert(1)</script>
  kontrol.platform.checks:
    component: mesh
    checks:
      - {check: "c <script>", target: t, expected: e, seen: e, ok: true}
"""


@dataclass
class Project:
    """A folder with playbooks, one role, and fake programs in place of docker and kind."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "ansible.cfg").write_text(SETTINGS)
        for name, tasks in PLAYS.items():
            (self.folder / f"{name}.yml").write_text(HEAD + tasks)
        (self.folder / "status.yml").write_text(STATUS)
        role = self.folder / "roles" / "mesh" / "tasks"
        role.mkdir(parents=True)
        (role / "verify.yml").write_text(ROLE)
        self.state.mkdir(parents=True)
        tools = {name: self._tool(name) for name in ("docker", "kind")}
        (self.state.parent / "lab.json").write_text(json.dumps({"mode": "online", "tools": tools}))

    @property
    def state(self) -> Path:
        return self.folder / "state" / "kontrol" / REGION

    def _tool(self, name: str) -> str:
        program = self.folder / name
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        return str(program)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(self.folder / "roles"),
            "TERM": "xterm",
        }

    def argv(self, play: str, *arguments: str) -> list[str]:
        return [str(BIN / "ansible-playbook"), "-i", "here,", f"{play}.yml", *arguments]

    def run(self, play: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(play, *arguments), cwd=self.folder, env=self.env | env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def start(self, play: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(play), cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def on_terminal(self, play: str, **env: str) -> str:
        """Run a play with a terminal as its output, and return all bytes that it drew there as text."""
        ours, theirs = pty.openpty()
        argv = self.argv(play)
        with subprocess.Popen(argv, cwd=self.folder, env=self.env | env, stdin=theirs, stdout=theirs, stderr=theirs):
            os.close(theirs)
            drawn = b""
            while True:
                try:
                    drawn += os.read(ours, 65536)
                except OSError:  # the last writer is gone
                    break
        os.close(ours)
        return drawn.decode()

    def report(self) -> tuple[Path, dict[str, Any]]:
        [folder] = (self.state / "runs").iterdir()
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(report)
        return folder, report


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def at_work(project: Project) -> bool:
    journals = project.state.glob("runs/*/journal.jsonl")
    return any('"checks"' in path.read_text(encoding="utf-8") for path in journals)


def wait_until_at_work(project: Project) -> None:
    deadline = time.monotonic() + 30
    while not at_work(project):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)  # the task after the check has begun


def test_a_green_run_leaves_its_report_in_three_forms(project: Project) -> None:
    done = project.run("green", "-e", f"token={CANARY}", "--diff")
    assert done.returncode == 0, done.stdout
    folder, report = project.report()
    assert done.stdout.rstrip().endswith(f"report: {folder}/report.html"), done.stdout[-400:]
    assert report["status"] == "ok"
    assert report["command"] == "ansible-playbook -i here, green.yml -e 'token=***' --diff"
    assert report["mode"] == {"check": False, "diff": True}
    assert report["target"] == {"driver": "kind", "components": []}
    assert [(one["component"], one["verb"]) for one in report["phases"]] == [("mesh", "verify")]
    assert [one["component"] for one in report["checks"]] == ["mesh"]
    assert re.fullmatch(r"[0-9a-f]{40}", report["code"]["commit"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "green of region report succeeded" in page
    assert "<script" not in page
    [suite] = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 - written by the run above
    assert suite.attrib["tests"] == "1"
    assert [one.attrib["name"] for one in suite.findall("testcase")] == ["c <script>: t"]


@pytest.mark.parametrize("play", ["secret", "loop"])
def test_a_secret_in_a_failure_that_is_not_to_be_logged_is_nowhere(project: Project, play: str) -> None:
    done = project.run(play, "-e", json.dumps({"token": CANARY}), "-vvv")
    assert done.returncode == 2, done.stdout
    folder, report = project.report()
    assert report["failures"][0]["message"] == "hidden: the task is marked no_log"
    found = [path for path in folder.iterdir() if CANARY in path.read_text(encoding="utf-8")]
    assert found == []
    # Ansible itself (core 2.19) prints the message of such a task as [ERROR]; what we print and keep must not.
    assert CANARY not in done.stdout[done.stdout.index("PLAY RECAP") :]


def test_check_mode_leaves_nothing(project: Project) -> None:
    done = project.run("green", "--check")
    assert done.returncode == 0, done.stdout
    assert "report: none in check mode" in done.stdout
    assert list(project.state.iterdir()) == []


def test_an_interrupted_run_has_its_report(project: Project) -> None:
    process = project.start("long")
    wait_until_at_work(project)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    folder, report = project.report()
    assert report["status"] == "interrupted"
    assert len(report["checks"]) == 1
    assert "was interrupted" in (folder / "report.html").read_text(encoding="utf-8")


def test_status_makes_the_report_of_a_run_that_was_killed(project: Project) -> None:
    process = project.start("long")
    wait_until_at_work(project)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)  # the warden cleans up
    checked = project.run("status", "--check")
    assert "status without --check makes it from the journal" in checked.stdout
    assert not list(project.state.glob("runs/*/report.*"))
    shown = project.run("status")
    folder, report = project.report()
    assert f"its report      {folder}/report.html" in shown.stdout
    assert report["status"] == "killed"
    assert len(report["checks"]) == 1
    assert report["command"].startswith("ansible-playbook -i here, long.yml")


def test_the_live_line_is_below_whole_lines_and_gone_at_the_end(project: Project) -> None:
    drawn = project.on_terminal("slow")
    live = re.findall(r"\r\x1b\[K(\[?[^\r\n\x1b]+)", drawn)
    assert any(re.search(r"[34] s, run .* - mesh verify: Sleep in a module$", line) for line in live), drawn
    lines = [line.rpartition(ERASE)[2] for line in drawn.replace("\r\n", "\n").split("\n")]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert [line for line in plain if "run 0 s - " in line or "mesh verify: Sleep" in line] == []
    assert sum(line.startswith("TASK [Sleep in a module]") for line in plain) == 1
    assert drawn.rstrip().endswith("report.html\x1b[0m") or plain[-2].endswith("report.html")


@pytest.mark.parametrize("env", [{"ANSIBLE_NOCOLOR": "1"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_the_live_line_is_off_where_it_is_not_wanted(project: Project, env: dict[str, str]) -> None:
    assert ERASE not in project.on_terminal("green", **env)


def test_a_pipe_gets_each_line_at_once(project: Project) -> None:
    process = subprocess.Popen(
        project.argv("long"), cwd=project.folder, env=project.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout:
        try:
            assert any("Phase 1: mesh verify" in line for line in process.stdout), "buffered until the end"
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)


def test_output_for_programs_stays_readable(project: Project) -> None:
    done = project.run("green", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert json.loads(done.stdout)["stats"]["here"]["failures"] == 0
    assert "report.html" in done.stderr


def test_ansible_runner_gets_its_events(project: Project, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    done = ansible_runner.run(
        private_data_dir=str(private), playbook=str(project.folder / "slow.yml"), inventory="here,", quiet=True,
        envvars=project.env, settings={"suppress_env_files": True},
    )  # fmt: skip
    assert done.status == "successful"
    kinds = [event["event"] for event in done.events]
    assert kinds.count("playbook_on_stats") == 1
    assert kinds.count("runner_on_ok") >= 3
    text = done.stdout.read()
    assert "- mesh verify: Sleep" not in text
    assert "report.html" in text
