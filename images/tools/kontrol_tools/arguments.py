"""Reads arguments: plain JSON values, checked where they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(path: Path) -> list[Mapping[str, Any]]:
    """Return the steps of an arguments file `{"steps": [{"name": ..., "command": ..., ...}]}`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"Cannot read arguments '{path}': {error}") from error
    steps = document.get("steps") if isinstance(document, dict) else None
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        raise ArgumentError(f"Arguments '{path}' hold no list 'steps' of objects")
    return steps


def text(arguments: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a required (or defaulted) string."""
    value = arguments.get(name, default)
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"Argument '{name}' must be a text, not '{value!r}'")
    return value


def number(arguments: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """Return a required (or defaulted) number that is not negative."""
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ArgumentError(f"Argument '{name}' must be a number from 0 up, not '{value!r}'")
    return float(value)


def objects(arguments: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a required list of objects."""
    value = arguments.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ArgumentError(f"Argument '{name}' must be a list of objects")
    return value


def secret(path: str) -> str:
    """Return the content of a mounted secret file, without the newline at its end."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ArgumentError(f"Cannot read the secret file '{path}': {error.strerror}") from error
