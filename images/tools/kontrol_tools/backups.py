"""What counts as a backup of a component, which one is the newest good one, who makes one now, and which may go.

All of it lies in one bucket:

    <component>/data/<id>...          what a backup consists of: one object, or many below <id>/
    <component>/manifests/<id>.json   what it holds and what proves it; written last: without it there is no backup
    <component>/attempts/begun.json   which attempt began last
    <component>/attempts/last.json    how the last attempt ended, for the alert

A second bucket, <bucket>-locks, without versions, tells who makes, restores or expires backups of a component right
now: a deleted object of a bucket with versions still counts as there for a conditional write (versitygw 1.8).

A backup is good when its manifest can be read, its data has as many objects and bytes as the manifest says, and the
backup that it builds on is good. Nothing else is ever offered, counted as kept, or taken for a success.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from . import arguments, s3
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
LOCK_SECONDS: Final = 90.0
"""How long a lock outlives the last sign of its holder."""
RENEW_SECONDS: Final = 20.0
PATIENCE_SECONDS: Final = LOCK_SECONDS + 5
"""How long a lock is waited for: that of a dead holder has ended by then."""
POLL_SECONDS: Final = 5.0
DAY_SECONDS: Final = 86_400.0
RECOVERABLE_DAYS: Final = 7.0
"""How long the store still holds what was deleted, where nobody says otherwise."""
HALF_WRITTEN_SECONDS: Final = DAY_SECONDS
"""Age from which data without a manifest is taken for what a dead backup has left."""
LONGEST_ERROR: Final = 300
_KEEP: Final = 14
KILLED: Final = "It was killed, or its node was lost: it began and never ended"


class LockedError(ToolError):
    """Another backup or restore holds the lock."""


def identity(step: Mapping[str, Any], name: str = "id") -> str:
    """Return the argument that names a backup; "" when it is not given. Raises ArgumentError."""
    value = str(step.get(name) or "")
    if value and not _ID.match(value):
        raise ArgumentError(f"Argument '{name}' must be letters, digits and dashes, not '{value}'")
    return value


def new_identity(now: float) -> str:
    """Return the name of a backup that no run has named: its moment, in UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-schedule"


@dataclass(frozen=True)
class Place:
    """Where the backups of a component lie, and for how many days the store still holds what was deleted."""

    store: s3.Store
    bucket: str
    component: str
    recoverable_days: float = RECOVERABLE_DAYS

    @classmethod
    def from_arguments(cls, step: Mapping[str, Any], component: str) -> Place:
        """Read `endpoint`, `bucket`, the files of the keys, `region` (us-east-1) and `recoverable_days` (7).

        The files are `access_key_file` and `secret_key_file`.
        """
        store = s3.Store(
            endpoint=arguments.text(step, "endpoint"),
            region=arguments.text(step, "region", "us-east-1"),
            access_key=arguments.secret(arguments.text(step, "access_key_file")),
            secret_key=arguments.secret(arguments.text(step, "secret_key_file")),
        )
        days = arguments.number(step, "recoverable_days", RECOVERABLE_DAYS)
        return cls(store, arguments.text(step, "bucket"), component, days)

    @property
    def locks(self) -> str:
        """Name of the bucket of locks."""
        return f"{self.bucket}-locks"

    @property
    def lock(self) -> str:
        """Key of the component's lock."""
        return f"{self.component}.json"

    def ensure(self) -> None:
        """Make both buckets. Raises ToolError."""
        for bucket in (self.bucket, self.locks):
            s3.ensure_bucket(self.store, bucket)

    def key(self, *parts: str) -> str:
        """Return a key of the component."""
        return "/".join((self.component, *parts))

    def read(self, *parts: str) -> bytes | None:
        """Return what a key of the component holds. Raises ToolError."""
        return s3.get(self.store, self.bucket, self.key(*parts))

    def write(self, body: dict[str, Any], *parts: str) -> None:
        """Store JSON under a key of the component. Raises ToolError."""
        s3.put(self.store, self.bucket, self.key(*parts), _json(body))

    def sizes(self, *parts: str) -> dict[str, int]:
        """Return the bytes of each key that begins so. Raises ToolError."""
        return s3.sizes(self.store, self.bucket, self.key(*parts))


