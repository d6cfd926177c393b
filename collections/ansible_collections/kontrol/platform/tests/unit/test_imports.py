"""Every file of the collection can be imported in the project's environment.

This stands for the import test of ansible-test, which hides the packages that our plugins are always run with.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FILES = sorted(path.relative_to(PLUGINS.parent) for path in PLUGINS.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_import(file: Path) -> None:
    parts = file.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    assert importlib.import_module(f"ansible_collections.kontrol.platform.{name}").__doc__
