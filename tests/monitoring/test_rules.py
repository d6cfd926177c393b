"""Every alert fires and clears, by promtool on the rules that are shipped; and its page exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kontrol.platform.plugins.module_utils import monitoring
from tests.e2e.harness import ROOT

FOLDERS = sorted(ROOT.glob("roles/*/files/monitoring"))
RULES = sorted(
    [*ROOT.glob("roles/*/files/monitoring/rules/*.yml"), *ROOT.glob("roles/*/files/monitoring/rules/off/*.yml")]
)
TESTS = sorted(ROOT.glob("roles/*/files/monitoring/tests/*.yml"))
PAGES = ROOT / "docs" / "runbooks" / "alerts"
SEVERITIES = {"page", "ticket", "none"}


@pytest.fixture(scope="module")
def promtool(lab_facts: Path) -> str:
    """The pinned promtool."""
    return str(json.loads(lab_facts.read_text(encoding="utf-8"))["tools"]["promtool"])


def alerts(file: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def component_of(path: Path) -> str:
    return path.relative_to(ROOT / "roles").parts[0]


def name(path: Path) -> str:
    return f"{component_of(path)}/{path.name}"


@pytest.mark.lab
@pytest.mark.parametrize("file", RULES, ids=name)
def test_rules_are_valid(file: Path, promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("file", TESTS, ids=name)
def test_alerts_fire_on_injected_series_and_clear(file: Path, promtool: str) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", file.name], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parts[-3])
def test_every_alert_is_seen_firing_and_seen_quiet(folder: Path) -> None:
    fired: set[str] = set()
    quiet: set[str] = set()
    for file in folder.glob("tests/*.yml"):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for one in test.get("alert_rule_test") or []:
                (fired if one.get("exp_alerts") else quiet).add(one["alertname"])
    shipped = {alert["alert"] for file in folder.glob("rules/**/*.yml") for alert in alerts(file)}
    assert shipped - fired == set()
    assert shipped - quiet - {monitoring.DEAD_MAN} == set()


@pytest.mark.parametrize("file", RULES, ids=name)
def test_every_alert_says_who_is_asked_and_what_to_read(file: Path) -> None:
    component = component_of(file)
    for alert in alerts(file):
        assert alert["labels"]["severity"] in SEVERITIES, alert["alert"]
        assert alert["labels"].get("component", component) == component, alert["alert"]
        assert {"summary", "description", "runbook"} <= set(alert["annotations"]), alert["alert"]


@pytest.mark.parametrize("file", RULES, ids=name)
def test_the_page_of_every_alert_exists(file: Path) -> None:
    for alert in alerts(file):
        page, anchor = alert["annotations"]["runbook"].split("#")
        text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
        anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
        assert anchor in anchors, alert["alert"]


def test_groups_and_alerts_have_names_of_their_own() -> None:
    groups = [group["name"] for file in RULES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    names = [one for file in RULES for one in {alert["alert"] for alert in alerts(file)}]
    assert len(groups) == len(set(groups))
    assert len(names) == len(set(names))


def test_every_component_that_ships_rules_ships_targets() -> None:
    assert RULES
    assert [folder for folder in FOLDERS if not (folder / "targets.yml").is_file()] == []
