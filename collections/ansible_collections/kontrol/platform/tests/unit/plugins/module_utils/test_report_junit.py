from __future__ import annotations

from xml.etree import ElementTree as ET

from ansible_collections.kontrol.platform.plugins.module_utils import report_junit
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import reports


def suites(report: dict[str, object]) -> dict[str, ET.Element]:
    text = report_junit.render(report)
    root = ET.fromstring(text.encode())  # noqa: S314 - made by the line above
    return {one.attrib["name"]: one for one in root.findall("testsuite")}


def test_a_suite_per_component_with_a_case_per_check() -> None:
    found = suites(reports.whole())
    assert list(found) == ["cluster", "clickhouse", "region"]
    cluster = found["cluster"]
    assert [one.attrib["name"] for one in cluster.findall("testcase")] == ["node: n", "disk: n"]
    assert all(one.attrib["classname"] == "cluster" for one in cluster.findall("testcase"))
    counts = ("tests", "failures", "errors", "skipped", "time", "hostname", "timestamp")
    expected = ["2", "1", "0", "0", "20.000", "here", "2026-11-25T03:00:00"]
    assert [cluster.attrib[key] for key in counts] == expected


def test_a_failure_tells_expected_and_seen() -> None:
    [failure] = suites(reports.whole())["cluster"].iter("failure")
    assert failure.attrib["message"] == failure.text == "expected free, seen full"


def test_a_failed_task_is_a_failed_case() -> None:
    [case] = suites(reports.whole())["region"].findall("testcase")
    assert case.attrib["name"] == "task: Fail when a part is red"
    failure = case.find("failure")
    assert failure is not None
    assert failure.text == "Red are: cluster"


def test_an_exception_is_green_and_names_its_owner() -> None:
    case = suites(reports.whole())["clickhouse"].findall("testcase")[-1]
    assert case.find("failure") is None
    assert "exception of mesh: the kubelet has no certificate" in (case.findtext("system-out") or "")


def test_run_and_commit_are_properties() -> None:
    properties = {
        one.attrib["name"]: one.attrib["value"] for one in suites(reports.whole())["cluster"].iter("property")
    }
    assert properties["run"] == reports.RUN
    assert properties["commit"] == "0123456789abcdef"


def test_hostile_values_are_text_and_the_document_stays_legal() -> None:
    suite = next(one for name, one in suites(reports.hostile()).items() if name != "clickhouse")
    assert "<script>" in suite.attrib["name"]
    assert "\x00" not in suite.attrib["name"]


def test_a_run_without_checks_is_a_suite_without_cases() -> None:
    found = suites(reports.whole(checks=[], failures=[]))
    assert list(found) == ["run"]
    assert found["run"].attrib["tests"] == "0"
