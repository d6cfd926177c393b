"""What is made from the argument specs is fresh, and says what an argument spec says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tools import generate

ROOT = generate.ROOT
SPECS = "roles/{}/meta/argument_specs.yml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the generator reads."""
    for role in ("region", "foundation", "cluster"):
        (tmp_path / SPECS.format(role)).parent.mkdir(parents=True)
        shutil.copy(ROOT / SPECS.format(role), tmp_path / SPECS.format(role))
    return tmp_path


def test_the_projects_files_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, "run `python -m tools.generate`"
    assert capsys.readouterr().out == ""


def test_check_names_what_is_stale_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], project) == 1
    assert "stale: schemas/region.schema.json\n" in capsys.readouterr().out
    assert not (project / "schemas").exists()

    assert generate.main([], project) == 0
    assert "written: roles/cluster/README.md\n" in capsys.readouterr().out
    assert generate.main(["--check"], project) == 0

    specs = project / SPECS.format("cluster")
    specs.write_text(specs.read_text("utf-8").replace("default: 300", "default: 301"), "utf-8")
    assert generate.main(["--check"], project) == 1
    assert capsys.readouterr().out.splitlines() == [
        "stale: schemas/region.schema.json",
        "stale: schemas/profile.schema.json",
        "stale: roles/cluster/README.md",
    ]


def test_a_readme_keeps_what_people_wrote(project: Path) -> None:
    readme = project / "roles" / "cluster" / "README.md"
    readme.write_text("# cluster\n\nOurs.\n", "utf-8")
    generate.main([], project)
    text = readme.read_text("utf-8").replace(generate.END, f"{generate.END}\n\nAlso ours.")
    readme.write_text(text, "utf-8")
    assert generate.main(["--check"], project) == 0
    assert text.startswith("# cluster\n\nOurs.\n\n## Options\n")


@pytest.mark.parametrize(
    ("option", "cells"),
    [
        ({"type": "str", "required": True, "description": "A|b."}, "text | **required** | A\\|b."),
        (
            {"type": "bool", "default": False, "description": ["See C(x).", "No."]},
            "true or false | `false` | See `x`. No.",
        ),
        ({"choices": ["a", "b"], "default": "a", "description": ""}, 'one of `a`, `b` | `"a"` | '),
        ({"type": "list", "elements": "int", "description": ""}, "list of whole numbers |  | "),
        ({"type": "list", "elements": "str", "description": ""}, "list of text |  | "),
    ],
)
def test_a_row(option: dict[str, Any], cells: str) -> None:
    assert list(generate.option_rows({"x": option})) == [f"| `x` | {cells} |"]


def test_rows_of_options_inside_options() -> None:
    inside = {"y": {"type": "int", "description": ""}}
    options = {
        "a": {"type": "list", "elements": "dict", "options": inside, "description": ""},
        "b": {"type": "dict", "options": inside, "description": ""},
    }
    names = [row.split("`")[1] for row in generate.option_rows(options)]
    assert names == ["a", "a[].y", "b", "b.y"]


@pytest.mark.parametrize("file", sorted(ROOT.glob("schemas/*.json")), ids=lambda file: file.name)
def test_schemas_are_schemas(file: Path) -> None:
    Draft202012Validator.check_schema(json.loads(file.read_text("utf-8")))
