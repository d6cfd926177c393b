"""The specs and profiles that the project ships are sound, and say where an editor finds the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import regions, schema, spec
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import load, load_marked

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted([*ROOT.glob("inventories/*/region.yml"), *ROOT.glob("tests/inventories/*/region.yml")])
PROFILES = sorted(ROOT.glob("profiles/*.yml"))


def names(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("folder", ["inventories", "tests/inventories"])
def test_specs_are_sound_and_fit_together(folder: str) -> None:
    found = regions.judge([str(ROOT / folder)], ROOT, spec.load_roles(ROOT), {})
    assert (list(map(str, found.problems)), found.warnings) == ([], [])


def test_all_regions_of_the_project_may_live_on_one_machine() -> None:
    roles = spec.load_roles(ROOT)
    read = [spec.read_region(file, ROOT, roles)[0] for file in SPECS]
    assert regions.against_each_other([region for region in read if region]) == []


def test_the_local_spec_is_short() -> None:
    assert len((ROOT / "inventories/local/region.yml").read_text("utf-8").splitlines()) < 40


@pytest.mark.parametrize("file", PROFILES, ids=names)
def test_profiles_are_sound(file: Path) -> None:
    data, positions = load_marked(file.read_text("utf-8"), str(file))
    assert schema.judge(spec.profile_schema(spec.load_roles(ROOT)), data, schema.Source(str(file), positions)) == []


@pytest.mark.parametrize("file", PROFILES, ids=names)
def test_a_profile_keeps_the_rules_when_a_spec_has_every_block(file: Path, tmp_path: Path) -> None:
    roles = spec.load_roles(ROOT)
    text = f"region: {{name: all-blocks, driver: kind, profile: {file.stem}}}\n"
    components = [name for name in roles if name not in spec.ALWAYS]
    folder = tmp_path / "all-blocks"
    folder.mkdir()
    (folder / "region.yml").write_text(text + "".join(f"{name}: {{}}\n" for name in components), "utf-8")
    region, problems = spec.read_region(folder / "region.yml", ROOT, roles)
    assert list(map(str, problems)) == []
    assert region is not None
    assert sorted(region.components) == sorted(components)


@pytest.mark.parametrize("file", [*SPECS, *PROFILES], ids=names)
def test_an_editor_finds_the_schema(file: Path) -> None:
    header = next(line for line in file.read_text("utf-8").splitlines() if "$schema=" in line)
    assert (file.parent / header.split("$schema=")[1]).resolve().parent == ROOT / "schemas"


def test_production_is_protected() -> None:
    assert (
        load((ROOT / "profiles" / "production.yml").read_text("utf-8"), "production.yml")["region"]["protected"] is True
    )


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    float("nan"),
    "",
    "x",
    "yes",
    "{{ x }}",
    "-1Gi",
    "\u00f1" * 300,
    [],
    [None],
    [{}],
    {},
    {"x": {}},
)


@pytest.mark.parametrize("role", sorted(spec.load_roles(ROOT)))
def test_no_value_of_any_option_is_more_than_a_problem(role: str, tmp_path: Path) -> None:
    roles = spec.load_roles(ROOT)
    file = tmp_path / "odd" / "region.yml"
    file.parent.mkdir()
    for option in roles[role].options:
        for value in ODD:
            blocks: dict[str, dict[str, Any]] = {name: {} for name in roles}
            blocks["region"] = {"name": "odd", "driver": "kind"}
            blocks[role][option] = value
            file.write_text(json.dumps(blocks).replace("NaN", ".nan"), "utf-8")
            _region, problems = spec.read_region(file, ROOT, roles)
            assert all(problem.path.split(".")[0] in roles for problem in problems)
            if value is None:
                assert [problem.message for problem in problems] == ["Value is missing"]


@pytest.mark.parametrize("role", sorted(spec.load_roles(ROOT)))
@pytest.mark.parametrize("value", ODD)
def test_no_value_of_a_block_is_more_than_a_problem(role: str, value: Any, tmp_path: Path) -> None:
    roles = spec.load_roles(ROOT)
    file = tmp_path / "odd" / "region.yml"
    file.parent.mkdir()
    blocks = {name: {} for name in roles} | {"region": {"name": "odd", "driver": "kind"}} | {role: value}
    file.write_text(json.dumps(blocks).replace("NaN", ".nan"), "utf-8")
    _region, problems = spec.read_region(file, ROOT, roles)
    assert problems or value == {}


def test_the_smallest_spec_of_every_component_equals_the_one_with_its_defaults_written_out(tmp_path: Path) -> None:
    roles = spec.load_roles(ROOT)
    blocks: dict[str, dict[str, Any]] = {name: {} for name in roles if name not in spec.ALWAYS}
    blocks["region"] = {"name": "least", "driver": "kind"}
    (tmp_path / "least").mkdir()
    file = tmp_path / "least" / "region.yml"
    read = []
    for _once in range(2):
        file.write_text(json.dumps(blocks), "utf-8")
        region, problems = spec.read_region(file, ROOT, roles)
        assert list(map(str, problems)) == []
        assert region is not None
        read.append(region.variables())
        blocks = without_nothing(region.blocks)
    assert read[0] == read[1]


def without_nothing(value: Any) -> Any:
    return (
        {key: without_nothing(item) for key, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
    )
