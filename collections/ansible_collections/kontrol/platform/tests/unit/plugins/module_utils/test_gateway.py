"""The gateway's configuration, and the judgement of what was sent through it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import gateway

SETTINGS = {
    "collector_image": "collector:1",
    "config_volume": "config",
    "memory": "256Mi",
    "cpu": "50m",
    "endpoint": "",
}


def config(**changes: Any) -> Any:
    return json.loads(gateway.gateway_config("gateway", SETTINGS | changes))


def test_what_listens_beyond_loopback_is_declared() -> None:
    listening = {int(port) for port in re.findall(r'"0\.0\.0\.0:(\d+)"', json.dumps(config()))}
    declared = {port["containerPort"] for port in gateway.gateway_container("telemetry", SETTINGS)["ports"]}
    assert listening == declared == {4317, 4318, 8889, 13133}


@pytest.mark.parametrize(("endpoint", "exporter"), [("", "debug"), ("https://logs.example.com:4318", "otlp_http")])
def test_logs_and_traces_go_to_the_endpoint_where_there_is_one(endpoint: str, exporter: str) -> None:
    found = config(endpoint=endpoint)
    pipelines = found["service"]["pipelines"]
    assert pipelines["logs"]["exporters"] == [exporter]
    assert pipelines["traces"]["exporters"] == ["spanmetrics", exporter]
    assert found["exporters"][exporter].get("endpoint", "") == endpoint


def test_spans_are_counted_for_prometheus_within_bounds() -> None:
    found = config()
    assert "spanmetrics" in found["service"]["pipelines"]["metrics"]["receivers"]
    assert "100ms" in found["connectors"]["spanmetrics"]["histogram"]["explicit"]["buckets"]
    assert found["connectors"]["spanmetrics"]["aggregation_cardinality_limit"] > 0


def test_what_a_pipeline_names_is_defined() -> None:
    found = config(endpoint="http://a")
    known = set(found["connectors"])
    for pipeline in found["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(found[kind]) | known


def answer(**changes: Any) -> dict[str, Any]:
    return {"span": True, "log": True, "passed_on": True, "seen": {"span": "1", "log": "1", "passed_on": "2"}} | changes


def test_what_was_found_again_is_green() -> None:
    assert [check["ok"] for check in gateway.sent_checks(answer(), "telemetry")] == [True, True, True]


@pytest.mark.parametrize("name", ["span", "log", "passed_on"])
def test_what_was_lost_is_red(name: str) -> None:
    checks = gateway.sent_checks(answer(**{name: False}), "telemetry")
    assert [check["ok"] for check in checks].count(False) == 1


def test_a_missing_answer_is_red() -> None:
    assert [check["ok"] for check in gateway.sent_checks(None, "telemetry")] == [False, False, False]
