from __future__ import annotations

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.volumes import DEFAULT_CLASS, storage_class_problem

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
