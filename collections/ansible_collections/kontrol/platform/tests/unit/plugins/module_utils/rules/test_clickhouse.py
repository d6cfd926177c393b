"""Rules of the block clickhouse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules import clickhouse

SOUND = {
    "storage": "20Gi",
    "storage_class": "",
    "memory": "2Gi",
    "server_memory": "1536Mi",
    "cpu": "250m",
    "replicas": 1,
    "clients": [],
    "wait_timeout": 300,
}
HEADROOM = "and 256Mi for what the server does not count"


def judged(**changed: Any) -> list[str]:
    return [str(problem) for problem in clickhouse.rules(SOUND | changed, {})]


@pytest.mark.parametrize("changed", [{}, {"memory": "1792Mi"}, {"server_memory": "512Mi", "memory": "768Mi"}])
def test_sound(changed: dict[str, Any]) -> None:
    assert judged(**changed) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"memory": "1Gi", "server_memory": "1Gi"},
            f'clickhouse.memory: Expected at least 1.25Gi: server_memory 1Gi {HEADROOM}, found "1Gi"',
        ),
        (
            {"memory": "1791Mi"},
            f'clickhouse.memory: Expected at least 1.75Gi: server_memory 1536Mi {HEADROOM}, found "1791Mi"',
        ),
        ({"server_memory": "256Mi"}, 'clickhouse.server_memory: Expected at least 512Mi, found "256Mi"'),
        ({"storage": "100Mi"}, 'clickhouse.storage: Expected at least 1Gi, found "100Mi"'),
        (
            {"replicas": 3},
            (
                "clickhouse.replicas: Expected 1: replication needs Keeper, which this project has not run on a real "
                "server yet, found 3"
            ),
        ),
        ({"wait_timeout": 4000}, "clickhouse.wait_timeout: Expected 30 to 3600 seconds, found 4000"),
    ],
)
def test_problems(changed: dict[str, Any], line: str) -> None:
    assert judged(**changed) == [line]


def test_all_problems_come_at_once() -> None:
    assert len(judged(memory="256Mi", server_memory="256Mi", storage="1Mi", replicas=0, wait_timeout=0)) == 5


@pytest.mark.parametrize(("text", "good"), [("", True), ("standard", True), ("gp3.ssd", True), ("Bad Name", False)])
def test_storage_class_pattern(text: str, good: bool) -> None:
    assert bool(re.search(clickhouse.PATTERNS["storage_class"][0], text)) is good


def test_a_client_is_two_dns_labels() -> None:
    for option in ("clients[].namespace", "clients[].service_account"):
        assert re.search(clickhouse.PATTERNS[option][0], "matching-engine")
        assert not re.search(clickhouse.PATTERNS[option][0], "Matching/*")


def test_the_database_lives_in_the_mesh() -> None:
    assert "mesh" in clickhouse.REQUIRES
