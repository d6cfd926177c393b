"""What is told of backups, and which of them make the run red."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.action.backup_table import ActionModule
from ansible_collections.kontrol.platform.plugins.module_utils import backup_lists

NOW = 1_800_000_000.0


def backup(name: str, hours: float = 1, base: str = "", problem: str = "", *, known: bool = True) -> dict[str, Any]:
    started = NOW - hours * 3600
    facts = {"started": started, "made": started + 12.5, "seconds": 12.5, "bytes": 4096}
    nothing = {"started": 0.0, "made": 0.0, "seconds": 0.0, "bytes": 0}
    return {"id": name, "base": base, "problem": problem, **(facts if known else nothing)}


GOOD = {"backups": [backup("b2", 3, "b1"), backup("b1", 72)], "newest": "b2"}
MAKING = {"backups": [backup("b3", problem="it has no manifest", known=False), *GOOD["backups"]], "newest": "b2"}
DAMAGED = {"backups": [backup("b2", 3, problem="the store holds 0 objects"), backup("b1", 72)], "newest": "b1"}


def play(lists: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    task = SimpleNamespace(
        args={"lists": lists}, action="backup_table", check_mode=check, diff=False, async_val=0, environment=[]
    )
    action = ActionModule(task, None, None, None, None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ansible.plugins.action.ActionBase.run", lambda self, tmp, task_vars: {})
        result: dict[str, Any] = action.run(None, {})
    return result


def test_the_table_marks_the_newest_good_one_and_tells_what_is_wrong() -> None:
    told = backup_lists.lines({"neo4j": {"backups": [], "newest": ""}, "clickhouse": DAMAGED}, NOW)
    assert told[1] == "Backups of clickhouse, the newest first:"
    assert [line.split()[:4] for line in told[4:6]] == [["FAIL", "b2", "3.0", "h"], ["newest", "b1", "3.0", "d"]]
    assert "the store holds 0 objects" in told[4]
    assert told[-2:] == ["Backups of neo4j, the newest first:", "  none"]


def test_good_ones_are_green_with_their_figures() -> None:
    newest, *each = backup_lists.checks(GOOD, NOW)
    assert (newest["target"], newest["ok"]) == ("b2", True)
    assert newest["seen"] == "3.0 h old, 4096 bytes, made in 12.5 s, builds on b1"
    assert [(one["target"], one["ok"]) for one in each] == [("b2", True), ("b1", True)]


def test_one_that_was_never_complete_is_an_exception_and_a_damaged_one_is_red() -> None:
    making = backup_lists.checks(MAKING, NOW)[1]
    assert (making["ok"], making["owner"], making["seen"]) == (True, "backups", "it has no manifest")
    damaged = backup_lists.checks(DAMAGED, NOW)[1]
    assert (damaged["ok"], damaged["target"]) == (False, "b2")
    assert "owner" not in damaged


def test_a_region_with_good_backups_is_green() -> None:
    result = play({"clickhouse": GOOD, "neo4j": MAKING})
    assert not result.get("failed")
    assert {one["component"] for one in result["kontrol_checks"]} == {"clickhouse", "neo4j"}
    assert any("b3" in line for line in result["kontrol_lines"])


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ({"clickhouse": DAMAGED, "neo4j": GOOD}, "clickhouse b2: the store holds 0 objects"),
        ({"clickhouse": GOOD, "neo4j": {"backups": [], "newest": ""}}, "neo4j any: none"),
        ({}, "No component of this region"),
    ],
)
def test_a_damaged_one_and_none_at_all_are_red_with_the_table(lists: dict[str, Any], why: str) -> None:
    result = play(lists)
    assert result["failed"]
    assert why in result["msg"]
    assert bool(result.get("kontrol_lines")) == bool(lists)


def test_check_mode_reads_nothing() -> None:
    result = play({}, check=True)
    assert (result["skipped"], result["changed"]) == (True, False)
