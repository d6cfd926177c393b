"""Files of the state folder: private, written whole or not at all, readable after a kill at any point."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

PRIVATE_DIR: Final = 0o700
PRIVATE_FILE: Final = 0o600


class StateError(KontrolError):
    """A state file cannot be read or is not what it should be."""


def now() -> str:
    """Return the time as it stands in all records: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_seconds(when: str, at: datetime | None = None) -> float:
    """Return how long ago a time of `now` (or one with a fraction) was; never negative."""
    then = datetime.fromisoformat(when)
    return max(0.0, ((at or datetime.now(UTC)) - then).total_seconds())


def age_text(seconds: float) -> str:
    """Return a duration for people: "42 s", "7 min", "3 h" or "2 days"."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} days"


def make_private_dir(path: Path) -> Path:
    """Make a folder and its missing parents, each readable by its owner only, and return it."""
    for folder in (*reversed(path.parents), path):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=PRIVATE_DIR)
    return path


def write_text(path: Path, text: str, mode: int = PRIVATE_FILE) -> None:
    """Replace a file as a whole: a reader and a killed writer leave the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_dir(path.parent)


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file as a whole, mode 0600."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None when there is no such file.

    Raises:
        StateError: when the file is there but is not a JSON mapping.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StateError(
            f'State file "{path}" cannot be read: {error}; restore it from a copy of this folder'
        ) from error
    if not isinstance(data, dict):
        raise StateError(f'State file "{path}" is not a mapping; restore it from a copy of this folder')
    return data


def append_line(path: Path, data: dict[str, Any]) -> None:
    """Add one line of JSON to a journal; it is on the disk when this returns."""
    append_lines(path, [data], durable=True)


def append_lines(path: Path, entries: Iterable[dict[str, Any]], *, durable: bool) -> None:
    """Add lines of JSON; `durable` where they must outlive this machine, which costs a wait for its disk."""
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in entries]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    try:
        os.write(descriptor, "".join(lines).encode())
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal; a last line that a kill cut off is left out."""
    entries = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                entries += [entry] if isinstance(entry, dict) else []
    return entries


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed writers left; call it only while holding the region's lock."""
    for leftover in folder.glob(".*.????????"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


def _sync_dir(folder: Path) -> None:
    """Make a rename durable; a file system that cannot do it is accepted."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
