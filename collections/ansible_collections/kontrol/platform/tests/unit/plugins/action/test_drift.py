"""Drift fails, a look that ended early is unreachable, and neither is taken for the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.action import drift as plugin
from ansible_collections.kontrol.platform.plugins.module_utils import plan, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

GONE = {"object": "Service a/b", "verb": "create", "known": "server", "component": "mesh"}
SAME = {**GONE, "verb": "none"}


def judged(folder: Path, *verdicts: dict[str, Any], failure: str = "") -> dict[str, Any]:
    for one in verdicts:
        state.append_line(folder / plan.COLLECTED, one)
    action = object.__new__(plugin.ActionModule)
    return action.execute({"region": "r", "private": str(folder), "failure": failure}, {})


def test_as_declared_is_green(tmp_path: Path) -> None:
    assert judged(tmp_path, SAME)["kontrol_lines"] == ["Region r is as declared"]


def test_drift_fails_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KontrolError, match="1 of region 'r' not as declared") as failed:
        judged(tmp_path, SAME, GONE)
    assert failed.value.result["drift"][0]["target"] == "Service a/b"


def test_a_stopped_cluster_is_drift_and_what_is_in_it_is_not_called_missing(tmp_path: Path) -> None:
    stopped = {"object": "Cluster k", "verb": "update", "known": "server", "component": "cluster"}
    with pytest.raises(KontrolError, match="1 of region 'r' not as declared; Cluster k is stopped") as failed:
        judged(tmp_path, stopped, {**GONE, "known": "rendered"})
    assert [one["target"] for one in failed.value.result["drift"]] == ["Cluster k"]


def test_what_could_not_be_looked_at_is_not_called_drift(tmp_path: Path) -> None:
    result = judged(tmp_path, SAME, failure="no answer")
    assert result["unreachable"]
    assert "no answer" in result["msg"]
