"""What is made from the argument specs is fresh, and says what an argument spec says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tools import generate, slos

ROOT = generate.ROOT
SPECS = "roles/{}/meta/argument_specs.yml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the generator reads."""
    for role in ("region", "foundation", "cluster"):
        (tmp_path / SPECS.format(role)).parent.mkdir(parents=True)
        shutil.copy(ROOT / SPECS.format(role), tmp_path / SPECS.format(role))
    return tmp_path


@pytest.mark.lab
def test_the_projects_files_are_fresh(
    lab_facts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slos, "facts", lambda: lab_facts)
    assert generate.main(["--check"]) == 0, "run `python -m tools.generate`"
    assert capsys.readouterr().out == ""


@pytest.mark.lab
def test_objectives_are_expanded_and_what_is_off_stays_apart(
    lab_facts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(slos, "facts", lambda: lab_facts)
    source = ROOT / "roles" / "monitoring" / "files" / "monitoring" / "slos" / "kubernetes.yml"
    folder = tmp_path / "roles" / "db" / "files" / "monitoring"
    (folder / "slos" / "off").mkdir(parents=True)
    for name in ("a.yml", "off/b.yml"):
        shutil.copy(source, folder / "slos" / name)
    made = slos.made(tmp_path)
    assert set(made) == {folder / "rules" / "slo_a.yml", folder / "rules" / "off" / "slo_b.yml"}
    assert all("KubernetesApiBurnsItsBudget" in text for text in made.values())
    (folder / "slos" / "a.yml").write_text("version: prometheus/v1\nslos: []\n")
    with pytest.raises(SystemExit, match="Sloth refuses"):
        slos.made(tmp_path)


def test_without_the_program_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run `python -m lab up`"):
        slos.program(tmp_path / "lab.json")


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
