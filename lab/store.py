"""The content-addressed store: a part is there in whole or not at all; killed builds leave only scratch."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.table import Part


class Store:
    """Parts below `<root>/parts/<name>/<key>/`: `out/` holds the files, `part.json` what is to know about them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, part: Part) -> Path:
        """Directory of a finished part."""
        return self.root / "parts" / part.name / part.key

    def out(self, part: Part) -> Path:
        """Files of a finished part."""
        return self.place(part) / "out"

    def scratch(self, part: Part) -> Path:
        """A fresh work directory of a part, `out/` in it; what an earlier run left there is removed."""
        work = self.root / "tmp" / f"{part.name}-{part.key}"
        shutil.rmtree(work, ignore_errors=True)
        (work / "out").mkdir(parents=True)
        return work

    def log(self, part: Part) -> Path:
        """Log of a part's build."""
        return self.root / "log" / f"{part.name}.log"

    def facts(self, part: Part) -> dict[str, Any] | None:
        """What part.json says, or None where the part is not finished."""
        try:
            facts = json.loads((self.place(part) / "part.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None

    def commit(self, part: Part, work: Path, facts: dict[str, Any]) -> None:
        """Make a built part appear: everything reaches the disk's directory by one rename."""
        (work / "part.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for entry in work.iterdir():
            if entry.name not in ("out", "part.json"):
                _remove(entry)
        place = self.place(part)
        _remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        work.rename(place)

    def discard(self, work: Path) -> None:
        """Remove a work directory whose part is not kept."""
        _remove(work)

    def prune(self, keep: set[tuple[str, str]]) -> list[str]:
        """Remove scratch and every part that is not in `keep` (name, key); returns what went."""
        _remove(self.root / "tmp")
        gone = []
        for place in sorted((self.root / "parts").glob("*/*")):
            if (place.parent.name, place.name) not in keep:
                _remove(place)
                gone.append(f"{place.parent.name}/{place.name}")
        return gone

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One run at a time. Raises LabError naming the other run."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                other = handle.read().strip() or "unknown"
                raise LabError(f"Another run of the lab is under way (process {other}): wait for its end") from None
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            yield


class Durations:
    """How long each part took the last time, to tell how long it will still take."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._seconds = {}

    def expect(self, part: Part) -> float:
        """Seconds that a part will take: the last measured, else what the table says."""
        return float(self._seconds.get(part.name, part.expect_s))

    def record(self, part: Part, seconds: float) -> None:
        """Note a measured time."""
        with self._lock:
            self._seconds[part.name] = round(seconds, 1)
            write_atomic(self._path, json.dumps(self._seconds, indent=1, sort_keys=True) + "\n")


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    fresh.rename(path)


def _remove(path: Path) -> None:
    """Remove a file or tree that may not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
