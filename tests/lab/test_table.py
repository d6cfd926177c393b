from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lab import paths, table
from lab.errors import LabError
from lab.recipes import FORMATS

HERE = paths.LAB
ARTIFACTS = paths.ROOT / "artifacts.yml"
GO: dict[str, Any] = {
    "type": "go",
    "module": "example.test/a",
    "version": "v1.0.0",
    "programs": {"a": "example.test/a"},
}
IMAGE: dict[str, Any] = {"type": "image", "base": "scratch", "files": {"a": "prog:a"}}


def keys(rows: dict[str, Any], here: Path, mode: str = "lab") -> dict[str, str]:
    built = table.build({"parts": {"engine": {"type": "engine"}, **rows}}, {}, mode, FORMATS, here)
    return {name: part.key for name, part in built.parts.items()}


def test_key_depends_on_recipe_and_inputs(tmp_path: Path) -> None:
    before = keys({"prog": GO, "img": IMAGE}, tmp_path)
    after = keys({"prog": {**GO, "version": "v1.0.1"}, "img": IMAGE}, tmp_path)
    assert before["prog"] != after["prog"]
    assert before["img"] != after["img"]


@pytest.mark.parametrize("more", [{"expect_s": 9}, {"needs": ["other"]}, {"online": True}, {"group": "g"}])
def test_key_ignores_what_does_not_change_the_result(tmp_path: Path, more: dict[str, Any]) -> None:
    other = {"type": "module", "module": "m", "version": "v1", "take": {}}
    assert keys({"prog": {**GO, **more}, "other": other}, tmp_path)["prog"] == keys({"prog": GO}, tmp_path)["prog"]


