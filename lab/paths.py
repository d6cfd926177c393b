"""Directories of the lab; only the XDG variables move them."""

from __future__ import annotations

import os
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parent


def _home(variable: str, default: str) -> Path:
    """Value of an XDG variable, or its default below the home directory (relative values are ignored, as XDG says)."""
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else Path.home() / default


def cache_root() -> Path:
    """Where parts are kept: may be removed at any time, costs a cold build."""
    return _home("XDG_CACHE_HOME", ".cache") / "kontrol"


def state_root() -> Path:
    """Where lab.json is written."""
    return _home("XDG_STATE_HOME", ".local/state") / "kontrol"
