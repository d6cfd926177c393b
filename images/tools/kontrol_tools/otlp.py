"""Sends a span and a log to the gateway of telemetry, and finds both again in the gateway's own numbers."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "kontrol-verify"
_TIMEOUT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0
_MILLISECOND: Final = 1_000_000
_SERIES: Final = {
    "span": ("traces_span_metrics_calls_total", f'service_name="{SERVICE}"'),
    "log": ("otelcol_receiver_accepted_log_records_total", 'transport="http"'),
    "sent_logs": ("otelcol_exporter_sent_log_records_total", ""),
    "sent_spans": ("otelcol_exporter_sent_spans_total", ""),
}
"""What grows by one when a span or a log of ours arrived, and when it was passed on. The databases send by gRPC."""


def _ask(url: str, body: Any = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - http, by the role
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
            return str(answer.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        raise ToolError(f"'{url}' answers {error.code}: {error.read(200).decode('utf-8', 'replace')}") from error
    except OSError as error:
        raise ToolError(f"'{url}' cannot be asked: {error}") from error


def total(page: str, name: str, label: str) -> float:
    """Return the sum of the series of a page (Prometheus' text format) that have a name and a label; 0 for none."""
    found = re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)", page, re.MULTILINE)
    return sum(float(value) for labels, value in found if label in labels)


def _numbers(url: str) -> dict[str, float]:
    page = _ask(url)
    return {key: total(page, *series) for key, series in _SERIES.items()}


def _send(base: str) -> None:
    now = time.time_ns()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": SERVICE}}]}
    span = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "verify", "kind": 2}
    span |= {"startTimeUnixNano": str(now - _MILLISECOND), "endTimeUnixNano": str(now)}
    log = {"timeUnixNano": str(now), "severityNumber": 9, "body": {"stringValue": "A log of verify"}}
    _post(f"{base}/v1/traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})
    _post(f"{base}/v1/logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [log]}]}]})


def _post(url: str, body: Any) -> None:
    answer = json.loads(_ask(url, body) or "{}")
    if answer.get("partialSuccess"):
        raise ToolError(f"'{url}' refused a part: {json.dumps(answer['partialSuccess'])[:200]}")


def _judged(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, Any]:
    grown = {key: now[key] - before[key] for key in _SERIES}
    passed = grown["sent_logs"] >= 1 and grown["sent_spans"] >= 1
    seen = {
        "span": f"{grown['span']:g} more spans of {SERVICE}",
        "log": f"{grown['log']:g} more logs over HTTP",
        "passed_on": f"{grown['sent_logs']:g} logs and {grown['sent_spans']:g} spans",
    }
    return {"span": grown["span"] >= 1, "log": grown["log"] >= 1, "passed_on": passed, "seen": seen}


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Send a span and a log, and look until both were counted and passed on or `settle` seconds are over.

    Arguments: host, port (of OTLP/HTTP), metrics_port, settle. Result: span, log, passed_on (true or false), seen. What
    cannot be sent or asked is a failed check, not an error: the other steps of the Job go on.
    """
    host, port = arguments.text(step, "host"), int(arguments.number(step, "port", 4318))
    page = f"http://{host}:{int(arguments.number(step, 'metrics_port', 8889))}/metrics"
    end = time.monotonic() + arguments.number(step, "settle", 0.0)
    try:
        before = _numbers(page)
        _send(f"http://{host}:{port}")
        while True:
            found = _judged(before, _numbers(page))
            if all(found[key] for key in ("span", "log", "passed_on")) or time.monotonic() > end:
                return found
            time.sleep(_PAUSE_SECONDS)
    except ToolError as error:
        return dict.fromkeys(("span", "log", "passed_on"), False) | {
            "seen": dict.fromkeys(("span", "log", "passed_on"), str(error))
        }
