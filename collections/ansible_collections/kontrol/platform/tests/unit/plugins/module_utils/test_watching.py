"""What Prometheus told is judged: whatever is missing is red."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import watching

SHIPPED = {"targets": [{"job": "db", "series": ["db_up", "db_rows"]}], "groups": ["db-alerts"]}
GREEN: dict[str, Any] = {
    "jobs": {"db": {"up": 1, "down": [], "series": ["db_up", "db_rows"]}},
    "groups": {"db-alerts": "", "someone-elses": "broken"},
    "without_series": [],
    "config_loaded": True,
    "alertmanagers": 1,
    "dead_man_age": 12.0,
}


def red(**change: Any) -> list[str]:
    return [one["check"] for one in watching.checks({**GREEN, **change}, SHIPPED, receiver=True) if not one["ok"]]


def test_all_as_it_should_be_is_green() -> None:
    assert red() == []


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"jobs": {"db": {"up": 0, "down": ["a: refused"], "series": ["db_up", "db_rows"]}}}, "target is up"),
        ({"jobs": {"db": {"up": 0, "down": [], "series": ["db_up", "db_rows"]}}}, "target is up"),
        ({"jobs": {"db": {"up": 1, "down": [], "series": ["db_up"]}}}, "target carries its series"),
        ({"groups": {}}, "rules are loaded and healthy"),
        ({"groups": {"db-alerts": "R: parse error"}}, "rules are loaded and healthy"),
        ({"without_series": ["db_upp (read by DbDown)"]}, "inputs of rules have series"),
        ({"without_series": None}, "inputs of rules have series"),
        ({"config_loaded": False}, "configuration is loaded"),
        ({"alertmanagers": 0}, "Prometheus reaches Alertmanager"),
        ({"alertmanagers": None}, "Prometheus reaches Alertmanager"),
        ({"dead_man_age": None}, "the alert that always fires arrives"),
        ({"dead_man_age": 181.0}, "the alert that always fires arrives"),
    ],
)
def test_each_fault_is_red_by_itself(change: dict[str, Any], check: str) -> None:
    assert red(**change) == [check]


def test_a_target_that_is_not_there_is_red_twice() -> None:
    assert red(jobs={}) == ["target is up", "target carries its series"]


def test_no_answer_is_red_in_all() -> None:
    assert all(not one["ok"] for one in watching.checks(None, SHIPPED, receiver=True))
    assert len(watching.checks(None, SHIPPED, receiver=True)) == 7


def test_nothing_shipped_is_no_pass() -> None:
    (rules,) = [one for one in watching.checks(GREEN, {"targets": [], "groups": []}, receiver=False) if not one["ok"]]
    assert rules["check"] == "rules are loaded and healthy"


def test_without_a_test_receiver_nobody_is_asked_about_it() -> None:
    names = [one["check"] for one in watching.checks(GREEN, SHIPPED, receiver=False)]
    assert "the alert that always fires arrives" not in names
