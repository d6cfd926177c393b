"""Rules of the block neo4j."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules import neo4j

SOUND = {
    "edition": "community",
    "accept_licence": False,
    "storage": "10Gi",
    "storage_class": "",
    "memory": "1Gi",
    "heap": "384Mi",
    "page_cache": "128Mi",
    "cpu": "250m",
    "clients": [],
    "backup_schedule": "30 3 * * *",
    "backup_keep": 14,
    "backup_timeout": 60,
    "wait_timeout": 300,
}


def judged(**changed: Any) -> list[str]:
    return [str(problem) for problem in neo4j.rules(SOUND | changed, {})]


@pytest.mark.parametrize(
    "changed",
    [{}, {"memory": "896Mi"}, {"memory": "2Gi", "heap": "1G", "page_cache": "512Mi"}],
)
def test_sound(changed: dict[str, Any]) -> None:
    assert judged(**changed) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"memory": "1Gi", "heap": "1G", "page_cache": "512Mi"},
            'neo4j.memory: Expected at least 1.806Gi: heap 1G, page_cache 512Mi and 384Mi for Java itself, found "1Gi"',
        ),
        (
            {"memory": "895Mi"},
            (
                "neo4j.memory: Expected at least 896Mi: heap 384Mi, page_cache 128Mi and 384Mi for Java itself, "
                'found "895Mi"'
            ),
        ),
        ({"heap": "128Mi"}, 'neo4j.heap: Expected at least 256Mi, found "128Mi"'),
        ({"page_cache": "8Mi"}, 'neo4j.page_cache: Expected at least 32Mi, found "8Mi"'),
        ({"storage": "100Mi"}, 'neo4j.storage: Expected at least 1Gi, found "100Mi"'),
        (
            {"edition": "enterprise"},
            (
                "neo4j.accept_licence: Expected true: the edition enterprise may only be used by who has accepted "
                "Neo4j's licence, found false"
            ),
        ),
        (
            {"edition": "enterprise", "accept_licence": True},
            (
                "neo4j.edition: Expected community: this project has not run another edition on a real server yet, "
                'found "enterprise"'
            ),
        ),
        ({"backup_keep": 0}, "neo4j.backup_keep: Expected 1 to 1000 backups, found 0"),
        ({"backup_timeout": 1}, "neo4j.backup_timeout: Expected 5 to 1440 minutes, found 1"),
        ({"wait_timeout": 10}, "neo4j.wait_timeout: Expected 30 to 3600 seconds, found 10"),
    ],
)
def test_problems(changed: dict[str, Any], line: str) -> None:
    assert judged(**changed) == [line]


def test_all_problems_come_at_once() -> None:
    changed = {"memory": "1Mi", "heap": "1Mi", "page_cache": "1Mi", "storage": "1Mi", "wait_timeout": 0}
    assert len(judged(edition="enterprise", **changed)) == 6


@pytest.mark.parametrize("option", ["memory", "heap", "page_cache", "storage"])
def test_a_size_in_milli_bytes_is_none(option: str) -> None:
    """Neo4j reads 512m as megabytes, Kubernetes as half a byte: the spec takes only what both mean alike."""
    assert re.search(neo4j.PATTERNS[option][0], "512Mi")
    assert not re.search(neo4j.PATTERNS[option][0], "512m")


def test_it_comes_after_what_watches_it() -> None:
    assert "mesh" in neo4j.REQUIRES
    assert {"monitoring", "telemetry"} <= set(neo4j.AFTER)
