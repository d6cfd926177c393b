"""The plan of a region is written, and holds what would be done against what was reviewed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.action import plan as plugin
from ansible_collections.kontrol.platform.plugins.module_utils import plan, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

STEP = {"object": "Namespace a", "verb": "create", "known": "rendered", "component": "mesh", "content": {"x": "1"}}
Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Plan what was collected; returns the result of the action."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    action = object.__new__(plugin.ActionModule)

    def one(*steps: dict[str, Any], reviewed: str = "", protected: bool = False, failure: str = "") -> dict[str, Any]:
        collected = tmp_path / plan.COLLECTED
        collected.unlink(missing_ok=True)
        for step in steps:
            state.append_line(collected, step)
        args = {"region": "r", "private": str(tmp_path), "protected": protected, "reviewed": reviewed}
        args |= {"failure": failure}
        return action.execute(args, {})

    return one


def test_a_plan_is_written_in_three_forms_for_the_owner_alone(look: Look, tmp_path: Path) -> None:
    made = look(STEP)
    folder = tmp_path / "kontrol" / "r" / "plans" / made["hash"]
    assert sorted(one.name for one in folder.iterdir()) == ["plan.html", "plan.json", "plan.md"]
    assert {one.stat().st_mode & 0o077 for one in [folder, *folder.iterdir()]} == {0}
    assert plan.Plan.read(folder).hash == made["hash"]


def test_the_same_look_gives_the_same_hash(look: Look) -> None:
    assert look(STEP)["hash"] == look(STEP)["hash"]


def test_what_was_reviewed_is_let_through(look: Look) -> None:
    reviewed = look(STEP)["hash"]
    assert any("holds" in line for line in look(STEP, reviewed=reviewed[:12])["kontrol_lines"])
    assert any("true by now: create Namespace a" in line for line in look(reviewed=reviewed)["kontrol_lines"])


def test_what_was_not_reviewed_stops_with_all_that_differs(look: Look) -> None:
    reviewed = look(STEP)["hash"]
    others = [{**STEP, "content": {"x": "2"}}, {**STEP, "object": "Namespace b"}]
    with pytest.raises(KontrolError, match=r"(?s)nothing was written.*Namespace a: x is.*create Namespace b was"):
        look(*others, reviewed=reviewed)


def test_a_plan_that_is_refused_is_not_carried_out(look: Look) -> None:
    loss = {"object": "Cluster k", "verb": "delete", "known": "server"}
    with pytest.raises(KontrolError, match="is protected") as refused:
        look(loss, protected=True)
    assert any("REFUSED" in line for line in refused.value.result["kontrol_lines"])
    reviewed = look(loss)["hash"]
    with pytest.raises(KontrolError, match="is protected"):
        look(loss, protected=True, reviewed=reviewed)


def test_a_look_that_failed_makes_a_plan_that_is_shown_and_refused(look: Look) -> None:
    with pytest.raises(KontrolError, match="ended before its end: no room") as refused:
        look(STEP, failure="no room")
    assert any("create 1 Namespace" in line for line in refused.value.result["kontrol_lines"])
