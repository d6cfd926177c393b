"""How runs end and meet: kill, Ctrl+C and two at once, with processes of this machine only (no cluster)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARK = "KONTROL_LIFECYCLE_MARK"
REGION = "lifecycle"
SETTINGS = f"""
[defaults]
collections_path = {ROOT}/collections
callbacks_enabled = kontrol.platform.run
"""
BEGIN = f"""
- hosts: all
  gather_facts: false
  vars: {{ansible_connection: local, ansible_python_interpreter: "{sys.executable}"}}
  tasks:
    - name: Begin
      kontrol.platform.session: {{verb: begin, region: {REGION}}}
      register: session
"""
PLAYS = {
    "quick": "",
    "module": """
    - name: Sleep in a module
      ansible.builtin.command: sleep 300
""",
    "action": f"""
    - name: Wait for a program that our own action runs
      kontrol.platform.cluster:
        region: {REGION}
        private: "{{{{ session.private }}}}"
        image: none
        pod_cidr: 10.244.0.0/16
        service_cidr: 10.96.0.0/16
""",
}


@dataclass
class Project:
    """A folder with playbooks, and fake programs in place of docker and kind."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "ansible.cfg").write_text(SETTINGS)
        for name, tasks in PLAYS.items():
            (self.folder / f"{name}.yml").write_text(BEGIN + tasks)
        tools = {name: self._tool(name, body) for name, body in {"docker": "exit 0", "kind": "sleep 300"}.items()}
        self.state.mkdir(parents=True)
        (self.state.parent / "lab.json").write_text(json.dumps({"mode": "online", "tools": tools}))
        identity = {"region": REGION, "id": "1", "created_by": "x", "created_at": "2026-01-01T00:00:00Z"}
        (self.state / "identity.json").write_text(json.dumps(identity))

    @property
    def state(self) -> Path:
        return self.folder / "state" / "kontrol" / REGION

    def _tool(self, name: str, body: str) -> str:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return str(program)

    def start(self, play: str, *arguments: str) -> Started:
        mark = uuid.uuid4().hex
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "KUBECONFIG": "/somewhere/else",
            MARK: mark,
        }
        output = (self.folder / f"{mark}.log").open("wb")
        with output:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "here,", f"{play}.yml", *arguments],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return Started(process, mark, Path(output.name), self.state)


