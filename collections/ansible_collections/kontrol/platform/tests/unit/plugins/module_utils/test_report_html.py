from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import report_html
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import reports

VOID = {"meta", "br", "rect"}


class Page(HTMLParser):
    """Elements, attributes and texts of a page; fails on a page whose elements are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        names = {"kind" if key == "kind" else key: value for key, value in wanted.items()}
        return [attrs for name, attrs in self.elements if name == tag and names.items() <= attrs.items()]


def page(**more: Any) -> Page:
    return Page(report_html.render(reports.whole(**more)))


def test_a_stranger_sees_what_happened_before_anything_else() -> None:
    text = page().text
    first = text[: text.index("Timeline")]
    for word in (
        "bootstrap of region r failed", "someone@here", "1 min 10 s", "1 object", "1 cluster, 2 as declared", "2 red",
        "5 of 7 green", "1 deviation", "kind https://127.0.0.1:1",
        "disk: n", "expected free, seen full", "port, outside the mesh: db-0:2", "200.0 MiB",
        "ansible-playbook -i inventories/r playbooks/bootstrap.yml",
    ):  # fmt: skip
        assert word in first, word


def test_hostile_values_stay_text() -> None:
    html = report_html.render(reports.hostile())
    found = Page(html)
    assert {name for name, _attrs in found.elements}.isdisjoint(
        {"script", "img", "iframe", "object", "link", "a", "base"}
    )
    assert all(not key.startswith("on") for _name, attrs in found.elements for key in attrs)
    assert html.count("<script") == 0
    assert '<script>alert("x")</script>' in found.text


def test_nothing_is_fetched_and_no_script_can_run() -> None:
    html = report_html.render(reports.whole())
    found = Page(html)
    asked = {"src", "href", "srcset", "data", "action", "poster", "style"}
    assert [attrs for _name, attrs in found.elements if asked & attrs.keys()] == []
    assert re.findall(r"url\(|@import|https?://(?!127\.0\.0\.1)", html) == []
    [policy] = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; ")
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy["content"], "the page would have no style"


def test_the_matrix_is_a_table_of_ports_and_places_red_rows_first() -> None:
    report = reports.whole()
    rows = report_html.view(report)["matrix"]
    assert [(row["target"], row["red"]) for row in rows] == [("db-0:2", True), ("db-0:1", False), ("db-0:15021", False)]
    cells = {(row["target"], place): cell["text"] for row in rows for place, cell in row["cells"].items()}
    assert cells == {
        ("db-0:2", "outside"): "open 200",
        ("db-0:1", "outside"): "refused",
        ("db-0:1", "denied"): "refused",
        ("db-0:1", "allowed"): "answers",
        ("db-0:15021", "outside"): "by design",
    }
    found = page()
    assert len(found.all("th", scope="row")) == 3
    assert "the kubelet has no certificate" in found.text


def test_a_check_may_name_its_place_itself() -> None:
    check = {"component": "x", "check": "port", "target": "a:1", "expected": "refused", "seen": "reset", "ok": True}
    [row] = report_html.view(reports.whole(checks=[{**check, "place": "denied"}]))["matrix"]
    assert list(row["cells"]) == ["denied"]


def test_the_cells_of_a_row_may_come_from_several_components() -> None:
    outside = reports.cell("db/db-0:1", "outside", "refused by the mesh", "reset")
    allowed = reports.cell("db/db-0:1", "allowed", "answers 200", "open 200")
    [row] = report_html.view(reports.whole(checks=[{**outside, "component": "mesh"}, allowed]))["matrix"]
    assert list(row["cells"]) == ["outside", "allowed"]


def test_failed_checks_come_first() -> None:
    groups = report_html.view(reports.whole())["checks"]
    assert [(name, [one["ok"] for one in ones]) for name, ones in groups] == [
        ("cluster", [False, True]),
        ("clickhouse", [False]),
    ], "a green cell of the matrix is not told twice, a red one is told with what was expected"


def test_bars_stand_where_their_phase_ran() -> None:
    rows = report_html.view(reports.whole())["timeline"]["rows"]
    assert [(row["component"], row["text"]) for row in rows] == [("cluster", "20.0 s"), ("clickhouse", "50.0 s")]
    [only] = rows[1]["bars"]
    assert only["x"] == pytest.approx(20.4 / 70.4 * 1000, abs=0.1)
    assert only["x"] + only["width"] == pytest.approx(1000, abs=0.2)
    assert only["kind"] == "verify"


@pytest.mark.parametrize(("seconds", "last"), [(70.4, "70 s"), (0.9, "0.9 s")])
def test_the_axis_ends_with_the_run(seconds: float, last: str) -> None:
    phases = [{"phase": "mesh deploy", "at": "", "offset": 0, "seconds": seconds}]
    timeline = report_html.view(reports.whole(seconds=seconds, phases=phases))["timeline"]
    assert (len(timeline["ticks"]), timeline["ticks"][-1]) == (5, last)


def test_what_an_older_journal_does_not_tell_is_not_claimed() -> None:
    def names(**more: Any) -> list[str]:
        return [one["name"] for one in report_html.view(reports.whole(**more))["tiles"]]

    assert "lab" in names(deviations=[])
    assert "lab" not in names(deviations=[], by={})


def test_a_phase_of_no_time_can_be_seen() -> None:
    phases = [{"phase": "mesh remove", "at": "", "offset": 1, "seconds": 0}]
    [row] = report_html.view(reports.whole(phases=phases))["timeline"]["rows"]
    assert (row["bars"][0]["width"], row["bars"][0]["kind"]) == (report_html.THINNEST, "other")


def test_changes_are_grouped_by_component_those_without_last() -> None:
    groups = report_html.view(reports.whole())["changes"]
    assert [(one["component"], one["counts"], one["same"]) for one in groups] == [
        ("cluster", "1 create", 1),
        ("mesh", "nothing changed", 1),
    ]
    same = [{"component": "mesh", "object": "a", "verb": "none"}]
    assert "Nothing was changed: all 1 objects are as declared" in page(objects=same).text
    assert "No object was looked at" in page(objects=[]).text


def test_the_first_screen_does_not_repeat_red_checks_as_failed_tasks() -> None:
    reds = report_html.view(reports.whole())["reds"]
    assert [one["where"] for one in reds["lines"]] == ["cluster", "clickhouse"]
    failure = {"component": "mesh", "task": "Apply", "message": "m" * 5000}
    [line] = report_html.view(reports.whole(checks=[], failures=[failure]))["reds"]["lines"]
    assert (line["where"], line["what"], len(line["why"])) == ("mesh", "Apply", 404)


def test_many_reds_are_counted() -> None:
    check = {"component": "x", "check": "c", "target": "t", "expected": "e", "seen": "s", "ok": False}
    reds = report_html.view(reports.whole(checks=[check] * 10))["reds"]
    assert (len(reds["lines"]), reds["more"]) == (6, 4)


@pytest.mark.parametrize(
    ("status", "told"),
    [("ok", "succeeded"), ("failed", "failed"), ("interrupted", "was interrupted"), ("killed", "was killed")],
)
def test_the_verdict_is_a_sentence(status: str, told: str) -> None:
    assert f"bootstrap of region r {told}" in page(status=status).text


def test_a_run_that_did_not_get_through_tells_where_it_stood() -> None:
    assert "bootstrap of region r was killed in clickhouse verify" in page(status="killed", checks=[]).text
    failure = {"component": "mesh", "task": "mesh : Apply", "message": "m"}
    assert "mesh Apply m" in page(checks=[], failures=[failure]).text


def test_what_ran_on_what() -> None:
    text = page().text
    for fact in (
        "commit 0123456789ab, with changes beside it", "applied, with diff", "driver kind",
        "cluster https://127.0.0.1:1, CA abababababab", "python 3.11", "run " + reports.RUN,
    ):  # fmt: skip
        assert fact in text, fact
    assert "checked only, without diff" in page(mode={"check": True, "diff": False}).text
    assert ", clean" in page(code={"commit": "a", "dirty": False}).text


def test_a_report_that_knows_little_is_a_page_too() -> None:
    empty = ("command", "directory", "mode", "by", "code", "versions", "target", "phases", "objects", "checks")
    text = page(**dict.fromkeys(empty), deviations=[], failures=[], status="killed").text
    assert "was killed" in text
    assert "Timeline" not in text
    assert "none made" in text


def test_durations_are_for_people() -> None:
    assert report_html.duration(3.21) == "3.2 s"
    assert report_html.duration(245) == "4 min 05 s"
