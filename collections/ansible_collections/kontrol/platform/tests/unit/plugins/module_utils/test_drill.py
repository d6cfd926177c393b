"""Every way in which a drill could look like a success without having proven recovery: each is red, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ansible_collections.kontrol.platform.plugins.module_utils import drill, paths
from ansible_collections.kontrol.platform.plugins.module_utils.drill import Acknowledged, Evidence
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.drill_evidence import (
    FAULT_AT,
    HEARD,
    evidence,
)


def test_a_drill_in_which_all_went_well_is_green_with_both_figures() -> None:
    verdict = drill.judge(evidence(), HEARD)
    assert verdict.ok, verdict.reasons
    assert (verdict.rto, verdict.rpo) == (120.0, 309.5)
    assert verdict.rpo_by_database == {"clickhouse": 300.0, "neo4j": 309.5}
    assert verdict.worst == {"clickhouse": 500.0, "neo4j": 500.0}


Sabotage = Callable[[Evidence], Any]
SABOTAGE: dict[str, tuple[Sabotage, str]] = {
    "nothing was destroyed": (
        lambda e: e["emptied"]["clickhouse"].update(rows=500),
        "the target was empty before the restore (clickhouse): 500 rows",
    ),
    "the canaries were not destroyed": (
        lambda e: e["emptied"]["clickhouse"].update(count=60),
        "the target was empty before the restore (clickhouse): 0 rows, 60 canaries",
    ),
    "the heartbeat was not destroyed": (
        lambda e: e["emptied"]["neo4j"].update(heartbeat=FAULT_AT - 2),
        "the target was empty before the restore (neo4j): 0 rows, 0 canaries, 1 heartbeats",
    ),
    "nobody looked whether it was empty": (
        lambda e: e["emptied"].pop("neo4j"),
        "the target was empty before the restore (neo4j): it was not looked at",
    ),
    "there was nothing to lose": (
        lambda e: e["before"]["neo4j"].update(rows=0),
        "there was data before the fault (neo4j): 0 rows",
    ),
    "another backup came back": (
        lambda e: e["restored"]["clickhouse"].update(id="clickhouse-6"),
        "that backup was restored (clickhouse): backup clickhouse-6",
    ),
    "one database was not restored": (
        lambda e: e["restored"].pop("neo4j"),
        "that backup was restored (neo4j): backup None",
    ),
    "nothing was compared": (
        lambda e: e["restored"]["clickhouse"].update(compared=0),
        "what came back equals the backup (clickhouse): 0 compared",
    ),
    "a table was never in the backup": (
        lambda e: e["after"]["clickhouse"]["kinds"].pop("b"),
        "nothing is missing as a whole (clickhouse): nothing came back of b",
    ),
    "rows are missing in the middle": (
        lambda e: e["recovered"]["clickhouse"].update(missing=[3, 4]),
        "canaries came back in a row (clickhouse): 2 missing before the last one",
    ),
    "nothing tells how much was lost": (
        lambda e: e["recovered"]["neo4j"].update(heartbeat=None),
        "something shows how much was lost (neo4j): none came back",
    ),
    "the passwords are others": (
        lambda e: e.update(secrets_after="t"),
        "passwords are the old ones (secret store): others than before",
    ),
    "nobody looked at the passwords": (
        lambda e: e.pop("secrets_after"),
        "passwords are the old ones (secret store): not looked at",
    ),
    "verify was not green": (
        lambda e: e.pop("verified_at"),
        "the region was verified after it (drill): not verified",
    ),
    "verify did not look at a database": (
        lambda e: e["verified"].pop("neo4j"),
        "the region was verified after it (drill): verify made no check of neo4j",
    ),
    "a phase failed": (
        lambda e: e.update(failed={"phase": "restore", "message": "no such backup"}),
        "every phase was done (drill): phase restore failed: no such backup",
    ),
    "there is no database": (
        lambda e: e.update(databases=[]),
        "there was something to recover (drill): no database",
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_drill_that_proved_nothing_is_red_and_claims_nothing(name: str) -> None:
    found = evidence()
    sabotage, reason = SABOTAGE[name]
    sabotage(found)
    verdict = drill.judge(found, HEARD)
    assert (verdict.ok, verdict.proven, verdict.rto, verdict.rpo, verdict.rpo_by_database) == (
        False,
        False,
        None,
        None,
        {},
    )
    told, *_others = verdict.reasons
    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("done", "phase", "problem"),
    [
        ([], "precheck", ""),
        (["precheck"], "restore", ""),
        (["restore"], "fault", "phase 'fault' does not come after 'restore'"),
        (["fault"], "fault", "phase 'fault' does not come after 'fault'"),
        (["fault"], "celebrate", "phase 'celebrate' is not known"),
    ],
)
def test_phases_have_an_order(done: list[str], phase: str, problem: str) -> None:
    found = {"phases": [{"phase": name, "at": 1.0} for name in done]}
    told = drill.out_of_order(found, phase)
    assert told.startswith(problem)
    assert bool(told) == bool(problem)


def test_the_checks_of_the_last_verify_count() -> None:
    journal: list[dict[str, Any]] = [
        {"event": "phase", "phase": "region verify_all"},
        {"event": "checks", "checks": [{"component": "neo4j"}]},
        {"event": "phase", "phase": "drill compare"},
        {"event": "phase", "phase": "region verify_all"},
        {"event": "phase", "phase": "clickhouse verify"},
        {"event": "checks", "checks": [{"component": "clickhouse"}, {"component": "clickhouse"}]},
        {"event": "phase", "phase": "region verify_all"},
    ]
    assert drill.checks_made(journal) == {"clickhouse": 2}
    assert drill.checks_made(journal[:1]) == {}
    assert drill.checks_made([]) == {}


def test_where_a_phase_failed_that_is_the_reason() -> None:
    found = {**evidence(), "failed": {"phase": "restore", "message": "no route"}, "recovered": {}, "after": {}}
    assert drill.judge(found, HEARD).reasons == ["every phase was done (drill): phase restore failed: no route"]


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (Acknowledged(), "canaries were acknowledged (clickhouse): 0 of them"),
        (Acknowledged(2, FAULT_AT - 1, 2), "canaries were acknowledged (clickhouse): 2 of them"),
        (
            Acknowledged(60, FAULT_AT - 40, 60),
            "canaries ran until the fault (clickhouse): the last one 40.0 s before it",
        ),
    ],
)
def test_canaries_that_nobody_heard_prove_nothing(heard: Acknowledged, reason: str) -> None:
    verdict = drill.judge(evidence(), {**HEARD, "clickhouse": heard})
    assert reason in verdict.reasons
    assert verdict.rpo is None


def test_what_was_acknowledged_while_the_fault_happened_counts_as_lost() -> None:
    late = {**HEARD, "clickhouse": Acknowledged(70, FAULT_AT + 6, 70)}
    assert drill.judge(evidence(), late).rpo_by_database["clickhouse"] == 307.0


class TestPod:
    """A fault that destroys nothing: nothing at all may be missing."""

    def found(self) -> Evidence:
        found = evidence("pod")
        for part in ("emptied", "restored"):
            found.pop(part)
        for name, heard in HEARD.items():
            found["recovered"][name] = {"missing": [], "last_seq": heard.last_seq, "last_written": heard.last}
        return found

    def test_green_with_nothing_lost(self) -> None:
        verdict = drill.judge(self.found(), HEARD)
        assert (verdict.ok, verdict.rpo, verdict.rto) == (True, 0.0, 120.0), verdict.reasons

    def test_an_acknowledged_canary_that_is_lost_is_red(self) -> None:
        found = self.found()
        found["recovered"]["neo4j"]["last_seq"] -= 1
        (reason,) = drill.judge(found, HEARD).reasons
        assert reason == "nothing that was acknowledged is lost (neo4j): up to 57, 0 missing"

    def test_a_pod_that_was_never_killed_is_red(self) -> None:
        found = self.found()
        found["hit"]["clickhouse"]["after"] = "u1"
        (reason,) = drill.judge(found, HEARD).reasons
        assert reason.startswith("the pod is another one (clickhouse)")


class TestProve:
    """A backup of another region, restored into an empty one."""

    def found(self) -> Evidence:
        found = evidence("")
        found |= {"mode": "prove", "source": "live", "ordered_at": FAULT_AT, "source_before": "f", "source_after": "f"}
        for part in ("fault_at", "before", "hit", "secrets_before", "secrets_after"):
            found.pop(part)
        return found

    def test_green_and_its_clock_starts_at_the_order(self) -> None:
        verdict = drill.judge(self.found(), {})
        assert (verdict.ok, verdict.rto, verdict.rpo) == (True, 120.0, 310.0), verdict.reasons

    def test_a_source_that_was_written_is_red(self) -> None:
        (reason,) = drill.judge({**self.found(), "source_after": "g"}, {}).reasons
        assert reason == "the source was not written (live): its files have changed"

    def test_a_sandbox_that_was_not_empty_is_red(self) -> None:
        found = self.found()
        found["emptied"]["clickhouse"]["rows"] = 3
        assert not drill.judge(found, {}).proven


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ({"rto": 119.0, "rpo": 900.0}, "RTO within its target (region): 120 s"),
        ({"rto": 600.0, "rpo": 309.0}, "RPO within its target (region): 309.5 s"),
    ],
)
def test_a_missed_target_is_red_but_its_figures_are_proven(targets: dict[str, float], reason: str) -> None:
    verdict = drill.judge({**evidence(), "targets": targets}, HEARD)
    assert (verdict.ok, verdict.proven, verdict.reasons, verdict.rto) == (False, True, [reason], 120.0)


class TestRefusal:
    """What stops a drill before anything is broken."""

    def test_nothing_stops_it(self) -> None:
        assert drill.refusal(evidence(), FAULT_AT) == []

    def test_everything_is_told_at_once(self) -> None:
        found = evidence()
        found["backups"] = {"clickhouse": {"id": "c", "started": FAULT_AT - 901}}
        found["before"]["clickhouse"]["rows"] = 0
        stale, empty, none = drill.refusal(found, FAULT_AT)
        assert stale.startswith(
            "the newest good backup of clickhouse, 'c', is 15 min old and the target of the RPO is 15 min"
        )
        assert empty == "clickhouse holds no data, so nothing could be proven"
        assert none == "neo4j has no good backup; run playbooks/backup.yml"

    def test_a_sandbox_with_data_is_refused(self) -> None:
        found = {**evidence(""), "mode": "prove"}
        assert "clickhouse of the sandbox holds 500 rows" in drill.refusal(found, FAULT_AT)[0]

    def test_a_volume_without_room_for_the_backup_is_refused(self) -> None:
        found = evidence()
        found["backups"]["clickhouse"]["size"] = found["backups"]["neo4j"]["size"] = 5_000_000
        found["room"] = {
            "clickhouse": {"free": 3_000_000, "held": 2_000_000},
            "neo4j": {"free": 9_000_000, "held": 9_000_000},
        }
        assert drill.refusal(found, FAULT_AT) == []
        found["room"]["clickhouse"]["free"] -= 1
        found["room"]["neo4j"]["free"] -= 1_000_000  # a load lies beside the graph that is there
        assert [one.partition(";")[0] for one in drill.refusal(found, FAULT_AT)] == [
            "a restore of clickhouse needs 5 MB and its volume has room for 5 MB",
            "a restore of neo4j needs 9 MB and its volume has room for 8 MB",
        ]
        assert drill.refusal({**found, "fault": "pod"}, FAULT_AT) == []

    def test_no_database(self) -> None:
        assert drill.refusal({**evidence(), "databases": []}, FAULT_AT) == [
            "the region has no component that holds data"
        ]


def test_only_good_backups_are_chosen_and_counted() -> None:
    told = {
        "backups": [
            {"id": "new", "started": 30.0, "problem": "it has no manifest"},
            {"id": "good", "started": 20.0, "problem": "", "base": "old", "bytes": 5},
            {"id": "old", "started": 10.0, "problem": "", "base": "", "bytes": 100},
        ]
    }
    found = drill.backups_of({"clickhouse": told, "neo4j": {"backups": []}})
    assert drill.chosen(found) == {"clickhouse": "good"}
    assert found["backups"]["clickhouse"]["size"] == 105
    assert found["history"] == {"clickhouse": [20.0, 10.0], "neo4j": []}


@pytest.mark.parametrize(
    ("fault", "phase", "mend"),
    [
        ("database", "precheck", ""),
        ("database", "fault", "restore"),
        ("cluster", "rebuild", "restore"),
        ("volume", "empty", "restore"),
        ("namespaces", "restore", "restore"),
        ("database", "compare", "deploy"),
        ("cluster", "verify", "deploy"),
        ("pod", "fault", "deploy"),
    ],
)
def test_what_a_killed_drill_has_left_is_known(fault: str, phase: str, mend: str) -> None:
    left = {**evidence(fault), "phase": phase}
    if phase == "precheck":
        left.pop("fault_at")
    assert drill.mending(left) == mend
    line = drill.told(left)
    assert f"({fault}) was in phase {phase}" in line
    assert ("nothing was destroyed yet" in line) == (not mend)
    assert "run dr_drill again" in line


def test_a_failed_verify_does_not_hide_what_did_not_come_back() -> None:
    found = evidence()
    found["after"]["clickhouse"]["kinds"].pop("b")
    found["failed"] = {"phase": "verify", "message": "1 of 9 checks"}
    del found["verified_at"]
    reasons = drill.judge(found, HEARD).reasons
    assert reasons[0].startswith("every phase was done (drill): phase verify failed: 1 of 9 checks")
    assert "nothing is missing as a whole (clickhouse): nothing came back of b" in reasons
    found["failed"] = {"phase": "restore", "message": "no such backup"}
    assert len(drill.judge(found, HEARD).reasons) == 1


def test_a_database_of_which_nothing_tells_that_it_was_restored_is_named() -> None:
    found = evidence()
    assert drill.unrestored(found) == []
    found["restored"] = {"clickhouse": {"id": "clickhouse-7"}}
    assert drill.unrestored(found) == ["neo4j"]


def test_a_drill_that_has_not_mended_what_was_left_owes_that() -> None:
    broken = {**evidence(), "phase": "restore"}
    mending = {**evidence(), "run": "r2", "phase": "begin", "fault_at": None, "left": broken}
    assert drill.owed(broken) == drill.owed(mending) == broken
    assert "its data may be gone" in drill.told(mending)
    assert drill.owed({**mending, "left": {}}) == drill.owed({}) == {}
    assert "nothing was destroyed yet" in drill.told({**mending, "left": {}})


def phases_begun(part: str) -> list[str]:
    """The phases that a verb of the role drill begins, in their order."""
    tasks = yaml.safe_load((paths.project_root() / "roles" / "drill" / "tasks" / f"{part}.yml").read_text("utf-8"))
    steps = [task.get("kontrol.platform.drill") or {} for task in tasks]
    return [step["phase"] for step in steps if step.get("verb") == "phase"]


@pytest.mark.parametrize(("mode", "fault"), [*(("practice", fault) for fault in drill.FAULTS), ("prove", "")])
def test_the_parts_of_a_drill_are_verbs_of_its_role_and_begin_phases_in_their_order(mode: str, fault: str) -> None:
    begun: list[str] = []
    for part in drill.parts_of(mode, fault):
        for phase in phases_begun(part):
            assert drill.out_of_order({"phases": [{"phase": one} for one in begun]}, phase) == ""
            begun.append(phase)
    restored = {"restore", "compare"} <= set(begun)
    assert restored == (mode == "prove" or drill.FAULTS[fault].destroys)
    assert ("fault" in begun) == (mode == "practice")
    assert begun[-2:] == ["verify", "judge"]


def test_the_runbook_tells_of_every_fault_and_phase_what_the_table_of_faults_says() -> None:
    text = (paths.project_root() / "docs" / "runbooks" / "dr_drill.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    told = {row[0].strip("`"): row for row in rows if row[0].startswith("`")}
    assert list(told) == list(drill.FAULTS)
    for name, fault in drill.FAULTS.items():
        _name, breaks, rebuild, restore = told[name]
        assert breaks == fault.breaks
        assert rebuild == ("bootstrap" if fault.rebuilds else "waits")
        assert restore.startswith("yes" if fault.destroys else "no")
    assert [row[0] for row in rows if len(row) == 2 and row[0] in drill.PHASES] == list(drill.PHASES)
