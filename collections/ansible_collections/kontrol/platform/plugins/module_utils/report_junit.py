"""A run's report as JUnit XML: one test suite per component, one test case per check; for CI systems.

The form is the one that pytest writes as xunit1 (schema junit-10.xsd): Jenkins, GitLab and others read it.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree import ElementTree as ET

ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, not even escaped (source: XML 1.0, production 2)."""
REPLACED: Final = "\ufffd"
NONE: Final = "run"


def render(report: dict[str, Any]) -> str:
    """Return the XML of a report; a task that failed is a failed test case, in the suite of its component."""
    root = ET.Element("testsuites", {"name": f"{report['playbook']} {report['region']}"})
    for name in _components(report):
        root.append(_suite(report, name))
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ILLEGAL.sub(REPLACED, text)}\n'


def _components(report: dict[str, Any]) -> list[str]:
    """Return the components that have something to tell; a run without checks and failures is a suite without cases."""
    names = [one["component"] or NONE for key in ("checks", "failures") for one in report[key]]
    return list(dict.fromkeys(names)) or [NONE]


def _suite(report: dict[str, Any], name: str) -> ET.Element:
    checks = [one for one in report["checks"] if (one["component"] or NONE) == name]
    failures = [one for one in report["failures"] if (one["component"] or NONE) == name]
    seconds = sum(one["seconds"] for one in report["phases"] if one["component"] == name)
    suite = ET.Element(
        "testsuite",
        {
            "name": name,
            "tests": str(len(checks) + len(failures)),
            "failures": str(sum(not one["ok"] for one in checks) + len(failures)),
            "errors": "0",
            "skipped": "0",
            "time": f"{seconds:.3f}",
            "timestamp": report["started"].removesuffix("Z"),
            "hostname": str(report["by"].get("host", "")),
        },
    )
    _properties(suite, report)
    for check in checks:
        _check(_case(suite, name, f"{check['check']}: {check['target']}"), check)
    for failure in failures:
        _fail(_case(suite, name, f"task: {failure['task']}"), failure["message"], "task")
    return suite


def _properties(suite: ET.Element, report: dict[str, Any]) -> None:
    properties = ET.SubElement(suite, "properties")
    about = {key: report[key] for key in ("run", "region", "playbook", "status")}
    for key, value in {**about, "commit": report["code"].get("commit", "")}.items():
        ET.SubElement(properties, "property", {"name": key, "value": str(value)})


def _case(suite: ET.Element, component: str, name: str) -> ET.Element:
    """Add a test case; the time of a single check is not measured, so it is 0 and the suite has that of its phases."""
    return ET.SubElement(suite, "testcase", {"classname": component, "name": name, "time": "0.000"})


def _check(case: ET.Element, check: dict[str, Any]) -> None:
    told = f"expected {check['expected']}, seen {check['seen']}"
    if check.get("owner"):
        told += f"; exception of {check['owner']}: {check.get('reason', '')}"
    if check["ok"]:
        ET.SubElement(case, "system-out").text = told
    else:
        _fail(case, told, "check")


def _fail(case: ET.Element, text: str, kind: str) -> None:
    """Mark a case as failed; not as an error, which the readers' schemas spell in two ways."""
    ET.SubElement(case, "failure", {"message": text, "type": kind}).text = text
