from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import warden
from ansible_collections.kontrol.platform.plugins.module_utils.warden import Orders, Warden


def orders(tmp_path: Path, pid: int = 0, **more: Any) -> Orders:
    private = tmp_path / "private"
    private.mkdir(exist_ok=True)
    return Orders(
        run="run-1",
        main_pid=pid or os.getpid(),
        main_start=warden.process_start(pid or os.getpid()),
        private=str(private),
        holder=json.dumps({"pid": pid or os.getpid()}),
        **{"lock": str(tmp_path / "lock"), "journal": str(tmp_path / "journal"), **more},
    )


def sleeper(run: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "60"], env={warden.RUN_VARIABLE: run} if run else {})


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class FakeLease:
    def __init__(self) -> None:
        self.renewed = 0
        self.released = 0
        self.broken = False

    def renew(self) -> bool:
        if self.broken:
            raise OSError("no network")
        self.renewed += 1
        return True

    def release(self) -> None:
        self.released += 1


def test_a_process_is_known_by_its_start() -> None:
    process = sleeper()
    started = warden.process_start(process.pid)
    assert warden.alive(process.pid, started)
    assert not warden.alive(process.pid, "1")
    process.kill()
    until(lambda: not warden.alive(process.pid, started))
    process.wait()
    assert warden.process_start(process.pid) == ""
    assert not warden.alive(process.pid)


def test_only_marked_processes_are_killed() -> None:
    mine, other = sleeper("run-x"), sleeper("run-xy")
    until(lambda: warden.marked("run-x") == {mine.pid: 0.0})
    assert warden.kill_marked("run-x") == 1
    assert mine.wait(5) == -9
    assert other.poll() is None
    other.kill()
    other.wait()


CONTROLLER = """
import os, sys, time
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([{collections!r}])
from ansible_collections.kontrol.platform.plugins.module_utils import process
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import GentleRunner
process.arm_forks()
if os.fork() == 0:
    os.setsid()  # as Ansible's workers do
    GentleRunner(grace={grace})(["/bin/sh", "-c", {script!r}])
time.sleep(60)
"""
STOPS = "trap 'kill $!; sleep 1; echo state > {0}/saved; exit 1' INT; touch {0}/begun; sleep 50 & wait"
DEAF = "trap 'echo INT >> {0}/heard' INT; touch {0}/begun; while :; do sleep 0.1; done"


def killed_controller(tmp_path: Path, script: str, grace: float) -> float:
    """Kill a controller whose worker is at a gentle program; return how long its warden then needs."""
    collections = str(Path(__file__).resolve().parents[7])
    code = CONTROLLER.format(collections=collections, grace=grace, script=script.format(tmp_path))
    main = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {warden.RUN_VARIABLE: "run-1"}, start_new_session=True
    )
    warden.start(orders(tmp_path, main.pid))
    plain = sleeper("run-1")
    until((tmp_path / "begun").exists, 30)
    main.kill()
    main.wait()
    started = time.monotonic()
    assert plain.wait(5) == -9
    assert time.monotonic() - started < 1, "what asks for no grace gets none"
    until(lambda: warden.lock_holder(tmp_path / "lock") == "")
    assert warden.marked("run-1") == {}
    assert json.loads((tmp_path / "journal").read_text().splitlines()[-1])["event"] == "killed"
    return time.monotonic() - started


