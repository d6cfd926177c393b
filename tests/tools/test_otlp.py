"""A span and a log are sent, and found again only in numbers that grew."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import otlp
from tests.tools.conftest import Quiet, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gateway:
    """A gateway that counts what arrives, or does not."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[tuple[str, Any]] = []
        self.counts = {"span": 5.0, "log": 7.0, "sent_logs": 90.0, "sent_spans": 5.0}
        self.loses: set[str] = set()
        self.answer = (200, '{"partialSuccess":{}}')

    def take(self, path: str, body: Any) -> tuple[int, str]:
        self.received.append((path, body))
        grown = {"span", "sent_spans"} if path == "/v1/traces" else {"log", "sent_logs"}
        for name in grown - self.loses:
            self.counts[name] += 1
        return self.answer

    def page(self) -> str:
        lines = [f"# TYPE {name} counter" for name, _ in otlp._SERIES.values()]
        for key, (name, label) in otlp._SERIES.items():
            lines.append(f'{name}{{a="b"{"," + label if label else ""}}} {self.counts[key]:g}')
        return "\n".join([*lines, 'otelcol_receiver_accepted_log_records_total{transport="grpc"} 9e3'])


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    state = Gateway()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, state.page())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(*state.take(self.path, body))

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with serving(Handler) as state.port:
        yield state


def send(gateway: Gateway) -> dict[str, Any]:
    return otlp.run({"host": "127.0.0.1", "port": gateway.port, "metrics_port": gateway.port})


def test_what_was_sent_is_found_again(gateway: Gateway) -> None:
    found = send(gateway)
    assert (found["span"], found["log"], found["passed_on"]) == (True, True, True)
    assert [path for path, _ in gateway.received] == ["/v1/traces", "/v1/logs"]
    span = gateway.received[0][1]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"])
    assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)


@pytest.mark.parametrize(
    ("lost", "red"), [("span", "span"), ("log", "log"), ("sent_logs", "passed_on"), ("sent_spans", "passed_on")]
)
def test_what_is_lost_is_red(gateway: Gateway, lost: str, red: str) -> None:
    gateway.loses = {lost}
    found = send(gateway)
    assert [name for name in ("span", "log", "passed_on") if not found[name]] == [red]
    assert "0 " in found["seen"][red]


@pytest.mark.parametrize("answer", [(403, "RBAC: access denied"), (200, '{"partialSuccess": {"rejectedSpans": "1"}}')])
def test_a_refusal_is_red_and_told(gateway: Gateway, answer: tuple[int, str]) -> None:
    gateway.answer = answer
    found = send(gateway)
    assert {found[name] for name in ("span", "log", "passed_on")} == {False}
    assert "/v1/traces" in found["seen"]["span"]
