from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import memory, run_report, state
from ansible_collections.kontrol.platform.plugins.module_utils.run_record import RunRecord
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import reports

RUN = reports.RUN


def commands(**more: Any) -> list[str]:
    return [one["command"] for one in reports.whole(**more)["next"]]


def test_every_figure_has_its_definition() -> None:
    figures = {one["name"]: one for one in reports.whole()["figures"]}
    assert figures["duration"]["value"] == 70.4
    assert "when the playbook was read" in figures["duration"]["definition"]
    assert figures["slowest phase, clickhouse verify"]["value"] == 50.0
    assert (figures["changed objects"]["value"], figures["objects as declared"]["value"]) == (1, 2)
    assert (figures["green checks"]["value"], figures["green checks"]["unit"]) == (5, "of 7")
    assert (figures["peak memory"]["value"], figures["peak memory"]["unit"]) == (200.0, "MiB in 4 processes")
    assert "sampled each second" in figures["peak memory"]["definition"]
    assert all(one["definition"] for one in figures.values())


def test_nothing_unknown_gets_into_a_report() -> None:
    secret = {"password": "CANARY"}
    report = reports.whole(
        checks=[{"check": "a", "ok": True, **secret}],
        objects=[{"object": "a", "verb": "none", **secret}],
        failures=[{"task": "t", "message": "m", **secret}],
        **secret,
    )
    assert "CANARY" not in json.dumps(report)
    assert report["checks"][0] == {"component": "", "check": "a", "target": "", "expected": "", "seen": "", "ok": True}


def test_one_that_names_its_component_keeps_it() -> None:
    assert run_report.tagged({"check": "a", "component": "mesh"}, "region")["component"] == "mesh"
    assert run_report.tagged({"check": "a"}, "region")["component"] == "region"


VERIFY = "ansible-playbook -i inventories/r playbooks/verify.yml"
BOOTSTRAP = "ansible-playbook -i inventories/r playbooks/bootstrap.yml"
STATUS = "ansible-playbook -i inventories/r playbooks/status.yml"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "ok", "checks": []}, [VERIFY]),
        ({"status": "ok", "checks": [], "playbook": "verify", "command": VERIFY}, [VERIFY]),
        ({"status": "ok", "checks": [], "playbook": "decommission", "command": ""}, [BOOTSTRAP]),
        ({"status": "failed"}, ["", BOOTSTRAP]),
        ({"status": "failed", "checks": []}, [BOOTSTRAP]),
        ({"status": "killed"}, [BOOTSTRAP, STATUS]),
        ({"status": "interrupted", "command": ""}, [BOOTSTRAP, STATUS]),
    ],
)
def test_what_to_do_next(more: dict[str, Any], expected: list[str]) -> None:
    assert commands(**more) == expected


def test_the_next_command_names_the_same_region_and_place() -> None:
    command = "ansible-playbook --inventory '/a b/r' /p/bootstrap.yml --diff"
    assert commands(status="ok", checks=[], command=command) == ["ansible-playbook -i '/a b/r' /p/verify.yml"]
    command = "ansible-playbook -i x -i y bootstrap.yml"
    assert commands(status="ok", checks=[], command=command) == ["ansible-playbook -i x -i y verify.yml"]


def test_a_report_has_three_forms_for_the_owner_alone(tmp_path: Path) -> None:
    page = run_report.write(tmp_path, reports.whole())
    assert {one.name for one in tmp_path.iterdir()} == {"report.json", "report.html", "junit.xml"}
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in tmp_path.iterdir())
    assert page == tmp_path / "report.html"
    assert run_report.read(tmp_path) == reports.whole()
    assert ET.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"  # noqa: S314 - written by the line above


