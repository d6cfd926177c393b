"""What is asked of Prometheus: a server on loopback answers as the real one does (shapes taken from Prometheus 3.5)."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from images.tools.kontrol_tools import alerts, prometheus
from images.tools.kontrol_tools.errors import ToolError
from tests.tools.conftest import Quiet, serving

EXPRESSION = {
    "type": "binaryExpr",
    "lhs": {
        "type": "call",
        "args": [
            {"type": "matrixSelector", "name": "db_errors", "matchers": [{"name": "job", "type": "=", "value": "db"}]}
        ],
    },
    "rhs": {"type": "vectorSelector", "name": "db_total", "matchers": [{"name": "job", "type": "=~", "value": ".+"}]},
}


class Fake:
    """Answers by path; a test changes them."""

    def __init__(self) -> None:
        self.health = {"labels": {"job": "db", "instance": "a"}, "health": "up", "lastError": ""}
        self.rule = {"name": "DbFails", "query": "q", "health": "ok"}
        self.series = [("db_errors", "db"), ("db_total", "db")]
        self.reload = "1"

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        if path.endswith("/targets"):
            return {"activeTargets": [self.health]}
        if path.endswith("/rules"):
            return {"groups": [{"name": "db-alerts", "rules": [self.rule]}]}
        if path.endswith("/parse_query"):
            return EXPRESSION
        if path.endswith("/alertmanagers"):
            return {"activeAlertmanagers": [{"url": "x"}]}
        if "prometheus_config" in query["query"][0]:
            return {"result": [{"metric": {}, "value": [0, self.reload]}]}
        found = [{"metric": {"__name__": name, "job": job}, "value": [0, "1"]} for name, job in self.series]
        return {"result": found}


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def step(fake: Fake) -> Iterator[dict[str, Any]]:
    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            body = json.dumps({"status": "success", "data": fake.answer(url.path, urllib.parse.parse_qs(url.query))})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

    with serving(Handler) as port:
        targets = [{"job": "db", "series": ["db_errors"]}]
        yield {
            "host": "127.0.0.1",
            "port": port,
            "targets": targets,
            "groups": ["db-alerts"],
            "settle": 0,
        }


def test_all_is_seen(step: dict[str, Any]) -> None:
    found = prometheus.state(step)
    assert found["jobs"] == {"db": {"up": 1, "down": [], "series": ["db_errors", "db_total"]}}
    assert (found["groups"], found["without_series"]) == ({"db-alerts": ""}, [])
    assert (found["config_loaded"], found["alertmanagers"], found["dead_man_age"]) == (True, 1, None)
    assert prometheus.settled(found, step)


def test_a_target_that_is_down_tells_why(fake: Fake, step: dict[str, Any]) -> None:
    fake.health |= {"health": "down", "lastError": "connection reset"}
    found = prometheus.state(step)
    assert found["jobs"]["db"]["down"] == ["a: connection reset"]
    assert not prometheus.settled(found, step)


@pytest.mark.parametrize(
    ("series", "missing"),
    [
        ([("db_total", "db")], ["db_errors of job db (read by DbFails)"]),
        ([("db_errors", "other"), ("db_total", "db")], ["db_errors of job db (read by DbFails)"]),
        ([("db_errors", "db")], ["db_total (read by DbFails)"]),
    ],
)
def test_a_rule_whose_metric_has_no_series_is_named(
    fake: Fake, step: dict[str, Any], series: list[tuple[str, str]], missing: list[str]
) -> None:
    fake.series = series
    assert prometheus.state(step)["without_series"] == missing


@pytest.mark.parametrize(("health", "words"), [("err", "DbFails: boom"), ("unknown", "was not evaluated yet")])
def test_a_rule_that_is_not_healthy_is_told(fake: Fake, step: dict[str, Any], health: str, words: str) -> None:
    fake.rule |= {"health": health, "lastError": "boom"}
    found = prometheus.state(step)
    assert words in found["groups"]["db-alerts"]
    assert not prometheus.settled(found, step)


def test_a_failed_reload_and_a_missing_group_are_not_settled(fake: Fake, step: dict[str, Any]) -> None:
    fake.reload = "0"
    assert prometheus.state(step)["config_loaded"] is False
    fake.reload = "1"
    assert not prometheus.settled(prometheus.state(step), step | {"groups": ["db-alerts", "db-more"]})


def test_it_waits_for_the_first_scrapes(fake: Fake, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fake.series = []

    def later(_seconds: float) -> None:
        fake.series = [("db_errors", "db"), ("db_total", "db")]

    monkeypatch.setattr(time, "sleep", later)
    assert prometheus.settled(prometheus.state(step | {"settle": 60}), step)


def test_no_prometheus_is_an_error(step: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="cannot be asked"):
        prometheus.state(step | {"port": 1})


def test_a_receiver_tells_what_it_got(step: dict[str, Any]) -> None:
    with alerts.server(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert prometheus.state(step | {"receiver": address})["dead_man_age"] is None
        body = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "Watchdog"}}]}).encode()
        urllib.request.urlopen(urllib.request.Request(address, data=body)).close()
        assert 0 <= prometheus.state(step | {"receiver": address})["dead_man_age"] < 30
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(urllib.request.Request(address, data=b"no json"))
        server.shutdown()


def test_only_the_last_alerts_are_kept() -> None:
    book = alerts.Book(kept=2)
    book.add({"alerts": [{"labels": {"n": number}} for number in range(3)]})
    assert [alert["labels"]["n"] for alert in book.all()] == [1, 2]