def _json(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True).encode()


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        backup: Its id.
        base: Id of the backup that it builds on, "" for a full one.
        started: Second (Unix time, the clock of the Job) at which it began: what was written later may be missing.
        made: Second at which its proof was done.
        bytes: Bytes of its own objects.
        objects: How many those are.
        versions: Program -> version that made it, `schema` among them.
        proof: Name of a table, label or relationship -> what a restored one must give.
        more: What only its component knows.
    """

    backup: str
    base: str
    started: float
    made: float
    bytes: int
    objects: int
    versions: dict[str, str]
    proof: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(self.made - self.started, 1)


def _parsed(text: bytes | None, wanted: str) -> Manifest:
    """Return a manifest. Raises ToolError when it cannot be read or is that of another backup."""
    try:
        data = json.loads(text or b"")
        manifest = Manifest(**{one.name: data[one.name] for one in fields(Manifest)})
        moments = float(manifest.started) <= float(manifest.made)
    except (ValueError, TypeError, KeyError) as error:
        raise ToolError(f"its manifest cannot be read: {type(error).__name__} {error}") from error
    if manifest.backup != wanted or not moments or not manifest.proof:
        raise ToolError("its manifest does not tell of it")
    return manifest


@dataclass(frozen=True)
class Found:
    """One backup in the store; `problem` tells why it is not good."""

    backup: str
    manifest: Manifest | None
    problem: str = ""

    @property
    def made(self) -> float:
        """When it was made; 0 where nobody knows."""
        return self.manifest.made if self.manifest else 0.0


def found(place: Place) -> list[Found]:
    """Return all backups of a component, the newest first; those that are not good, too. Raises ToolError."""
    stored = place.sizes("data/")
    objects: dict[str, list[int]] = {}
    for key, size in stored.items():
        name = key.removeprefix(place.key("data/")).partition("/")[0].partition(".")[0]
        objects.setdefault(name, []).append(size)
    listed = [_id_of(key) for key in place.sizes("manifests/")]
    judged = {name: _judged(place, name, objects.get(name, [])) for name in sorted({*listed, *objects})}
    complete = [_on_its_base(one, judged) for one in judged.values()]
    return sorted(complete, key=lambda one: (one.made, one.backup), reverse=True)


def _id_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _judged(place: Place, name: str, sizes: list[int]) -> Found:
    text = place.read("manifests", f"{name}.json")
    if text is None:
        return Found(name, None, "it has no manifest: it was never complete, or is being made")
    try:
        manifest = _parsed(text, name)
    except ToolError as error:
        return Found(name, None, str(error))
    if (len(sizes), sum(sizes)) != (manifest.objects, manifest.bytes):
        there, wanted = f"{len(sizes)} objects, {sum(sizes)} bytes", f"{manifest.objects} and {manifest.bytes}"
        return Found(name, manifest, f"the store holds {there} of it, its manifest says {wanted}")
    return Found(name, manifest)


def _on_its_base(one: Found, judged: Mapping[str, Found]) -> Found:
    """Return the verdict on a backup with those that it builds on."""
    base = one
    while not one.problem and base.manifest and base.manifest.base:
        name = base.manifest.base
        base = judged.get(name, Found(name, None, "it is not there"))
        if base.problem:
            return Found(one.backup, one.manifest, f"it builds on '{name}', but {base.problem}")
    return one


def good(place: Place) -> list[Manifest]:
    """Return the good backups, the newest first. Raises ToolError."""
    return [one.manifest for one in found(place) if one.manifest and not one.problem]


def chosen(place: Place, name: str = "") -> Manifest:
    """Return the backup of a name, or the newest good one. Raises ToolError with what is wrong with the others."""
    everything = found(place)
    for one in everything:
        if name in ("", one.backup) and one.manifest and not one.problem:
            return one.manifest
    wanted = f"no good backup '{name}'" if name else "no good backup"
    others = "; ".join(
        f"'{one.backup}': {one.problem}" for one in everything if one.problem and name in ("", one.backup)
    )
    raise ToolError(f"The backup store has {wanted} of {place.component}" + (f" ({others})" if others else ""))


def try_writing(place: Place) -> None:
    """See whether the store takes anything, beside the lock: there are no versions. Raises ToolError."""
    s3.try_writing(place.store, place.locks, f"{place.component}-written")


def publish(place: Place, manifest: Manifest) -> Manifest:
    """Make a backup count: write its manifest, read everything back. Raises ToolError when it is not good then."""
    place.write(asdict(manifest), "manifests", f"{manifest.backup}.json")
    return chosen(place, manifest.backup)


def data_of(place: Place, name: str) -> dict[str, int]:
    """Return the bytes of each object of a backup's data, by key. Raises ToolError."""
    return {**place.sizes("data", f"{name}/"), **place.sizes("data", f"{name}.")}