def test_an_older_report_is_read_with_its_record(tmp_path: Path) -> None:
    shared = {
        "run": RUN,
        "region": "r",
        "playbook": "bootstrap",
        "status": "ok",
        "started": "2026-11-25T05:05:11Z",
        "ended": "2026-11-25T05:06:19Z",
        "seconds": 68.2,
        "seconds_definition": "from an older start",
        "failures": [],
    }
    phases = [{"phase": "mesh deploy", "at": "2026-11-25T05:05:21Z", "seconds": 3.5}]
    objects = [{"object": "A", "verb": "create", "known": "server"}]
    check = {"check": "c", "target": "t", "expected": "e", "seen": "s", "ok": True}
    state.write_json(tmp_path / "record.json", {**shared, "phases": phases, "objects": objects})
    state.write_json(tmp_path / "report.json", {**shared, "checks": [check], "deviations": []})
    report = run_report.read(tmp_path)
    assert report is not None
    reports.valid(report)
    [phase] = report["phases"]
    assert (phase["component"], phase["verb"], phase["offset"], phase["seconds"]) == ("mesh", "deploy", 10.0, 3.5)
    assert report["figures"][0]["definition"] == "from an older start"
    assert [one["object"] for one in report["objects"]] == ["A"]
    assert run_report.page(tmp_path) == tmp_path / "report.html"


@pytest.mark.parametrize(
    ("last", "status"), [("killed", "killed"), ("interrupted", "interrupted"), ("", "killed"), ("end", "failed")]
)
def test_a_run_that_died_is_reported_from_its_journal(tmp_path: Path, last: str, status: str) -> None:
    folder = tmp_path / RUN
    folder.mkdir()
    run = RunRecord(RUN, "r", "bootstrap", folder, 0.0, lambda: 0.0, {"command": "a", "by": {"user": "u"}})
    run.deviations = {"istio": "another build"}
    run.target = {"driver": "kind"}
    run.begin(7)
    run.enter("mesh deploy")
    run.reach({"api_server": "https://x", "ca_sha256": "ab"})
    run.add({"kontrol_objects": [{"object": "A", "verb": "create"}, {"object": "B", "verb": "none"}]}, "mesh")
    run.enter("mesh verify")
    run.add({"kontrol_checks": [{"check": "c", "target": "t", "ok": False}]}, "mesh")
    run.fail("a task", "a message", "mesh")
    if last:
        state.append_line(folder / "journal.jsonl", {"event": last, "at": "2099-01-01T00:00:00Z", "status": "failed"})
    page = run_report.page(folder)
    assert page is not None
    assert "mesh verify" in page.read_text(encoding="utf-8")
    report = reports.valid(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    assert (report["status"], report["run"], report["by"]) == (status, RUN, {"user": "u"})
    assert report["target"] == {"driver": "kind", "api_server": "https://x", "ca_sha256": "ab"}
    assert report["deviations"] == [{"artifact": "istio", "deviation": "another build"}]
    assert [f"{one['component']} {one['verb']}" for one in report["phases"]] == ["mesh deploy", "mesh verify"]
    assert [(one["component"], one["verb"], one["object"]) for one in report["objects"]] == [("mesh", "create", "A")]
    assert [(one["component"], one["check"], one["ok"]) for one in report["checks"]] == [("mesh", "c", False)]
    assert report["failures"] == [{"component": "mesh", "task": "a task", "message": "a message"}]
    assert "journal" in report["figures"][0]["definition"]


def test_a_journal_of_an_older_version_is_enough(tmp_path: Path) -> None:
    at = "2026-11-25T05:05:11Z"
    for line in (
        {"event": "run", "at": at, "run": RUN, "region": "r", "playbook": "bootstrap", "pid": 1},
        {"event": "phase", "phase": "mesh deploy", "at": "2026-11-25T05:05:21Z"},
        {"event": "objects", "at": at, "changed": ["create Namespace a"]},
        {"event": "killed", "at": "2026-11-25T05:05:31Z", "children_killed": 2},
    ):
        state.append_line(tmp_path / "journal.jsonl", line)
    report = run_report.read(tmp_path)
    assert report is not None
    assert (report["seconds"], report["phases"][0]["offset"], report["phases"][0]["seconds"]) == (20.0, 10.0, 10.0)
    assert report["objects"] == [{"component": "", "object": "Namespace a", "verb": "create", "known": "server"}]


def test_of_a_folder_without_anything_nothing_is_told(tmp_path: Path) -> None:
    assert run_report.read(tmp_path) is None
    assert run_report.page(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_times_that_are_missing_count_as_none() -> None:
    report = run_report.complete({"phases": [{"phase": "a b", "at": ""}], "started": "x"}, memory.Peak(1))
    assert report["phases"][0]["offset"] == 0.0
    assert [one["name"] for one in report["figures"]][-1] == "green checks", "no memory without a sample"
