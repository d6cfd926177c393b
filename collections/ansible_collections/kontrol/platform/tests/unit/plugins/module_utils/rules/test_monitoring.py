"""Rules of the block `monitoring`."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules import monitoring

BLOCK: dict[str, Any] = {"memory": "1Gi", "storage": "10Gi", "interval": 15, "wait_timeout": 300, "receivers": []}
ONE = {"name": "pager", "url_secret": "alerts/pager", "severities": ["page"]}


def problems(**change: Any) -> list[str]:
    return [f"{one.path}: {one.message}" for one in monitoring.rules({**BLOCK, **change}, {})]


def test_the_defaults_are_fine() -> None:
    assert problems(receivers=[ONE, {**ONE, "name": "desk", "severities": ["ticket", "none"]}]) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"memory": "128Mi"}, "monitoring.memory: Expected at least 256Mi"),
        ({"storage": "10Mi"}, "monitoring.storage: Expected at least 1Gi"),
        ({"interval": 1}, "monitoring.interval: Expected 5 to 60 seconds"),
        ({"wait_timeout": 5}, "monitoring.wait_timeout: Expected 30 to 3600 seconds"),
        ({"receivers": [ONE, ONE]}, "monitoring.receivers[1].name: Two receivers have this name"),
        (
            {"receivers": [{**ONE, "severities": ["urgent"]}]},
            "monitoring.receivers[0].severities: Expected at least one of page, ticket, none",
        ),
        (
            {"receivers": [{**ONE, "severities": []}]},
            "monitoring.receivers[0].severities: Expected at least one of page, ticket, none",
        ),
    ],
)
def test_each_problem(change: dict[str, Any], problem: str) -> None:
    assert problems(**change) == [problem]