def test_key_depends_on_named_files(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.go").write_text("package main\n")
    rows = {"prog": {**GO, "source": "src"}}
    before = keys(rows, tmp_path)
    (source / "main.go").write_text("package main // changed\n")
    assert keys(rows, tmp_path) != before


def test_tree_digest_sees_the_executable_bit_and_no_caches(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("x")
    before = table.digest_tree(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "tool.pyc").write_text("y")
    assert table.digest_tree(tmp_path) == before
    (tmp_path / "tool").chmod(0o755)
    assert table.digest_tree(tmp_path) != before


def test_key_depends_on_the_builders_format(tmp_path: Path) -> None:
    newer = {**FORMATS, "go": FORMATS["go"] + 1}
    built = table.build({"parts": {"prog": GO}}, {}, "lab", newer, tmp_path)  # the engine is no input of a program
    assert built.parts["prog"].key != keys({"prog": GO}, tmp_path)["prog"]


def test_order_is_inputs_first(tmp_path: Path) -> None:
    assert [name for name in keys({"img": IMAGE, "prog": GO}, tmp_path) if name != "engine"] == ["prog", "img"]


def test_images_wait_for_the_engine_and_pushes_for_the_registry(tmp_path: Path) -> None:
    rows = {
        "img": {**IMAGE, "ref": "docker.io/a/b:1"},
        "prog": GO,
        "engine": {"type": "engine"},
        "registry": {"type": "registry"},
    }
    built = table.build({"parts": rows}, {}, "lab", FORMATS, tmp_path)
    assert built.parts["img"].inputs == ("prog",)
    assert built.parts["img"].before == ("prog", "engine", "registry")


def test_online_rows(tmp_path: Path) -> None:
    rows = {
        "here_too": {**GO, "online": True},
        "lab_only": GO,
        "otherwise": {**GO, "online": {"type": "wheel", "package": "p"}},
    }
    built = table.build({"parts": rows}, {}, "online", FORMATS, tmp_path)
    assert {name: part.kind for name, part in built.parts.items()} == {"here_too": "go", "otherwise": "wheel"}


def test_versions_come_from_artifacts() -> None:
    artifacts = {"web": {"type": "image", "pin": {"version": "1", "image": "i"}, "lab": {"version": "2"}}}
    lab, online = (table.artifact_fields(artifacts, mode) for mode in ("lab", "online"))
    assert table.fill({"ref": ["${web.image}:${web.version}"]}, lab, "p") == {"ref": ["i:2"]}
    assert table.fill("${web.version}", online, "p") == "1"


def test_unknown_artifact_is_named() -> None:
    with pytest.raises(LabError, match=re.escape("Part 'p' refers to '${web.version}', which artifacts.yml lacks")):
        table.fill("${web.version}", {}, "p")


def test_all_problems_at_once(tmp_path: Path) -> None:
    rows = {"a": {"type": "magic"}, "b": {**IMAGE, "files": {"x": "nothing:x"}, "dir": "absent"}}
    with pytest.raises(LabError) as caught:
        keys(rows, tmp_path)
    text = caught.value.message
    assert "Part 'a' has type 'magic': use one of" in text
    assert "Part 'b' uses 'nothing', which is no part" in text
    assert "Part 'b' names 'absent', which does not exist" in text


def test_unreadable_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"parts.yml' cannot be read"):
        table.settings(tmp_path)
    (tmp_path / "parts.yml").write_text("- list\n")
    with pytest.raises(LabError, match="holds no mapping"):
        table.settings(tmp_path)


@pytest.mark.parametrize("mode", ["lab", "online"])
def test_the_projects_table_is_sound(mode: str) -> None:
    built = table.load(HERE, ARTIFACTS, mode, FORMATS)
    tools = [reference.partition(":")[0] for reference in built.settings["tools"].values()]
    assert set(tools) <= set(built.parts)
    assert {"engine", "registry", "tools_image", "kind"} <= set(built.parts)


def test_the_node_is_the_kubernetes_that_artifacts_name() -> None:
    parts = table.load(HERE, ARTIFACTS, "lab", FORMATS).parts
    version = parts["kubernetes"].recipe["version"]
    assert parts["node"].recipe["version"] == version
    assert parts["node"].recipe["tag"].rpartition(":")[2].startswith(version)
    assert parts["kubernetes"].recipe["staging"] == version.replace("v1.", "v0.", 1)
    assert f"gitVersion={version}" in parts["kubernetes"].recipe["ldflags"]


def test_online_mode_makes_little() -> None:
    parts = table.load(HERE, ARTIFACTS, "online", FORMATS).parts
    assert {part.kind for part in parts.values()} == {"engine", "registry", "pull", "image", "go", "wheel"}
    assert {name for name, part in parts.items() if part.kind == "go"} == {"kind", "prometheus", "sloth"}


@pytest.mark.parametrize(
    ("part", "image"), [("prometheus", "prometheus_image"), ("prometheus_older", "prometheus_older_image")]
)
def test_prometheus_is_built_from_the_module_of_its_version(part: str, image: str) -> None:
    parts = table.load(HERE, ARTIFACTS, "lab", FORMATS).parts
    # Prometheus 3.x.y is the module v0.300+x.y: https://github.com/prometheus/prometheus/blob/main/RELEASE.md
    major, minor, patch = parts[image].recipe["ref"].rpartition(":v")[2].split(".")
    assert parts[part].recipe["version"] == f"v0.{int(major) * 100 + int(minor)}.{patch}"
    assert parts[part].recipe["ldflags"].endswith(f"version.Version={major}.{minor}.{patch}")


def test_tools_are_of_the_version_that_artifacts_name() -> None:
    fields = table.artifact_fields(table.read(ARTIFACTS)["artifacts"], "lab")
    assert fields["promtool"]["version"] == fields["prometheus"]["version"]
    assert fields["prometheus_operator_crds"]["version"] == fields["prometheus_operator"]["version"]
    assert fields["prometheus_config_reloader"]["version"] == fields["prometheus_operator"]["version"]
    ldflags = table.load(HERE, ARTIFACTS, "lab", FORMATS).parts["prometheus_operator"].recipe["ldflags"]
    assert ldflags.endswith(f"Version={fields['prometheus_operator']['version'].removeprefix('v')}")


def test_the_collector_is_of_the_version_that_artifacts_name() -> None:
    recipe = table.load(HERE, ARTIFACTS, "lab", FORMATS).parts["otelcol"].recipe
    version = table.artifact_fields(table.read(ARTIFACTS)["artifacts"], "lab")["otel_collector"]["version"]
    assert f"v{version}" in recipe["requires"]
    assert recipe["ldflags"] == f"-X main.version={version}"


def test_a_group_uses_nothing_that_others_would_have_to_wait_for() -> None:
    parts = table.load(HERE, ARTIFACTS, "lab", FORMATS).parts
    grouped = {name for name, part in parts.items() if part.group}
    assert {part.group for part in parts.values() if part.group} == {"upgrade"}
    assert not [part.name for part in parts.values() if not part.group and grouped & set(part.before)]
