from __future__ import annotations

import json

from ansible_collections.kontrol.platform.plugins.module_utils import drill, drill_view
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.drill_evidence import (
    FAULT_AT,
    HEARD,
    evidence,
)


def told(**more: object) -> dict[str, object]:
    found = evidence() | {"began": FAULT_AT - 60, "ended": FAULT_AT + 130, "versions": {"clickhouse": "ch:1"}}
    names = ("begin", "fault", "restore", "judge")
    moments = (FAULT_AT - 60, FAULT_AT, FAULT_AT + 40, FAULT_AT + 120)
    found["phases"] = [{"phase": name, "at": at} for name, at in zip(names, moments, strict=True)]
    found |= more
    return drill_view.result(found, HEARD, drill.judge(found, HEARD))


def test_the_result_tells_figures_definitions_and_times() -> None:
    result = told()
    assert (result["verdict"], result["rto_seconds"], result["rpo_seconds"]) == ("green", 120.0, 309.5)
    assert json.loads(json.dumps(result)) == result
    timeline = result["timeline"]
    assert isinstance(timeline, list)
    assert [(one["phase"], one["clock"], one["seconds"]) for one in timeline] == [
        ("begin", -60.0, 60.0),
        ("fault", 0.0, 40.0),
        ("restore", 40.0, 80.0),
        ("judge", 120.0, 10.0),
    ]


def test_a_red_drill_has_null_for_its_figures_and_says_why_on_the_screen() -> None:
    result = told(secrets_after="other")
    assert (result["rto_seconds"], result["rpo_seconds"]) == (None, None)
    lines = drill_view.lines(result, "runs/r1")
    assert "Drill of lab, fault database: RED" in lines
    assert "  red: passwords are the old ones (secret store): others than before" in lines
    assert any(line.startswith("  RTO not proven: ") for line in lines)


def test_the_page_shows_the_history_and_escapes_what_it_shows() -> None:
    red = told(failed={"phase": "restore", "message": "<script>alert(1)</script>"})
    green = told()
    page = drill_view.page(red, [drill_view.line(green), drill_view.line(red)])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<rect") == 4
    assert "r1: not proven, database, red" in page
    assert "r1: 120 s, database, green" in page


def test_bars_are_as_high_as_their_figures() -> None:
    history = [{**drill_view.line(told()), "rto_seconds": seconds} for seconds in (60.0, 120.0, None)]
    low, high, none = drill_view.bars(history, "rto_seconds")
    assert (low["height"] * 2, none["height"], none["known"]) == (high["height"], 0.0, False)


def test_a_drill_that_failed_before_its_first_phase_has_an_empty_timeline() -> None:
    red = told(phases=[], phase="begin", fault_at=None, failed={"phase": "begin", "message": "no cluster"})
    assert (red["timeline"], red["verdict"]) == ([], "red")
    assert "phase begin failed: no cluster" in drill_view.page(red, [drill_view.line(red)])


def test_the_history_is_told_in_one_line() -> None:
    green, red = drill_view.line(told()), drill_view.line(told(mode="prove", fault="", source="live"))
    assert drill_view.short(green) == f"r1 of {green['ended']}, database: green, RTO 120 s, RPO 309.5 s"
    assert drill_view.short(red).endswith(", prove: red, RTO not proven, RPO not proven")