def own_objects(place: Place, name: str) -> tuple[int, int]:
    """Return how many objects, and bytes, the data of a backup has. Raises ToolError."""
    sizes = data_of(place, name).values()
    return len(sizes), sum(sizes)


def to_keep(step: Mapping[str, Any]) -> int:
    """Return the argument `keep`: how many good backups stay (14), at least 1. Raises ArgumentError."""
    return max(int(arguments.number(step, "keep", _KEEP)), 1)


def expire(place: Place, keep: int, now: float) -> list[str]:
    """Delete all but the newest `keep` good backups and what those build on; return the ids of what went.

    A backup that is not good counts for nothing. What has no manifest goes when it is a day older than the newest good
    one; manifests go before data, so nothing half-deleted is ever offered. A bucket that keeps versions holds what was
    deleted for some more days, then it goes for good, see purge. Raises ToolError.
    """
    everything = found(place)
    kept = [one for one in everything if not one.problem][: max(keep, 1)]
    needed = {name for one in kept for name in _chain(one.backup, everything)}
    if not needed:
        return []
    gone = [one.backup for one in everything if one.backup not in needed and _may_go(one, kept[0].made, now)]
    for name in gone:
        s3.delete(place.store, place.bucket, place.key("manifests", f"{name}.json"))
        for key in data_of(place, name):
            s3.delete(place.store, place.bucket, key)
    purge(place, now)
    return gone


def purge(place: Place, now: float) -> int:
    """Delete for good what was deleted or written over more than `recoverable_days` ago; return how many versions.

    What is current is never touched. Raises ToolError.
    """
    by_key: dict[str, list[s3.Version]] = {}
    for one in s3.versions(place.store, place.bucket, f"{place.component}/"):
        by_key.setdefault(one.key, []).append(one)
    border = now - place.recoverable_days * DAY_SECONDS
    gone = [one for versions in by_key.values() for one in _outlived(versions, border)]
    for one in gone:
        s3.delete_version(place.store, place.bucket, one.key, one.version)
    return len(gone)


def _outlived(versions: list[s3.Version], border: float) -> list[s3.Version]:
    """Return which versions of one key have not been current since a moment, the oldest first.

    The marker that says "deleted" goes last, and only with all that is below it: without it, the version before it
    would be current again.
    """
    newest_first = sorted(versions, key=lambda one: (one.latest, one.at), reverse=True)
    current = newest_first[0]
    replaced = [one for later, one in pairwise(newest_first) if later.at < border]
    whole = current.marker and current.at < border
    return [*reversed(replaced), *([current] if whole else [])]


