"""Which upgrades are allowed, and which ways back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import artifacts, paths, upgrades


def workload(image: str) -> list[dict[str, Any]]:
    pod = {"spec": {"containers": [{"name": "sidecar", "image": "x:9.9"}, {"name": "main", "image": image}]}}
    return [{"metadata": {"name": "db"}, "spec": {"template": pod}}]


@pytest.mark.parametrize(
    ("running", "wanted", "product", "text"),
    [
        ("1.31.0", "1.31.2", "istio", ""),
        ("1.31.0-alpha-kontrol", "1.31.0-kontrol", "istio", ""),
        ("1.31.0-kontrol", "1.32.0", "istio", ""),
        ("1.32.0", "1.31.0-kontrol", "istio", ""),
        ("1.31.0", "1.33.0", "istio", "one minor version at a time"),
        ("1.33.0", "1.31.0", "istio", "one minor version at a time"),
        ("1.31.0", "2.0.0", "istio", "one minor version at a time"),
        ("26.7-stand-in", "26.9-stand-in", "clickhouse", ""),
        ("26.9-stand-in", "26.7-stand-in", "clickhouse", ""),
        ("25.9", "26.9", "clickhouse", ""),
        ("26.9", "25.9", "clickhouse", ""),
        ("25.8", "26.9", "clickhouse", "within one year of releases; go through a version between"),
        ("26.9", "25.8", "clickhouse", "restore a backup that the older version made"),
        ("v3.5.0", "v3.5.1", "prometheus", ""),
        ("v3.5.0", "v3.9.0", "prometheus", ""),
        ("v3.9.0", "v3.5.1", "prometheus", ""),
        ("v3.5.1", "v4.0.0", "prometheus", "within a major version"),
        ("v3.5.1", "v2.55.1", "prometheus", "within a major version"),
        ("5.26.30-community", "5.27.0-community", "neo4j", ""),
        ("5.20.0", "5.26.30-community", "neo4j", ""),
        ("5.26.30-community", "5.26.29-community", "neo4j", ""),
        ("5.26.30-community", "5.25.1-community", "neo4j", "restore a backup"),
        ("5.26.30-community", "2026.1.0-community", "neo4j", "forward within a major version"),
        ("v0.28.1", "v0.29.0", "alertmanager", ""),
        ("v0.28.1", "v0.27.0", "alertmanager", ""),
        ("v0.28.1", "v0.30.0", "alertmanager", "one minor version at a time"),
        ("v0.85.0", "v0.86.2", "prometheus_operator", ""),
        ("v0.85.0", "v0.83.0", "prometheus_operator", "one minor version at a time"),
        ("9.9.9", "9.9.9", "clickhouse", ""),
    ],
)
def test_steps(running: str, wanted: str, product: str, text: str) -> None:
    refusal = upgrades.refusal(workload(f"localhost:5001/x/y:{running}@sha256:0"), "main", wanted, product)
    assert text in refusal
    assert bool(refusal) == bool(text)
    if text:
        assert f"'{wanted}'" in refusal
        assert f"'{running}'" in refusal


def test_where_nothing_runs_nothing_is_refused() -> None:
    assert upgrades.refusal([], "main", "1.31.0", "istio") == ""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.31.0-kontrol", (1, 31, 0)),
        ("1.31.0-alpha-kontrol", (1, 31, 0)),
        ("26.9-stand-in", (26, 9, 0)),
        ("v3.5.1", (3, 5, 1)),
        ("5.26.30-community", (5, 26, 30)),
        ("26.8.2.14", (26, 8, 2)),
    ],
)
def test_numbers_are_read(text: str, version: tuple[int, int, int]) -> None:
    assert upgrades.version_of(text) == version


@pytest.mark.parametrize("text", ["latest", "7", "release-1.31", ""])
def test_a_version_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' does not begin with numbers"):
        upgrades.version_of(text)


def test_an_image_without_a_tag_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no tag"):
        upgrades.version_in_image("localhost:5001/x/y@sha256:0")


def test_what_has_no_rule_and_what_has_no_container_are_errors() -> None:
    with pytest.raises(ValueError, match="No rule says how 'mysql' is upgraded"):
        upgrades.refusal(workload("x:1.2"), "main", "1.3", "mysql")
    with pytest.raises(ValueError, match="'db' has no container 'other'; it has: sidecar, main"):
        upgrades.refusal(workload("x:1.2"), "other", "1.3", "istio")


@pytest.mark.parametrize("product", ["clickhouse", "neo4j", "prometheus", "alertmanager", "prometheus_operator"])
def test_the_versions_of_this_project_can_be_read(product: str) -> None:
    found = artifacts.resolve(artifacts.load(paths.project_root() / "artifacts.yml"), None)[product]
    assert upgrades.step_refusal(found["version"], found["version"], product) == ""


def pod(image: str, **status: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": image}]
    return {"spec": {"containers": containers}, "status": {"containerStatuses": [{"name": "main", **status}]}}


WAITING = {"waiting": {"reason": "ImagePullBackOff"}}


@pytest.mark.parametrize(
    ("pods", "allowed"),
    [
        ([pod("x:5.27.0", state=WAITING, restartCount=0, lastState={})], True),
        ([{"spec": {"containers": [{"name": "main", "image": "x:5.27.0"}]}, "status": {"phase": "Pending"}}], True),
        ([pod("x:5.27.0", state={"running": {}}, restartCount=0)], False),
        ([pod("x:5.27.0", state=WAITING, restartCount=1)], False),
        ([pod("x:5.27.0", state=WAITING, lastState={"terminated": {"exitCode": 1}})], False),
        ([pod("x:5.26.0", state=WAITING)], False),
        ([], False),
    ],
)
def test_the_way_back_is_open_from_a_version_that_never_started(pods: list[dict[str, Any]], allowed: bool) -> None:
    running = workload("x:5.27.0")
    assert (upgrades.refusal(running, "main", "5.26.0", "neo4j", pods) == "") is allowed
    assert upgrades.refusal(running, "main", "6.0.0", "neo4j", pods) != ""
