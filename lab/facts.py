"""lab.json and the mirror folder: what the rest of the project learns from the lab."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lab import engine, registry
from lab.recipes import Context, manifest
from lab.recipes.live import certs_d
from lab.store import write_atomic


def collect(context: Context) -> dict[str, Any]:
    """The content of lab.json: mode, addresses, tools, images with their digests, what kind's configuration needs.

    An image that only the Docker engine holds (the kind node) has the digest "". What is not made yet is left out.
    """
    images = {}
    for part in context.table.parts.values():
        facts = context.store.facts(part) or {}
        if "ref" in facts:
            images[facts["ref"]] = facts["digest"]
        elif "tag" in facts:
            images[facts["tag"]] = ""
    tools = {name: context.path(reference) for name, reference in context.table.settings["tools"].items()}
    return {
        "mode": context.mode,
        "registry": context.registry.address,
        "registry_container": context.registry.container,
        "mirror": str(mirror(context)),
        "tools": {**{name: str(path) for name, path in tools.items() if path.exists()}, "docker": engine.docker()},
        "images": images,
        "kind_config": registry.kind_config(certs_d(context.store.root)),
    }


def mirror(context: Context) -> Path:
    """Folder of charts and manifests."""
    return context.store.root / "mirror"


def publish_charts(context: Context) -> None:
    """Have the mirror's charts folder hold exactly the finished charts; a chart appears by one rename."""
    folder = mirror(context) / "charts"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for part in context.table.parts.values():
        if part.kind == "chart" and context.store.facts(part) is not None:
            name = f"{part.recipe['chart']}-{part.recipe['version']}"
            wanted[name] = (part.key, context.store.out(part) / name)
    for present in list(folder.iterdir()):
        if present.name not in wanted or _key(present) != wanted[present.name][0]:
            shutil.rmtree(present)
    for name, (key, source) in wanted.items():
        if not (folder / name).exists():
            fresh = folder / f".{name}"
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(source, fresh)
            (fresh / ".kontrol-key").write_text(key, encoding="utf-8")
            fresh.rename(folder / name)


def publish_manifests(context: Context) -> None:
    """Have the mirror's manifests folder hold exactly the finished manifests."""
    folder = mirror(context) / "manifests"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for part in context.table.parts.values():
        if part.kind == "manifest" and context.store.facts(part) is not None:
            name = manifest.file_name(part.recipe)
            wanted[name] = (context.store.out(part) / name).read_text(encoding="utf-8")
    for present in list(folder.iterdir()):
        if present.name not in wanted:
            present.unlink()
    for name, text in wanted.items():
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            write_atomic(folder / name, text)


def _key(chart: Path) -> str:
    """Key of the part that a published chart came from."""
    marker = chart / ".kontrol-key"
    return marker.read_text(encoding="utf-8") if marker.is_file() else ""


def write(context: Context, path: Path) -> bool:
    """Publish the mirror and write lab.json; tells whether lab.json changed."""
    publish_charts(context)
    publish_manifests(context)
    registry.write_mirrors(context.registry, certs_d(context.store.root))
    text = json.dumps(collect(context), indent=2, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_atomic(path, text)
    return True