def _may_go(one: Found, newest: float, now: float) -> bool:
    """Return whether a backup may be deleted: of what nobody knows the age, the name must tell it."""
    if one.manifest is not None:
        return one.made < newest
    named = re.match(r"(\d{8}T\d{6})Z?-", one.backup)
    if named is None:
        return False
    began = time.mktime(time.strptime(named[1] + "UTC", "%Y%m%dT%H%M%S%Z")) - time.timezone
    return now - began > HALF_WRITTEN_SECONDS


def _chain(name: str, everything: list[Found]) -> list[str]:
    """Return a backup and those that it builds on."""
    bases = {one.backup: one.manifest.base for one in everything if one.manifest}
    chain = [name]
    while base := bases.get(chain[-1], ""):
        chain.append(base)
    return chain


def listed(step: Mapping[str, Any]) -> dict[str, Any]:
    """List the backups of `component`, the newest first.

    Result: backups [{id, base, made, seconds, bytes, problem}], newest: id of the newest good one or "".
    """
    everything = found(Place.from_arguments(step, arguments.text(step, "component")))
    backups = [
        {
            "id": one.backup,
            "base": one.manifest.base if one.manifest else "",
            "started": one.manifest.started if one.manifest else 0.0,
            "made": one.made,
            "seconds": one.manifest.seconds if one.manifest else 0.0,
            "bytes": one.manifest.bytes if one.manifest else 0,
            "problem": one.problem,
        }
        for one in everything
    ]
    return {"backups": backups, "newest": next((one.backup for one in everything if not one.problem), "")}


def gauges(place: Place) -> dict[str, float]:
    """Return what an alert asks for: see the names. Raises ToolError."""
    everything = found(place)
    well = [one.manifest for one in everything if one.manifest and not one.problem]
    full = [one.bytes for one in well if not one.base]
    newest = well[0] if well else None
    return {
        "kontrol_backup_good": float(len(well)),
        "kontrol_backup_not_good": float(len([one for one in everything if one.problem])),
        "kontrol_backup_last_attempt_failed": float(_last_failed(place)),
        "kontrol_backup_newest_good_timestamp_seconds": newest.started if newest else 0.0,
        "kontrol_backup_newest_good_seconds": newest.seconds if newest else 0.0,
        "kontrol_backup_newest_good_bytes": float(newest.bytes if newest else 0),
        "kontrol_backup_newest_full_bytes": float(next(iter(full), 0)),
        "kontrol_backup_previous_full_bytes": float(next(iter(full[1:]), 0)),
    }


def last_attempt(place: Place) -> dict[str, Any]:
    """Return how the last attempt ended: backup, at, ok, error; nothing when there was none.

    One that began and never ended has failed as soon as nobody holds its lock any more: who is killed tells nothing.

    Raises:
        ToolError: the store does not answer. What nobody can read is told as an attempt that failed.
    """
    begun = _attempt_told(place, "begun.json")
    alive = _holds(_holder(place), str(begun.get("backup", "")))
    last = _attempt_told(place, "last.json")  # after the look at the lock: who gives it back has written this before
    return _killed(begun) if _unended(begun, last) and not alive else last


def _attempt_told(place: Place, name: str) -> dict[str, Any]:
    try:
        told = json.loads(place.read("attempts", name) or b"{}")
        return {**told, "at": float(told.get("at", 0.0))} if told != {} else {}
    except (ValueError, TypeError, AttributeError):
        return {"at": math.inf, "ok": False, "error": "it cannot be read"}


