"""Which volumes can be made, and which can grow."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.volumes import (
    DEFAULT_CLASS,
    growth_problem,
    storage_class_problem,
)

STANDARD = {"metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}}}
FAST = {"metadata": {"name": "fast"}}


@pytest.mark.parametrize(("classes", "wanted"), [([STANDARD], ""), ([FAST, STANDARD], "fast"), ([FAST], "fast")])
def test_a_class_that_is_there_is_no_problem(classes: list[dict[str, object]], wanted: str) -> None:
    assert storage_class_problem(classes, wanted, "clickhouse.storage_class") == ""


@pytest.mark.parametrize(
    ("classes", "wanted", "text"),
    [
        ([STANDARD, FAST], "fsat", "The cluster has no storage class 'fsat'; it has: fast, standard. "),
        ([FAST], "", "The cluster has no storage class that is marked as its default; it has: fast. "),
        ([], "", "The cluster has no storage class that is marked as its default; it has: none. "),
    ],
)
def test_a_class_that_is_missing_is_named_with_those_that_are_there(
    classes: list[dict[str, object]], wanted: str, text: str
) -> None:
    assert storage_class_problem(classes, wanted, "clickhouse.storage_class") == (
        text + "Set clickhouse.storage_class to one of them"
    )


def claim(name: str, size: str, storage_class: str = "grows") -> dict[str, Any]:
    spec = {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}}
    return {"metadata": {"name": name, "namespace": "db"}, "spec": spec}


@pytest.mark.parametrize(
    ("claims", "size", "text"),
    [
        ([], "20Gi", ""),
        ([claim("data-db-0", "20Gi", "fixed")], "20480Mi", ""),
        ([claim("data-db-0", "10Gi")], "20Gi", ""),
        (
            [claim("data-db-0", "10Gi"), claim("data-db-1", "10Gi", "fixed")],
            "20Gi",
            "'db/data-db-1' has 10Gi and cannot",
        ),
        ([claim("data-db-0", "30Gi")], "20Gi", "set it to '30Gi' or more, or make a backup"),
        ([claim("data-db-web-0", "30Gi"), claim("logs-db-0", "30Gi")], "20Gi", ""),
    ],
)
def test_growth(claims: list[dict[str, Any]], size: str, text: str) -> None:
    classes: list[dict[str, Any]] = [
        {"metadata": {"name": "grows"}, "allowVolumeExpansion": True},
        {"metadata": {"name": "fixed"}},
    ]
    problem = growth_problem(claims, classes, ["db", "data"], size, "db.storage")
    assert text in problem
    assert bool(problem) == bool(text)


def test_a_size_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="'much' is not a whole number with a unit"):
        growth_problem([], [], ["db", "data"], "much", "db.storage")