@dataclass
class Started:
    """A running playbook."""

    process: subprocess.Popen[bytes]
    mark: str
    log: Path
    state: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def until(self, text: str, seconds: float = 30) -> None:
        """Wait until it printed that text."""
        wait_for(lambda: text in self.text, seconds, lambda: self.text)

    def finish(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def family(self) -> dict[int, str]:
        """All processes that descend from it, the warden too: by a mark in the environment of their start."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def survivors(self) -> dict[int, str]:
        return self.family()

    def gone(self) -> bool:
        return not self.survivors()

    def journal(self) -> list[dict[str, object]]:
        [file] = list((self.state / "runs").glob("*/journal.jsonl"))
        return [json.loads(line) for line in file.read_text().splitlines()]


def wait_for(condition: Callable[[], bool], seconds: float, told: Callable[[], str] = str) -> None:
    """Wait until something is so, or fail with what is told then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s\n{told()}"
        time.sleep(0.05)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


WORK = {"module": "sleep 300", "action": "kind create"}


def at_work(started: Started, play: str) -> bool:
    return any(WORK[play] in command for command in started.family().values())


@pytest.mark.parametrize("play", ["module", "action"])
def test_nothing_survives_a_kill_of_the_process_group(project: Project, play: str) -> None:
    run = project.start(play)
    wait_for(lambda: at_work(run, play), 30, lambda: run.text)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    wait_for(lambda: not run.survivors(), 2, lambda: str(run.survivors()))
    assert not list(project.folder.glob("kontrol-run-*"))  # the private folder
    assert run.journal()[-1]["event"] == "killed"
    again = project.start("quick")
    assert again.finish() == 0, again.text


@pytest.mark.parametrize("play", ["module", "action"])
def test_nothing_survives_a_kill_of_the_controller_alone(project: Project, play: str) -> None:
    run = project.start(play)
    wait_for(lambda: at_work(run, play), 30, lambda: run.text)
    run.process.kill()
    run.process.wait()
    wait_for(lambda: not run.survivors(), 2, lambda: str(run.survivors()))


def test_a_run_whose_warden_dies_with_it_gives_the_region_back(project: Project) -> None:
    run = project.start("module")
    wait_for(lambda: at_work(run, "module"), 30, lambda: run.text)
    for pid in run.family():  # as a kill of its cgroup does: all of them, the warden too
        os.kill(pid, signal.SIGKILL)
    run.process.wait()
    wait_for(lambda: not run.survivors(), 2, lambda: str(run.survivors()))
    assert len(list(project.folder.glob("kontrol-run-*"))) == 1, "nobody was left to remove it"
    again = project.start("quick")
    assert again.finish() == 0, again.text
    wait_for(lambda: not again.survivors(), 2)
    assert not list(project.folder.glob("kontrol-run-*"))


@pytest.mark.parametrize("play", ["module", "action"])
def test_ctrl_c_ends_the_run_and_the_next_one_starts_at_once(project: Project, play: str) -> None:
    for _try in range(2):
        run = project.start(play)
        wait_for(partial(at_work, run, play), 30)
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.finish() != 0
        again = project.start("quick")
        assert again.finish() == 0, again.text
        wait_for(run.gone, 2)
    journals = [file.read_text() for file in (project.state / "runs").glob("*/journal.jsonl")]
    assert sum('"event":"interrupted"' in text for text in journals) == 2


def test_the_second_writer_is_refused_and_told_who_writes(project: Project) -> None:
    run = project.start("module")
    wait_for(lambda: at_work(run, "module"), 30, lambda: run.text)
    second = project.start("quick")
    assert second.finish() == 2
    assert f'Region "{REGION}" is being written by run' in second.text
    assert f"pid {run.process.pid} on " in second.text
    assert "of module (pid" in second.text
    assert len(list((project.state / "runs").iterdir())) == 1, "the refused run left something"


def test_of_two_runs_at_the_same_time_one_writes(project: Project) -> None:
    runs = [project.start("module") for _ in range(2)]
    wait_for(lambda: any(at_work(run, "module") for run in runs), 30)
    wait_for(lambda: any(run.process.poll() is not None for run in runs), 30)
    assert sorted(str(run.process.poll()) for run in runs) == ["2", "None"]


def test_check_mode_beside_a_writer_works_and_leaves_nothing(project: Project) -> None:
    run = project.start("module")
    wait_for(lambda: at_work(run, "module"), 30, lambda: run.text)
    before = sorted(str(file) for file in project.state.rglob("*"))
    check = project.start("quick", "--check")
    assert check.finish() == 0, check.text
    assert sorted(str(file) for file in project.state.rglob("*")) == before
    wait_for(lambda: not check.survivors(), 2)
    assert len(list(project.folder.glob("kontrol-run-*"))) == 1  # that of the writer


def test_a_run_that_ends_well_leaves_record_report_and_no_process(project: Project) -> None:
    run = project.start("quick")
    assert run.finish() == 0, run.text
    wait_for(lambda: not run.survivors(), 2, lambda: str(run.survivors()))
    [folder] = list((project.state / "runs").iterdir())
    assert {file.name for file in folder.iterdir()} == {
        "journal.jsonl", "record.json", "report.json", "report.html", "junit.xml",
    }  # fmt: skip
    assert all(file.stat().st_mode & 0o077 == 0 for file in [folder, *folder.iterdir()])
    assert json.loads((folder / "record.json").read_text())["status"] == "ok"
    assert "duration:" in run.text
    assert not list(project.folder.glob("kontrol-run-*"))
