"""Rules of the block mesh."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules import mesh

SOUND = {
    "replicas": 1,
    "istiod_cpu": "100m",
    "istiod_memory": "256Mi",
    "proxy_cpu": "20m",
    "proxy_memory": "64Mi",
    "wait_timeout": 300,
}


def judged(**changed: Any) -> list[str]:
    return [str(problem) for problem in mesh.rules(SOUND | changed, {})]


def test_sound() -> None:
    assert judged() == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"replicas": 0}, "mesh.replicas: Expected 1 to 5, found 0"),
        ({"wait_timeout": 5}, "mesh.wait_timeout: Expected 30 to 3600, found 5"),
        ({"istiod_memory": "64Mi"}, 'mesh.istiod_memory: Expected at least 128Mi, found "64Mi"'),
        ({"proxy_memory": "16Mi"}, 'mesh.proxy_memory: Expected at least 48Mi, found "16Mi"'),
    ],
)
def test_problems(changed: dict[str, Any], line: str) -> None:
    assert judged(**changed) == [line]


@pytest.mark.parametrize(("text", "good"), [("100m", True), ("2", True), ("0", False), ("1.5", False), ("100M", False)])
def test_cpu_pattern(text: str, good: bool) -> None:
    assert bool(re.search(mesh.PATTERNS["istiod_cpu"][0], text)) is good