def _unended(begun: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
    """Return whether an attempt has begun after the last one that ended."""
    return bool(begun.get("at", 0.0) > last.get("at", 0.0))


def _killed(begun: Mapping[str, Any]) -> dict[str, Any]:
    return {"ok": False, "error": KILLED, **begun}


def _last_failed(place: Place) -> bool:
    """Return whether the last attempt failed."""
    return last_attempt(place).get("ok") is False


@contextmanager
def attempt(place: Place, name: str) -> Iterator[None]:
    """Write down that the making of a backup begins and how it ends, while the lock is held."""
    with held(place, name):
        try:
            begin(place, name)
            yield
        except ToolError as error:
            note(place, name, str(error))
            raise
        note(place, name)


def begin(place: Place, name: str) -> None:
    """Write down that an attempt begins, while its lock is held: whoever began before and never ended, is dead.

    Raises:
        ToolError: the store does not take it.
    """
    begun, last = (_attempt_told(place, name) for name in ("begun.json", "last.json"))
    if _unended(begun, last):
        place.write({**_killed(begun), "at": time.time()}, "attempts", "last.json")
    place.write({"backup": name, "at": time.time()}, "attempts", "begun.json")


def note(place: Place, name: str, error: str = "") -> None:
    """Write down how an attempt ended; a store that fails must not hide why."""
    with suppress(ToolError):
        outcome = {"backup": name, "at": time.time(), "ok": not error, "error": error[:LONGEST_ERROR]}
        place.write(outcome, "attempts", "last.json")


@contextmanager
def held(place: Place, who: str) -> Iterator[None]:
    """Hold the lock of a component's backups while the block runs. Raises ToolError when another one holds it."""
    take(place, who)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(place, who, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        give_back(place, who)


def take(place: Place, who: str, seconds: float = LOCK_SECONDS) -> None:
    """Take the lock for some seconds; one that is over, or the same holder's, is taken over. Raises ToolError."""
    place.ensure()
    body = _held_by(who, seconds)
    if s3.put_new(place.store, place.locks, place.lock, body):
        return
    holder = _holder(place)
    if holder.get("holder") not in (None, who) and (left := _seconds_left(holder)) > 0:
        raise LockedError(
            f"Backup or restore '{holder['holder']}' of {place.component} is going on; wait until it has ended. "
            f"If it is dead, its lock ends by itself in {left:.0f} s"
        )
    release(place, str(holder.get("holder", "")))
    if not s3.put_new(place.store, place.locks, place.lock, body) and _holder(place) != json.loads(body):
        raise LockedError(f"Another backup or restore of {place.component} has just begun; wait until it has ended")


def take_over(
    place: Place,
    who: str,
    seconds: float = LOCK_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take the lock as `take` does; the end of one whose holder may be dead is waited for.

    Raises:
        LockedError: its holder is seen alive, as it makes its lock last longer; or the lock ends too late to wait.
    """
    deadline = clock() + PATIENCE_SECONDS
    first = _holder(place)
    while True:
        try:
            return take(place, who, seconds)
        except LockedError:
            if _holder(place) != first or _seconds_left(first) > PATIENCE_SECONDS or clock() > deadline:
                raise
            sleep(POLL_SECONDS)


def _seconds_left(holder: Mapping[str, Any]) -> float:
    """Return for how long a lock lasts."""
    return float(holder.get("until", 0.0)) - time.time()


def _holds(holder: Mapping[str, Any], who: str) -> bool:
    return holder.get("holder") == who and _seconds_left(holder) > 0


def _held_by(who: str, seconds: float) -> bytes:
    return _json({"holder": who, "until": time.time() + seconds})


def _holder(place: Place) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(s3.get(place.store, place.locks, place.lock) or b"{}")
    except ValueError:
        return {}
    return read


def _renew(place: Place, who: str, done: threading.Event) -> None:
    while not done.wait(RENEW_SECONDS):
        renew(place, who)


def renew(place: Place, who: str, seconds: float = LOCK_SECONDS) -> None:
    """Make the lock of a holder last longer."""
    with suppress(ToolError):  # the next time may work; when none does, the lock ends
        if _holder(place).get("holder", who) == who:
            s3.put(place.store, place.locks, place.lock, _held_by(who, seconds))


def release(place: Place, who: str) -> None:
    """Give the lock back, if it is still this holder's. Raises ToolError."""
    if _holder(place).get("holder", who) == who:
        s3.delete(place.store, place.locks, place.lock)


def give_back(place: Place, who: str) -> None:
    """Give the lock back at the end; a store that fails then must not hide why, and the lock ends by itself."""
    with suppress(ToolError):
        release(place, who)
