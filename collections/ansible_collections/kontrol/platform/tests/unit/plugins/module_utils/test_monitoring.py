"""Monitors, rules that components ship, Alertmanager's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import monitoring
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root

RULES = """
groups:
  - name: db-alerts
    rules:
      - {record: a, expr: b}
      - alert: DbDown
        expr: up == 0
        annotations: {summary: s, runbook: db#dbdown}
"""


@pytest.fixture
def role(tmp_path: Path) -> Path:
    folder = tmp_path / "roles" / "db" / "files" / "monitoring"
    (folder / "rules" / "off").mkdir(parents=True)
    (folder / "rules" / "my_rules.yml").write_text(RULES)
    (folder / "rules" / "off" / "later.yml").write_text(RULES.replace("db-alerts", "off"))
    (folder / "targets.yml").write_text("targets: [{job: db, series: [x]}]\n")
    return tmp_path / "roles" / "db"


def test_a_rules_file_becomes_an_object_whose_alerts_lead_to_a_page(role: Path) -> None:
    (rule,) = monitoring.prometheus_rules(str(role), "db", "shop", "https://pages")
    assert (rule["metadata"]["name"], rule["metadata"]["namespace"]) == ("db-my-rules", "shop")
    annotations = rule["spec"]["groups"][0]["rules"][1]["annotations"]
    assert annotations == {"summary": "s", "runbook_url": "https://pages/db.md#dbdown"}


def test_what_is_off_is_not_shipped(role: Path) -> None:
    shipped = monitoring.shipped(str(role.parents[1]), ["db", "nothing"])
    assert shipped == {"targets": [{"job": "db", "series": ["x"]}], "groups": ["db-alerts"]}


def test_a_rules_file_without_groups_is_refused(role: Path) -> None:
    (role / "files" / "monitoring" / "rules" / "bad.yml").write_text("rules: []\n")
    with pytest.raises(KontrolError, match=r"bad.yml' has no list 'groups'"):
        monitoring.prometheus_rules(str(role), "db", "shop")


def test_every_real_runbook_page_of_the_project_exists() -> None:
    root = project_root()
    for role in sorted((root / "roles").iterdir()):
        for rule in monitoring.prometheus_rules(str(role), role.name, "x"):
            for one in (one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one):
                assert (root / one["annotations"]["runbook_url"].partition("#")[0]).is_file()


def test_a_meshed_target_is_scraped_with_the_certificate_of_the_mesh() -> None:
    endpoint = monitoring.meshed_endpoint("http-telemetry", "db")
    assert (endpoint["scheme"], endpoint["port"]) == ("https", "http-telemetry")
    assert endpoint["tlsConfig"]["certFile"].startswith("/etc/prom-certs/")
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "db"}]


RECEIVERS = [{"name": "pager", "url_secret": "alerts/pager", "severities": ["page"]}]


def test_receivers_get_their_severities_and_the_test_receiver_gets_all() -> None:
    config = json.loads(monitoring.alertmanager_config({"alerts/pager": "http://p"}, RECEIVERS, "http://test"))
    assert [(one["receiver"], one["matchers"]) for one in config["route"]["routes"]] == [
        ("test", ['alertname="Watchdog"']),
        ("test", ['alertname!="Watchdog"']),
        ("pager", ['severity=~"page"']),
    ]
    assert all(one["continue"] for one in config["route"]["routes"])
    assert config["route"]["routes"][0]["repeat_interval"] == "60s"
    urls = [hook["url"] for one in config["receivers"] for hook in one.get("webhook_configs", [])]
    assert urls == ["http://test", "http://p"]


def test_without_receivers_nobody_is_told() -> None:
    config = json.loads(monitoring.alertmanager_config({}, [], ""))
    assert config["receivers"] == [{"name": "nobody"}]
    assert config["route"]["routes"] == []
