"""Fakes for the lab's tests: programs on PATH that note how they were called, and tables without artifacts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import table
from lab.recipes import FORMATS, Context
from lab.store import Store

SETTINGS = {
    "registry": {"container": "box", "network": "kind", "port": 1, "mirrors": {"docker.io": "https://upstream.test"}},
    "tools": {},
}


class Programs:
    """Fake programs: `add` gives one a shell body, `calls` lists what was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls"

    def add(self, name: str, body: str = "") -> Path:
        """Put a program on PATH; its body is shell, run after the call was noted."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self._log}"\n{body}\n')
        path.chmod(0o755)
        return path

    def calls(self, name: str = "") -> list[str]:
        """Calls so far, of one program or all."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if line.startswith(name)]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Fake programs in front of /usr/bin and /bin; the children are not tied to this process."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return Programs(folder)


@pytest.fixture
def context_of(tmp_path: Path) -> Callable[..., Context]:
    """Make a context from rows of a table."""

    def make(rows: Mapping[str, Any], *, mode: str = "lab", settings: Mapping[str, Any] | None = None) -> Context:
        here = tmp_path / "lab"
        here.mkdir(exist_ok=True)
        document = {**SETTINGS, **(settings or {}), "parts": rows}
        return Context(Store(tmp_path / "cache"), table.build(document, {}, mode, FORMATS, here), mode, here)

    return make
