"""What every recipe is: a way to tell what is missing, and a way to make it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import docker, registry
from lab.store import Store
from lab.table import Part, Table


@dataclass(frozen=True)
class Context:
    """All that a recipe may use."""

    store: Store
    table: Table
    mode: str
    here: Path

    def path(self, reference: str) -> Path:
        """File or directory `part:path` of a finished part."""
        name, _, path = reference.partition(":")
        return self.store.out(self.table.parts[name]) / path

    def base(self, part: Part) -> str:
        """Image name that a part builds on."""
        return docker.base_tag(dict(self.table.parts), part)

    @property
    def registry(self) -> registry.Settings:
        """Where images are pushed."""
        return registry.Settings.of(self.table.settings)


@dataclass(frozen=True)
class Job:
    """One build under way: the part, its work directory (`work/out` is kept) and its log."""

    context: Context
    part: Part
    work: Path
    log: Path

    @property
    def out(self) -> Path:
        """Directory whose content is kept."""
        return self.work / "out"

    @property
    def row(self) -> Mapping[str, Any]:
        """The part's row of the table."""
        return self.part.recipe


@dataclass(frozen=True)
class Look:
    """One look at whether a part is there."""

    context: Context
    part: Part
    world: docker.World


Facts = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """One type of the table.

    A new `format` makes every part of the type anew. `lane` says what it competes for: `cpu` or `io`. `live` parts are
    kept running and not kept in the store.
    """

    format: int
    lane: str
    build: Callable[[Job], Facts]
    missing: Callable[[Look], str | None]
    live: bool = False


def files_missing(look: Look) -> str | None:
    """Missing rule of parts that are files."""
    return None if look.context.store.facts(look.part) is not None else "not built"


def image_missing(look: Look) -> str | None:
    """Missing rule of parts that are images: built, in the engine, and where they have a reference, in the registry."""
    facts = look.context.store.facts(look.part)
    if facts is None:
        return "not built"
    if not look.world.answers:
        return "cannot be seen without a Docker engine"
    if "ref" in facts:
        _, path = docker.host_and_path(facts["ref"])
        return None if registry.digest(look.context.registry, path) == facts["digest"] else "not in the registry"
    wanted = docker.short_ref(facts.get("tag", docker.local_tag(look.part)))
    return None if look.world.images.get(wanted) == facts["image"] else "not in the Docker engine"


def place(source: Path, target: Path) -> None:
    """Copy a file or tree to a place; modes become 0755 for directories and programs, 0644 for the rest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
    for item in [target, *target.rglob("*")] if target.is_dir() else [target]:
        item.chmod(0o755 if item.is_dir() or item.stat().st_mode & 0o111 else 0o644)


def place_all(context: Context, files: Mapping[str, str], root: Path) -> None:
    """Copy each `destination: part:path` of a recipe below a root."""
    for destination, reference in files.items():
        place(context.path(reference), root / destination)
