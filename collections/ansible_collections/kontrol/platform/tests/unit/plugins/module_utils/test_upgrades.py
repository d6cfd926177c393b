"""Which upgrades are allowed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import upgrades


def workload(image: str) -> list[dict[str, Any]]:
    return [{"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}]


@pytest.mark.parametrize(
    ("running", "wanted", "product", "text"),
    [
        ("1.31.0", "1.31.2", "istio", ""),
        ("1.31.0-kontrol", "1.32.0", "istio", ""),
        ("1.31.0", "1.33.0", "istio", "one minor version at a time"),
        ("1.31.0", "2.0.0", "istio", "one minor version at a time"),
        ("1.31.0", "1.30.9", "istio", "is older than"),
        ("26.8", "26.9-stand-in", "clickhouse", ""),
        ("25.9", "26.9", "clickhouse", ""),
        ("25.8", "26.9", "clickhouse", "within one year"),
        ("26.9", "26.8", "clickhouse", "is older than"),
    ],
)
def test_steps(running: str, wanted: str, product: str, text: str) -> None:
    refusal = upgrades.refusal(workload(f"localhost:5001/x/y:{running}@sha256:0"), "main", wanted, product)
    assert text in refusal
    assert bool(refusal) == bool(text)


def test_nothing_running_is_nothing_to_upgrade() -> None:
    assert "nothing to upgrade" in upgrades.refusal([], "main", "1.31.0", "istio")


def test_a_version_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="'latest' does not begin with two numbers"):
        upgrades.version_of("latest")
    with pytest.raises(ValueError, match="has no tag"):
        upgrades.version_in_image("localhost:5001/x/y@sha256:0")
