"""The table of parts: read parts.yml and artifacts.yml, fill in versions, judge, order, and give each part its key."""

from __future__ import annotations

import graphlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError

REFERENCE = re.compile(r"\$\{(\w+)\.(\w+)\}")
LOCAL_FIELDS = ("source", "dir", "overlay", "patch", "lock")
NOT_IN_KEY = ("expect_s", "online", "needs", "machine", "roots")
ENGINE_KINDS = ("rootfs", "image", "pull", "kind_base", "kind_node", "registry")
SCRATCH = "scratch"


@dataclass(frozen=True)
class Part:
    """One thing that the lab makes or keeps running; `recipe` is its row of the table with versions filled in.

    A part with a `group` is made only when its name or the group's is asked for.
    """

    name: str
    kind: str
    recipe: Mapping[str, Any]
    inputs: tuple[str, ...]
    after: tuple[str, ...]
    expect_s: float
    key: str = ""
    group: str = ""

    @property
    def before(self) -> tuple[str, ...]:
        """Parts that must be finished first: inputs (part of the key) and mere order."""
        return tuple(dict.fromkeys((*self.inputs, *self.after)))


@dataclass(frozen=True)
class Table:
    """All parts of one mode, inputs before users; `settings` is the table's part that is no part."""

    parts: Mapping[str, Part]
    settings: Mapping[str, Any]


def artifact_fields(artifacts: Mapping[str, Any], mode: str) -> dict[str, dict[str, Any]]:
    """Fields of each artifact as the table may refer to them: the pin, in lab mode with its lab part over it."""
    fields = {}
    for name, entry in artifacts.items():
        overlay = entry.get("lab", {}) if mode == "lab" else {}
        fields[name] = {**entry.get("pin", {}), **overlay}
    return fields


def fill(value: Any, fields: Mapping[str, Mapping[str, Any]], where: str) -> Any:
    """Replace each ${artifact.field} in all strings of a value. Raises LabError for one that is not there."""
    if isinstance(value, dict):
        return {key: fill(item, fields, where) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, fields, where) for item in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        artifact, field = match.groups()
        found = fields.get(artifact, {}).get(field)
        if found is None:
            raise LabError(f"Part '{where}' refers to '{match.group(0)}', which artifacts.yml lacks: add it there")
        return str(found)

    return REFERENCE.sub(one, value)


def references(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Names of the parts whose content goes into a part."""
    yield from recipe.get("preload", {}).values()
    if recipe.get("base", SCRATCH) != SCRATCH:
        yield recipe["base"]
    for source in recipe.get("files", {}).values():
        yield source.partition(":")[0]


def followed(kind: str, recipe: Mapping[str, Any]) -> Iterator[str]:
    """Names of the parts that must only be there first: those named, the engine for images, the registry for a push."""
    yield from recipe.get("needs", [])
    if kind in ENGINE_KINDS:
        yield "engine"
    if "ref" in recipe:
        yield "registry"


def digest_tree(path: Path) -> str:
    """Hash of a file or of all files below a directory: names, executable bits and contents."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    for item in files:
        if "__pycache__" in item.parts:
            continue
        name = item.relative_to(path).as_posix()
        executable = item.stat().st_mode & 0o111 != 0
        total.update(f"{name}\0{executable}\0".encode())
        total.update(hashlib.sha256(item.read_bytes()).digest())
    return total.hexdigest()


def part_key(part: Part, formats: Mapping[str, int], keys: Mapping[str, str], here: Path) -> str:
    """Key of a part: hash of its recipe, the files that it names, its builder's format and its inputs' keys."""
    local = {field: part.recipe[field] for field in LOCAL_FIELDS if field in part.recipe}
    content = {
        "kind": part.kind,
        "format": formats.get(part.kind, 0),
        "recipe": {key: value for key, value in part.recipe.items() if key not in NOT_IN_KEY},
        "files": {field: digest_tree(here / str(path)) for field, path in local.items()},
        "inputs": {name: keys[name] for name in part.inputs},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _row(name: str, row: Mapping[str, Any], mode: str) -> dict[str, Any] | None:
    """The row that holds in a mode, or None: `online: true` means the same row, a mapping means that one instead."""
    if mode == "lab":
        return {key: value for key, value in row.items() if key != "online"}
    online = row.get("online", False)
    if online is True:
        return _row(name, row, "lab")
    return dict(online) if online else None


def _parts(rows: Mapping[str, Any], mode: str, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
    """Parts of a mode, without keys, in the table's order."""
    parts = {}
    for name, row in rows.items():
        chosen = _row(name, row, mode)
        if chosen is None:
            continue
        recipe = fill(chosen, fields, name)
        kind = recipe.pop("type")
        expect = float(recipe.pop("expect_s", 5))
        group = str(recipe.pop("group", ""))
        inputs = tuple(dict.fromkeys(references(recipe)))
        after = tuple(dict.fromkeys(followed(kind, recipe)))
        parts[name] = Part(name, kind, recipe, inputs, after, expect, group=group)
    return parts


def _judge(parts: Mapping[str, Part], kinds: Mapping[str, int], here: Path) -> list[str]:
    """Everything that is wrong with the table."""
    problems = []
    for part in parts.values():
        if part.kind not in kinds:
            problems.append(f"Part '{part.name}' has type '{part.kind}': use one of {', '.join(sorted(kinds))}")
        problems += [f"Part '{part.name}' uses '{name}', which is no part" for name in part.before if name not in parts]
        for field in LOCAL_FIELDS:
            if field in part.recipe and not (here / str(part.recipe[field])).exists():
                problems.append(f"Part '{part.name}' names '{part.recipe[field]}', which does not exist in '{here}'")
    return problems


def build(
    document: Mapping[str, Any], artifacts: Mapping[str, Any], mode: str, formats: Mapping[str, int], here: Path
) -> Table:
    """Table of a mode from the two documents. Raises LabError with all problems at once."""
    parts = _parts(document["parts"], mode, artifact_fields(artifacts, mode))
    problems = _judge(parts, formats, here)
    if problems:
        raise LabError("\n".join(problems))
    keys: dict[str, str] = {}
    for name in graphlib.TopologicalSorter({name: part.before for name, part in parts.items()}).static_order():
        keys[name] = part_key(parts[name], formats, keys, here)
    rest = {name: value for name, value in document.items() if name != "parts"}
    return Table({name: replace(parts[name], key=key) for name, key in keys.items()}, rest)


def read(path: Path) -> dict[str, Any]:
    """A YAML mapping from a file. Raises LabError naming the file."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LabError(f"File '{path}' cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise LabError(f"File '{path}' holds no mapping")
    return found


def settings(here: Path) -> dict[str, Any]:
    """The part of the table that is no part."""
    return {name: value for name, value in read(here / "parts.yml").items() if name != "parts"}


def load(here: Path, artifacts_file: Path, mode: str, formats: Mapping[str, int]) -> Table:
    """Table of a mode from parts.yml in `here` and the project's artifacts.yml."""
    return build(read(here / "parts.yml"), read(artifacts_file)["artifacts"], mode, formats, here)
