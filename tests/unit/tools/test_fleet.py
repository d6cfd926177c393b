"""Several regions at once: each by itself, none a success that did nothing, and a cancel leaves no child."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.harness import marked
from tools import fleet
from tools.fleet import CANCELED, FAILED, GO_ON, NO_STATISTICS, NOT_STARTED, OK, STOP, Fleet

HEAD = "- hosts: {hosts}\n  gather_facts: false\n  tasks:\n"
TOUCH = (
    "    - ansible.builtin.file: {path: '{{ playbook_dir }}/{{ inventory_hostname }}', state: touch, mode: '0600'}\n"
)
FAIL_B = "    - ansible.builtin.fail: {msg: no room}\n      when: inventory_hostname == 'b'\n"
SLEEP = "    - ansible.builtin.pause: {seconds: 60}\n"
OWN = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]}
QUIET = {
    **OWN,
    "ANSIBLE_CALLBACKS_ENABLED": "minimal",
}  # without the callback that lets workers die with the controller


@pytest.fixture
def make(tmp_path: Path) -> Fleet:
    """A fleet of regions a, b and c, each declared in a folder of its own; its playbook is written by the test."""
    inventories = {}
    for number, name in enumerate("abc", 1):
        inventories[name] = tmp_path / "inv" / name
        inventories[name].mkdir(parents=True)
        networks = f"{{pod_cidr: 10.{number}.0.0/16, service_cidr: 10.1{number}.0.0/16}}"
        text = f"region: {{name: {name}, driver: kind}}\ncluster: {networks}\n"
        (inventories[name] / "region.yml").write_text(text, encoding="utf-8")
    folder = tmp_path / "fleet"
    folder.mkdir()
    return Fleet(tmp_path / "play.yml", inventories, folder, environment=QUIET, say=lambda _line: None)


def play(made: Fleet, tasks: str, hosts: str = "regions") -> Fleet:
    made.playbook.write_text(HEAD.format(hosts=hosts) + tasks, encoding="utf-8")
    return made


def touched(made: Fleet) -> set[str]:
    return {one.name for one in made.playbook.parent.iterdir() if len(one.name) == 1}


def test_each_region_is_worked_on_by_itself(make: Fleet) -> None:
    outcomes = play(make, TOUCH).run(3)
    assert [(one.region, one.status, one.changed) for one in outcomes] == [("a", OK, 1), ("b", OK, 1), ("c", OK, 1)]
    assert touched(make) == {"a", "b", "c"}
    for name in "abc":
        (events,) = (make.folder / name / "artifacts").glob("*/job_events")
        text = "".join(file.read_text(encoding="utf-8") for file in events.glob("*.json"))
        assert f'"host": "{name}"' in text
        assert not any(f'"host": "{other}"' in text for other in "abc" if other != name)
    summary = json.loads((make.folder / "summary.json").read_text(encoding="utf-8"))
    assert [one["status"] for one in summary["regions"]] == [OK] * 3


@pytest.mark.parametrize(("policy", "last"), [(GO_ON, OK), (STOP, NOT_STARTED)])
def test_a_failure_stops_what_waits_only_where_that_was_asked_for(make: Fleet, policy: str, last: str) -> None:
    play(make, FAIL_B + TOUCH).policy = policy
    assert [one.status for one in make.run(1)] == [OK, FAILED, last]
    assert touched(make) == {"a"} | ({"c"} if last == OK else set())


def test_a_run_that_worked_on_nothing_is_no_success(make: Fleet) -> None:
    assert [one.status for one in play(make, TOUCH, hosts="nobody").run(3)] == [NO_STATISTICS] * 3


def test_a_spec_that_is_refused_is_a_failure_of_that_region(make: Fleet) -> None:
    (make.inventories["b"] / "region.yml").write_text("region: {name: b, driver: kid}\n", encoding="utf-8")
    assert {one.region: one.status for one in play(make, TOUCH).run(3)} == {"a": OK, "b": FAILED, "c": OK}


def test_the_environment_of_the_caller_is_not_kept(make: Fleet, tmp_path: Path) -> None:
    play(make, TOUCH)
    code = (
        "import pathlib; from tools import fleet\n"
        f"base = pathlib.Path({str(tmp_path)!r})\n"
        "fleet._forget_environment()\n"
        "made = fleet.Fleet(base / 'play.yml', {n: base / 'inv' / n for n in 'ab'}, base / 'fleet')\n"
        "print([one.status for one in made.run(2)])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(fleet.__file__).parents[1]), "SOME_TOKEN": "CANARY-77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert f"['{OK}', '{OK}']" in done.stdout
    kept = [file for file in make.folder.rglob("*") if file.is_file() and b"CANARY-77" in file.read_bytes()]
    assert kept == []


def test_the_summary_names_each_region_and_how_it_ended(make: Fleet) -> None:
    lines = fleet.table(play(make, FAIL_B + TOUCH).run(3))
    assert [" ".join(line.split()[:2]) for line in lines[2:]] == ["ok a", "failed b", "ok c"]


def test_a_cancel_ends_what_runs_starts_nothing_and_leaves_no_child(make: Fleet, tmp_path: Path) -> None:
    play(make, SLEEP)
    code = (
        "import sys, pathlib; from tools import fleet\n"
        f"base = pathlib.Path({str(tmp_path)!r})\n"
        "made = fleet.Fleet(base / 'play.yml', {n: base / 'inv' / n for n in 'abc'}, base / 'fleet', "
        f"environment={OWN!r} | {{'KONTROL_TEST_MARK': {str(tmp_path)!r}}})\n"
        "fleet._stop_on_signals(made)\n"
        "print('ready', flush=True)\n"
        "print([one.status for one in made.run(2)], flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(fleet.__file__).parents[1])}
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + 60
    while len([one for one in marked(str(tmp_path)) if "ansible-playbook" in one]) < 4 and time.monotonic() < end:
        time.sleep(0.2)  # two controllers, each with a worker
    running.send_signal(signal.SIGTERM)
    text, _errors = running.communicate(timeout=60)
    assert f"['{CANCELED}', '{CANCELED}', '{NOT_STARTED}']" in text
    end = time.monotonic() + 10
    while list(marked(str(tmp_path))) and time.monotonic() < end:
        time.sleep(0.2)
    assert list(marked(str(tmp_path))) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["verfy", "-i", "inventories"], "no playbook 'verfy'; did you mean \"verify\""),
        (
            ["verify", "-i", "inventories", "--limit", "locl"],
            "no host matches 'locl' of --limit; did you mean \"local\"",
        ),
        (["verify", "-i", "nowhere"], "No such file or folder"),
    ],
)
def test_what_matches_nothing_is_refused_before_anything_starts(arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit, match="Nothing was started") as refused:
        fleet.main(arguments)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("statuses", "stopped", "code"),
    [((OK, OK), False, 0), ((OK, FAILED), False, 1), ((OK, NO_STATISTICS), False, 1), ((OK, NOT_STARTED), True, 130)],
)
def test_the_command_tells_by_its_exit_code_how_the_fleet_ended(
    make: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statuses: tuple[str, ...],
    stopped: bool,
    code: int,
) -> None:
    told: list[tuple[list[str], list[str], int]] = []

    def run(one: Fleet, forks: int) -> list[fleet.Outcome]:
        told.append((sorted(one.inventories), list(one.arguments), forks))
        if stopped:
            signal.raise_signal(signal.SIGTERM)
        return [fleet.Outcome(name, status) for name, status in zip("ab", statuses, strict=True)]

    monkeypatch.setattr(Fleet, "run", run)
    monkeypatch.setattr(fleet, "_forget_environment", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        where = str(make.inventories["a"].parent)
        assert fleet.main(["verify", "-i", where, "--limit", "b,a", "--", "-e", "x=1"]) == code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told == [(["a", "b"], ["-e", "x=1"], 2)]
    assert ("Stopping: " in capsys.readouterr().out) == stopped
