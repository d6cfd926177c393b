"""Secrets in the environment of a container, by its manifest and by its processes; no value is ever told."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import environments

SECRET = "s3cret/with?chars"
VALUES = {"db/admin": SECRET, "db/short": "abc"}


@pytest.mark.parametrize(
    "text",
    [
        f"PASSWORD={SECRET}\0HOME=/",
        f"X={base64.b64encode(SECRET.encode()).decode()}",
        "URL=http://u:s3cret%2Fwith%3Fchars@db",
    ],
)
def test_a_value_is_found_in_each_of_its_shapes(text: str) -> None:
    assert environments.held(text, VALUES) == ["db/admin"]


def test_a_short_value_is_not_searched_for() -> None:
    assert environments.held("abc", VALUES) == []


def test_a_variable_from_a_secret_is_found_in_the_manifest() -> None:
    container = {
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "login"}}}, {"name": "B", "value": "x"}],
        "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "fine"}}],
    }
    assert environments.from_manifest(container) == ["variable 'A' from Secret 'login'", "all keys of Secret 'all'"]
    assert environments.from_manifest({"env": [{"name": "B", "valueFrom": {"fieldRef": {}}}]}) == []


def test_a_literal_is_found_and_its_value_is_not_told() -> None:
    (told,) = environments.literals({"env": [{"name": "A", "value": f"x{SECRET}"}]}, VALUES)
    assert told == "variable 'A' holds secret 'db/admin'"


@pytest.mark.parametrize(("found", "containers", "ok"), [([], 2, True), (["bad"], 2, False), ([], 0, False)])
def test_a_pod_is_green_only_when_there_was_something_to_look_into(found: list[str], containers: int, ok: Any) -> None:
    assert environments.check("shop/db-0", found, 1, containers)["ok"] is ok
