"""A problem is one line that shows the value in quotes and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.problems import (
    HIDDEN,
    MISSING,
    Problem,
    ProblemsError,
    quoted,
    render,
)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("a.yml:3", "x.y", "z", "Expected one"), 'a.yml:3: x.y: Expected one, found "z"'),
        (Problem("a.yml", "", MISSING, "The file is empty"), "a.yml: The file is empty"),
        (
            Problem("a.yml", "x", HIDDEN, "Expected text"),
            "a.yml: x: Expected text, found a value that is not shown here",
        ),
        (
            Problem("a.yml", "x", 3, "Expected text", "put it in quotes"),
            "a.yml: x: Expected text, found 3: put it in quotes",
        ),
        (Problem("", "x.y", None, "Expected one"), "x.y: Expected one, found null"),
    ],
)
def test_line(problem: Problem, line: str) -> None:
    assert str(problem) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("España", '"España"'),
        (True, "true"),
        ([1, "a"], '[1, "a"]'),
        ("x" * 100, '"' + "x" * 55 + '..."'),
        (["x" * 100], '["' + "x" * 55 + "..."),
    ],
)
def test_quoted(value: Any, text: str) -> None:
    assert quoted(value) == text


def test_render_shows_each_problem_once_in_order() -> None:
    one, two = Problem("b", "", MISSING, "One"), Problem("a", "", MISSING, "Two")
    assert render([one, two, one]) == "b: One\na: Two"
    assert str(ProblemsError([one, two])) == "b: One\na: Two"
