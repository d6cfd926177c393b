"""Where the project and what belongs to it live on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def _xdg(variable: str, default: str) -> Path:
    """Return a base directory; a relative or empty setting counts as not set (XDG Base Directory Specification)."""
    setting = Path(os.environ.get(variable, ""))
    base = setting if setting.is_absolute() else Path.home() / default
    return base / "kontrol"


def state_root() -> Path:
    """Return the folder of what must survive: `$XDG_STATE_HOME/kontrol`, by default `~/.local/state/kontrol`."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def cache_root() -> Path:
    """Return the folder of what can be made again: `$XDG_CACHE_HOME/kontrol`, by default `~/.cache/kontrol`."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def region_state(name: str) -> Path:
    """Return the state folder of the region `name`, which must be a single path part."""
    if name in {"", ".", ".."} or Path(name).name != name:
        raise ValueError(f"A region name is one path part, found {name!r}")
    return state_root() / name


def lab_file() -> Path:
    """Return the file in which the lab tells what it provides; it is not there before the lab's first start."""
    return state_root() / "lab.json"


def project_root() -> Path:
    """Return the folder that holds `artifacts.yml`, `roles`, `profiles` and `collections`, symbolic links resolved."""
    return Path(__file__).resolve().parents[6]


def components_with(verb: str, components: list[str]) -> list[str]:
    """Return those components, in their order, whose role has a verb."""
    roles = project_root() / "roles"
    return [name for name in components if (roles / name / "tasks" / f"{verb}.yml").is_file()]


def shown(path: Path) -> str:
    """Return a path as a message names it: relative when it is below the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)
