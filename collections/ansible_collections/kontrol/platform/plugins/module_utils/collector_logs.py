"""How a collector reads the log files of each database: where a record begins, its time, its severity."""

from __future__ import annotations

from typing import Any, Final

Object = dict[str, Any]

_FORMATS: Final[dict[str, Object]] = {
    "clickhouse": {
        "start": r"^\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}:\d{2}",
        "record": (
            r"(?s)^(?P<time>\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}:\d{2}\.\d+) \[ (?P<thread>\d+) \] \{(?P<query_id>[^}]*)\} "
            r"<(?P<severity>\w+)> (?P<message>.*)"
        ),
        "layout": "%Y.%m.%d %H:%M:%S.%f",
        "severities": {
            "fatal": ["Fatal", "Critical"],
            "error": "Error",
            "warn": ["Warning", "Notice"],
            "info": "Information",
            "debug": "Debug",
            "trace": ["Trace", "Test"],
        },
    },
    "neo4j": {
        "start": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}",
        "record": (
            r"(?s)^(?P<time>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3}[+-]\d{4}) (?P<severity>\w+) +(?P<message>.*)"
        ),
        "layout": "%Y-%m-%d %H:%M:%S.%L%z",
        "severities": {"error": "ERROR", "warn": "WARN", "info": "INFO", "debug": "DEBUG"},
    },
}
PROBE: Final = {
    "include": ["/logs/probe/*.log"],
    "start_at": "beginning",
    "storage": "file_storage",
    "poll_interval": "2s",
    "resource": {"kontrol.source": "probe"},
}
"""The probe's log has a line each minute, so that a silent way of logs is told from a silent database."""


def receiver(component: str) -> Object:
    """Return the receiver of a database's log files; a line that is not as expected passes as it is.

    Args:
        component: clickhouse or neo4j.
    """
    how = _FORMATS[component]
    parser = {
        "type": "regex_parser",
        "regex": how["record"],
        "on_error": "send_quiet",
        "timestamp": {"parse_from": "attributes.time", "layout": how["layout"], "location": "UTC"},
        "severity": {"parse_from": "attributes.severity", "overwrite_text": True, "mapping": how["severities"]},
    }
    known = 'attributes["message"] != nil'
    return {
        "include": ["/logs/database/*.log"],
        "start_at": "beginning",
        "storage": "file_storage",
        "poll_interval": "1s",
        "include_file_name": True,
        "multiline": {"line_start_pattern": how["start"]},
        "resource": {"kontrol.source": "database"},
        "operators": [
            parser,
            {"type": "move", "if": known, "from": "attributes.message", "to": "body"},
            {"type": "remove", "if": 'attributes["time"] != nil', "field": "attributes.time"},
            {"type": "remove", "if": 'attributes["severity"] != nil', "field": "attributes.severity"},
        ],
    }
