"""Type `manifest`: one file of Kubernetes objects for the mirror folder, out of the YAML files of another part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from lab.errors import LabError
from lab.recipes.base import Facts, Job, place_all


class _Loader(yaml.SafeLoader):
    """Safe loader that takes a plain `=` for text, as everybody but YAML 1.1 does."""


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """The text of a scalar."""
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


def without_prose(value: Any) -> Any:
    """An object without its descriptions: of a definition's schema they are most of the size and the server needs none.

    A property that is itself called `description` is a mapping and stays.
    """
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not (key == "description" and isinstance(item, str))}
        return {key: without_prose(item) for key, item in kept.items()}
    return [without_prose(item) for item in value] if isinstance(value, list) else value


def build(job: Job) -> Facts:
    """Join the objects of all files in the order of their names. Raises LabError where there is none."""
    row = job.row
    folder = job.work / "files"
    place_all(job.context, row["files"], folder)
    objects: list[Any] = []
    for path in sorted(folder.rglob("*.yaml")):
        objects += [item for item in yaml.load_all(path.read_text(encoding="utf-8"), _Loader) if item]
    if not objects:
        raise LabError(f"Part '{job.part.name}' finds no object in its files: has the module changed?")
    text = yaml.safe_dump_all([without_prose(item) for item in objects], sort_keys=True, explicit_start=True)
    (job.out / file_name(row)).write_text(text, encoding="utf-8")
    return {"objects": len(objects)}


def file_name(row: Mapping[str, Any]) -> str:
    """Name of the file in the mirror folder."""
    return f"{row['manifest']}-{row['version']}.yaml"
