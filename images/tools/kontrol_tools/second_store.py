"""Copies good backups to a second store in another place: for the day on which the first one is lost.

A backup counts in the first store before anything is done here, so a second store that is down costs nothing but the
copy. There, too, data comes before the manifest: what was copied half is never offered, and is gone on with.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments, backups, s3
from .backups import Manifest, Place
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Outcome:
    """What came of it: the ids that were copied, and what is wrong, "" for nothing."""

    copied: list[str] = field(default_factory=list)
    problem: str = ""


def declared(step: Mapping[str, Any], component: str) -> Place | None:
    """Return where the copies lie: `second`, as backups.Place reads one; None without it. Raises ToolError."""
    second = step.get("second")
    if second is not None and not isinstance(second, dict):
        raise ArgumentError("Argument 'second' must be an object that tells of a store")
    return Place.from_arguments(second, component) if second else None


def copy(step: Mapping[str, Any], first: Place, name: str) -> Outcome:
    """Copy the backup `name`, then good ones that an earlier copy has left out, and delete there what is not kept.

    Nothing is done without a second store. What goes wrong is told and never raised: the backup is good all the same.

    Args:
        step: second: see `declared`; scratch: a folder with room for the largest object; keep: good backups to keep.
        first: Where the backups come from.
        name: The backup that was made just now.
    """
    outcome = Outcome()
    try:
        second = declared(step, first.component)
        if second is None:
            return outcome
        _ensure(second)
        carrier = _Carrier(first, second, Path(arguments.text(step, "scratch")) / "carried")
        outcome.copied += carrier.bring(name)
    except ToolError as error:
        return Outcome([], f"not in the second store: {error}")
    try:
        keep = backups.to_keep(step)
        for one in carrier.left_out(keep):
            outcome.copied += carrier.bring(one)
        backups.expire(second, keep, time.time())
    except ToolError as error:
        outcome.problem = f"older ones are not all in the second store as they should be: {error}"
    return outcome


def _ensure(second: Place) -> None:
    """Make the bucket unless it is there: keys that may only read and write are enough for one that is."""
    if not s3.has_bucket(second.store, second.bucket):
        s3.ensure_bucket(second.store, second.bucket)


class _Carrier:
    """Carries backups from one place to another, object by object through a file."""

    def __init__(self, first: Place, second: Place, file: Path) -> None:
        self._first, self._second, self._file = first, second, file
        self._here = {one.backup: one for one in backups.good(first)}
        there = backups.good(second)  # a Job that was killed may have made one again under its name
        self._there = {one.backup: one for one in there if self._here.get(one.backup, one) == one}

    def bring(self, name: str) -> list[str]:
        """Copy a backup with those that it builds on, these first; return the ids of what was not there yet."""
        chain = [name]
        while (one := self._here.get(chain[-1])) and one.base:
            chain.append(one.base)
        missing = [link for link in reversed(chain) if link not in self._there]
        for link in missing:
            self._carry(self._here.get(link) or backups.chosen(self._first, link))
        return missing

    def left_out(self, keep: int) -> list[str]:
        """Return which good backups are not there and would be kept there, the newest first."""
        both = sorted({**self._there, **self._here}.values(), key=lambda one: (one.made, one.backup), reverse=True)
        return [one.backup for one in both[:keep] if one.backup not in self._there]

    def _carry(self, manifest: Manifest) -> None:
        digest = str(manifest.more.get("sha256", ""))
        there = backups.data_of(self._second, manifest.backup)
        for key, size in backups.data_of(self._first, manifest.backup).items():
            if digest or there.get(key) != size:
                self._carry_object(key, size, digest)
        self._there[manifest.backup] = backups.publish(self._second, manifest)

    def _carry_object(self, key: str, size: int, digest: str) -> None:
        """Copy an object; the server compares what comes with the digest in the signature of the request."""
        try:
            s3.get_file(self._first.store, self._first.bucket, key, self._file)
            if (came := self._file.stat().st_size) != size:
                raise ToolError(f"of '{key}' came {came} bytes instead of {size}")
            if digest and s3.file_digest(self._file) != digest:
                raise ToolError(f"'{key}' is not the one of its manifest: the checksums differ")
            s3.put_file(self._second.store, self._second.bucket, key, self._file)
        finally:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
