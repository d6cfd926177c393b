"""The register of this machine: an entry beside the state of each region that new_region made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import state

FILE: Final = "registration.json"


def read(folder: Path) -> dict[str, Any] | None:
    """Return the entry in a region's state folder, None when there is none."""
    return state.read_json(folder / FILE)


def verdict(folder: Path, content: dict[str, Any]) -> str:
    """Return what `write` would do: create, update or none."""
    there = read(folder)
    if there is None:
        return "create"
    return "none" if {name: there.get(name) for name in content} == content else "update"


def write(folder: Path, region_id: str, content: dict[str, Any], run: str) -> str:
    """Make the entry say this content, and return the verdict that was carried out."""
    done = verdict(folder, content)
    if done != "none":
        state.write_json(folder / FILE, {"id": region_id, "at": state.now(), "run": run, **content})
    return done


def told(folder: Path) -> str:
    """Return the entry as one line."""
    there = read(folder)
    if there is None:
        return "no, it was made by bootstrap alone"
    market = f"market {there['market']}, " if there.get("market") else ""
    where = f"{there.get('driver')} {there.get('location')}"
    return f"{market}{where}, since {there.get('at')}, declared in {there.get('spec')}"
