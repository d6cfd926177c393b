"""Rules of the block telemetry."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules import telemetry

SOUND: dict[str, Any] = {"endpoint": "", "memory": "256Mi", "cpu": "50m", "clients": [], "wait_timeout": 300}


def judged(**changed: Any) -> list[str]:
    return [str(problem) for problem in telemetry.rules(SOUND | changed, {})]


@pytest.mark.parametrize("changed", [{}, {"memory": "128Mi"}, {"wait_timeout": 3600}])
def test_sound(changed: dict[str, Any]) -> None:
    assert judged(**changed) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"memory": "127Mi"}, 'telemetry.memory: Expected at least 128Mi, found "127Mi"'),
        ({"wait_timeout": 5}, "telemetry.wait_timeout: Expected 30 to 3600 seconds, found 5"),
    ],
)
def test_not_sound(changed: dict[str, Any], line: str) -> None:
    assert judged(**changed) == [line]


@pytest.mark.parametrize(
    ("endpoint", "good"),
    [
        ("", True),
        ("https://logs.example.com:4318", True),
        ("http://10.0.0.1/otlp", True),
        ("logs.example.com:4318", False),
        ("https://user:secret@logs.example.com", False),
        ("ftp://logs.example.com", False),
    ],
)
def test_an_endpoint_is_an_address_without_a_login(endpoint: str, good: bool) -> None:
    assert bool(re.search(telemetry.PATTERNS["endpoint"][0], endpoint)) is good