def test_what_needs_a_grace_is_interrupted_once_and_waited_for(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text(json.dumps({"event": "phase"}) + "\n")
    assert 1 <= killed_controller(tmp_path, STOPS, 30) < 6
    assert (tmp_path / "saved").read_text() == "state\n"


def test_what_does_not_stop_in_its_grace_is_killed(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text(json.dumps({"event": "phase"}) + "\n")
    assert 2 <= killed_controller(tmp_path, DEAF, 2) < 6
    assert (tmp_path / "heard").read_text() == "INT\n", "a second one would make terraform leave its lock"


def test_what_outlives_the_leader_of_its_group_gets_no_grace() -> None:
    """A provider that terraform left is not at work any more."""
    script = f"{warden.RUN_VARIABLE}=run-y {warden.GRACE_VARIABLE}=60 sleep 60 &"
    subprocess.run(["/bin/sh", "-c", script], process_group=0, check=True)
    until(lambda: list(warden.marked("run-y").values()) == [60.0])
    started = time.monotonic()
    assert warden.kill_marked("run-y") == 1
    assert time.monotonic() - started < 2


def test_the_lease_is_kept_while_a_grace_lasts() -> None:
    env = {warden.RUN_VARIABLE: "run-z", warden.GRACE_VARIABLE: "1"}
    at_work = subprocess.Popen(["/bin/sleep", "60"], env=env, process_group=0)
    until(lambda: warden.marked("run-z") == {at_work.pid: 1.0})
    renewed: list[float] = []
    warden.kill_marked("run-z", seconds=0.5, meanwhile=lambda: renewed.append(time.monotonic()))
    assert at_work.wait(5) == -9
    assert len(renewed) > 3


def test_a_grace_that_is_no_number_is_none() -> None:
    odd = subprocess.Popen(["/bin/sleep", "60"], env={warden.RUN_VARIABLE: "run-w", warden.GRACE_VARIABLE: "long"})
    until(lambda: warden.marked("run-w") == {odd.pid: 0.0})
    warden.kill_marked("run-w")
    assert odd.wait(5) == -9


def test_the_lock_is_taken_once_and_its_holder_told(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert warden.lock_holder(lock) == ""
    holder = json.dumps({"pid": os.getpid()})
    file, told = warden.take_lock(lock, holder)
    assert file is not None
    assert told == holder
    assert warden.lock_holder(lock) == holder
    assert lock.stat().st_mode & 0o777 == 0o600
    assert warden.take_lock(lock, "{}") == (None, holder)
    file.close()
    assert warden.lock_holder(lock) == ""


def test_a_holder_that_is_gone_gets_time_to_clean_up(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    gone = sleeper()
    gone.kill()
    gone.wait()
    held, _ = warden.take_lock(lock, json.dumps({"pid": gone.pid}))
    assert held is not None
    started = time.monotonic()
    assert warden.take_lock(lock, "{}", grace=0.3)[0] is None
    assert time.monotonic() - started >= 0.3


def test_folders_that_nobody_holds_are_swept(tmp_path: Path) -> None:
    for name in ("kontrol-run-held", "kontrol-run-dead", "kontrol-run-new", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "kontrol-run-dead" / warden.OWNER_FILE).touch()
    (tmp_path / "kontrol-run-dead" / "kubeconfig").touch()
    with warden.hold_private(tmp_path / "kontrol-run-held"):
        assert warden.sweep_private(tmp_path) == ["kontrol-run-dead"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kontrol-run-held", "kontrol-run-new", "other"]


def test_it_renews_the_lease_as_ordered_and_gives_it_back(tmp_path: Path) -> None:
    lease, rounds, clock = FakeLease(), [0], [100.0]

    def gone(_seconds: float) -> bool:
        rounds[0] += 1
        clock[0] += 1
        if rounds[0] == 3:
            (tmp_path / "private" / warden.LEASE_ORDER).write_text(json.dumps({"renew_seconds": 4}))
        lease.broken = rounds[0] in {7, 8}  # one renewal fails: the next one is tried
        return rounds[0] > 20

    at_work = Warden(orders(tmp_path), lambda order: lease, gone, lambda: clock[0])  # type: ignore[arg-type, return-value]
    at_work.watch()
    assert lease.renewed == 3
    at_work.clean()
    assert lease.released == 1
    assert not (tmp_path / "private").exists()


def test_it_notes_a_kill_but_not_an_end_in_order(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for last, events in [("phase", ["phase", "killed"]), ("end", ["end"]), ("interrupted", ["interrupted"])]:
        journal.write_text(json.dumps({"event": last}) + "\n")
        Warden(orders(tmp_path), lambda order: FakeLease(), lambda _: True).clean()  # type: ignore[arg-type, return-value]
        assert [json.loads(line)["event"] for line in journal.read_text().splitlines()] == events


def test_it_cleans_up_even_when_every_step_fails(tmp_path: Path) -> None:
    given = orders(tmp_path)
    (tmp_path / "private" / warden.LEASE_ORDER).write_text("{")
    (tmp_path / "journal").write_text("no json\n")
    Warden(given, lambda order: FakeLease(), lambda _: True).clean()  # type: ignore[arg-type, return-value]
    assert not (tmp_path / "private").exists()


def test_a_started_warden_outlives_a_run_and_cleans_up(tmp_path: Path) -> None:
    main, child = sleeper(), sleeper("run-1")
    given = orders(tmp_path, main.pid)
    pid, answer = warden.start(given)
    assert answer == {"locked": True}
    assert os.getsid(pid) == pid
    assert warden.lock_holder(tmp_path / "lock") == given.holder
    assert warden.start(orders(tmp_path))[1] == {"locked": False, "holder": given.holder}
    (tmp_path / "private").mkdir(exist_ok=True)
    main.kill()
    main.wait()
    assert child.wait(5) == -9
    until(lambda: warden.lock_holder(tmp_path / "lock") == "" and not (tmp_path / "private").exists())


def test_a_warden_that_gives_no_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="gave no answer"):
        warden.start(orders(tmp_path))


def test_watching_without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    process = sleeper()
    gone = warden.watcher(process.pid, warden.process_start(process.pid))
    assert not gone(0.01)
    process.kill()
    process.wait()
    assert gone(0.01)


def test_watching_a_process_that_is_gone_or_another_one() -> None:
    process = sleeper()
    assert warden.watcher(process.pid, "1")(0.0)
    process.kill()
    process.wait()
    assert warden.watcher(process.pid, "1")(0.0)


def test_it_finds_the_lease_code_without_ansible(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        f"names = runpy.run_path({warden.__file__!r})\n"
        "names['_graft']()\n"
        "from ansible_collections.kontrol.platform.plugins.module_utils import api, lease\n"
        "assert 'ansible' not in sys.modules, 'slow'\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_main_answers_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = (tmp_path / "lock").open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    (tmp_path / "lock").write_text(json.dumps({"pid": os.getpid()}))
    done = subprocess.run(
        [sys.executable, "-I", warden.__file__],
        input=json.dumps(orders(tmp_path).__dict__),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["locked"] is False
    file.close()
