"""Backs ClickHouse up to S3 and restores it, by its own BACKUP and RESTORE over a named collection, and proves both.

A backup counts once it was read back from the store and its proof was written (backups.py); a restore is done once
every table was compared with that proof. What exporter and drills write is part of both, but of no proof: it goes on.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups, clickhouse_proof
from .backups import Manifest, Place
from .clickhouse import ClickHouseError, Client
from .clickhouse_probe import DATABASE as CANARIES
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMPONENT: Final = "clickhouse"
BOOKKEEPING: Final = "kontrol."
"""Start of the names of tables that hold rows about the schema: nobody's data."""
CANARY_TABLES: Final = ("canary", "drill_canary")
SMALLEST_SHARE: Final = 0.5
"""A backup with a smaller share of the rows of the one before is taken for a mistake, not for a backup."""
READ_SECONDS: Final = 3600.0
"""Most seconds of one query that reads a whole table."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_POLL_SECONDS = 0.5
_MISSED = 3
"""Looks at system.backups in a row that may miss an id: its row appears a moment after the answer."""
_SCHEMA_VERSION = "SELECT max(version) AS version FROM kontrol.schema_versions"


def _names(step: Mapping[str, Any]) -> list[str]:
    names = step.get("databases")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and _NAME.match(n) for n in names):
        raise ArgumentError(f"Argument 'databases' must be a list of database names, not '{names!r}'")
    return names


def _collection(step: Mapping[str, Any]) -> str:
    name = arguments.text(step, "collection")
    if not _NAME.match(name):
        raise ArgumentError(f"Argument 'collection' must be a name, not '{name}'")
    return name


def _client(step: Mapping[str, Any]) -> Client:
    client = Client.from_arguments({"timeout": READ_SECONDS, **step})
    client.wait(arguments.number(step, "settle", 0.0))
    return client


def _source(step: Mapping[str, Any], identity: str) -> str:
    return f"S3({_collection(step)}, 'data/{identity}/')"


def _what(names: list[str], canaries: list[str]) -> str:
    return ", ".join([*(f"DATABASE {name}" for name in names), *(f"TABLE {CANARIES}.{name}" for name in canaries)])


def _canaries(client: Client) -> list[str]:
    """Return the tables of canaries that are there."""
    found = {name.partition(".")[2] for name in clickhouse_proof.definitions(client, [CANARIES])}
    return [name for name in CANARY_TABLES if name in found]


def finish(
    client: Client, identity: str, deadline: float, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Wait for the end of a BACKUP or RESTORE and return its row of system.backups.

    Raises:
        ToolError: it failed, it was not done in time, or the server forgot it: it was started anew in between.
    """
    missed = 0
    while True:
        query = "SELECT status, error, num_files, total_size FROM system.backups WHERE id = {id:String}"
        rows = client.rows(query, {"id": identity})
        status = rows[0]["status"] if rows else "unknown"
        if status in ("BACKUP_CREATED", "RESTORED"):
            return rows[0]
        if status in ("BACKUP_FAILED", "RESTORE_FAILED", "BACKUP_CANCELLED", "RESTORE_CANCELLED"):
            raise ToolError(f"It ended as {status}: {str(rows[0]['error']).partition('Stack trace')[0][:300]}")
        missed = 0 if rows else missed + 1
        if missed > _MISSED:
            raise ToolError("ClickHouse does not know it any more: the server was started anew while it ran")
        if clock() > deadline:
            raise ToolError(f"It was not done in time; its state is '{status}'")
        time.sleep(_POLL_SECONDS)


def _run(client: Client, statement: str, step: Mapping[str, Any], settings: str = "") -> dict[str, Any]:
    """Start a BACKUP or RESTORE and wait for its end."""
    deadline = time.monotonic() + arguments.number(step, "patience", 3600.0)
    started = client.query(f"{statement} SETTINGS async = 1{settings}")
    return finish(client, started.decode().split("\t")[0].strip(), deadline)


def backup(step: Mapping[str, Any]) -> dict[str, Any]:
    """Make a backup of `databases`, prove it, and delete what is not kept any more.

    Args:
        step: The login, `databases`, `collection`, the store (backups.Place); id: its name ("": by the time);
            full_every: most backups of a chain (1: always full); keep: good backups to keep (14);
            smaller: whether it may hold much less than the one before.

    Returns:
        id, base, started, made, seconds, bytes, tables, rows, expired.
    """
    started = time.time()
    place, names = Place.from_arguments(step, COMPONENT), _names(step)
    identity = backups.identity(step) or backups.new_identity(started)
    client = _client(step)
    with backups.attempt(place, identity):
        base = _base(place, int(arguments.number(step, "full_every", 1)))
        manifest = _made(client, step, names, identity, base)
        previous = next(iter(backups.good(place)), None)
        _refuse_collapse(manifest, previous, smaller=step.get("smaller") is True)
        backups.publish(place, manifest)
        expired = backups.expire(place, int(arguments.number(step, "keep", 14)), time.time())
    return {**_told(manifest), "base": manifest.base, "expired": expired}


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.backup,
        "started": manifest.started,
        "made": manifest.made,
        "seconds": manifest.seconds,
        "bytes": manifest.bytes,
        "tables": len(manifest.proof),
        "rows": clickhouse_proof.rows_of(manifest.proof),
    }


def _base(place: Place, full_every: int) -> str:
    """Return the backup to build on, "" for a full one: the newest good one while its chain is short enough."""
    good = {one.backup: one for one in backups.good(place)}
    newest = next(iter(good), "")
    chain, name = 0, newest
    while name:
        chain, name = chain + 1, good[name].base
    return newest if 0 < chain < full_every else ""


def _made(client: Client, step: Mapping[str, Any], names: list[str], identity: str, base: str) -> Manifest:
    """Make a backup, read it back, and return its manifest."""
    if absent := sorted(set(names) - _databases(client)):
        raise ToolError(f"Databases {', '.join(absent)} are not there, so there is nothing to back up in them")
    tables = clickhouse_proof.tables(client, names)
    still = clickhouse_proof.parts(client, names)
    before = clickhouse_proof.proof(client, tables)
    definitions = clickhouse_proof.definitions(client, names)
    started = time.time()
    on = f", base_backup = {_source(step, base)}" if base else ""
    canaries = _canaries(client)
    what = _what(names, canaries)
    done = _run(client, f"BACKUP {what} TO {_source(step, identity)}", step, on)
    if int(done["num_files"]) == 0:
        raise ToolError(f"Backup '{identity}' holds no file")
    now = clickhouse_proof.parts(client, names)
    with clickhouse_proof.opened(client, names, _source(step, identity), identity) as places:
        proof = clickhouse_proof.proof(client, tables, places)
    clickhouse_proof.check_source(before, still, now, proof)
    objects, size = backups.own_objects(Place.from_arguments(step, COMPONENT), identity)
    versions = {"clickhouse": client.query("SELECT version()").decode().strip(), "schema": _schema_version(client)}
    more = {"databases": names, "canaries": canaries, "definitions": definitions}
    return Manifest(identity, base, started, time.time(), size, objects, versions, proof, more)


def _databases(client: Client) -> set[str]:
    return {str(row["name"]) for row in client.rows("SELECT name FROM system.databases")}


def _schema_version(client: Client) -> str:
    try:
        return str(client.rows(_SCHEMA_VERSION)[0]["version"])
    except ClickHouseError:
        return ""


def _refuse_collapse(manifest: Manifest, previous: Manifest | None, *, smaller: bool) -> None:
    """Refuse a backup that lost most of what the one before holds: a wrong volume looks like that, and a disaster.

    Raises:
        ToolError: it did, and nobody said that it may.
    """
    if previous is None or smaller:
        return
    rows, before = (clickhouse_proof.rows_of(one.proof) for one in (manifest, previous))
    if rows < before * SMALLEST_SHARE:
        raise ToolError(
            f"Backup '{manifest.backup}' holds {rows} rows, the one before, '{previous.backup}', {before}; it does not "
            "count. If that is right, say so with `-e smaller=<region>`"
        )


def restore(step: Mapping[str, Any]) -> dict[str, Any]:
    """Restore `databases`, or one `table`, from the backup `id` or the newest good one, and compare with its proof.

    Args:
        step: The login, `databases`, `collection`, the store; replace: whether what holds rows may be dropped;
            table: `database.table`, to restore only that; as: where to, beside the live one;
            foreign: whether the store is another region's, which is only read.

    Returns:
        id, started, made, rows, compared (tables), seconds of the restore, compare_seconds.
    """
    place = Place.from_arguments(step, COMPONENT)
    manifest = backups.chosen(place, backups.identity(step))
    client = _client(step)
    if step.get("foreign") is True:
        return _restored(client, step, manifest)
    with backups.held(place, f"restore-{manifest.backup}"):
        return _restored(client, step, manifest)


def _restored(client: Client, step: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    started = time.monotonic()
    table = str(step.get("table") or "")
    what, names = _cleared_table(client, step, manifest, table) if table else _cleared(client, step, manifest)
    _run(client, f"RESTORE {what} FROM {_source(step, manifest.backup)}", step)
    restored = time.monotonic()
    wanted = {name: manifest.proof[name] for name in names}
    seen = _seen(client, names)
    if wrong := clickhouse_proof.differences(wanted, seen, time.time()):
        raise ToolError(f"Backup '{manifest.backup}' was restored but differs from its proof: {'; '.join(wrong[:5])}")
    return {
        **_told(manifest),
        "rows": clickhouse_proof.rows_of(seen),
        "compared": len(wanted),
        "seconds": round(restored - started, 2),
        "compare_seconds": round(time.monotonic() - restored, 2),
    }


def _seen(client: Client, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the proof of what is there now of some tables of a backup; `names` tells where each of them is."""
    databases = sorted({place.partition(".")[0] for place in names.values()})
    there = {one.full_name: one for one in clickhouse_proof.tables(client, databases)}
    found = clickhouse_proof.proof(client, [there[place] for place in names.values() if place in there])
    return {name: found[place] for name, place in names.items() if place in found}


def _cleared(client: Client, step: Mapping[str, Any], manifest: Manifest) -> tuple[str, dict[str, str]]:
    """Drop what a restore of databases replaces; return what to restore, and where each table will be.

    Raises:
        ToolError: rows would be lost and nobody allowed it. Our own rows about the schema come back with the backup.
    """
    names = [name for name in _names(step) if name in manifest.more["databases"]]
    counted = counts(client, names)
    held = sorted(table for table, rows in counted.items() if rows and not table.startswith(BOOKKEEPING))
    if held and step.get("replace") is not True:
        raise ToolError(f"Tables hold rows and would be lost: {', '.join(held)}; ask for replace to drop them")
    for name in names:
        client.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    canaries = [str(name) for name in manifest.more["canaries"]]
    client.query(f"CREATE DATABASE IF NOT EXISTS {CANARIES}")
    for name in canaries:  # a new server's exporter has begun anew
        client.query(f"DROP TABLE IF EXISTS {CANARIES}.{name} SYNC")
    return _what(names, canaries), {name: name for name in manifest.proof if name.partition(".")[0] in names}


def _cleared_table(
    client: Client, step: Mapping[str, Any], manifest: Manifest, table: str
) -> tuple[str, dict[str, str]]:
    """Drop what a restore of one table replaces; return what to restore, and where it will be."""
    target = str(step.get("as") or table)
    for name in (table, target):
        if not all(_NAME.match(part) for part in name.split(".")) or name.count(".") != 1:
            raise ArgumentError(f"A table is named as database.table, not '{name}'")
    if table not in manifest.proof:
        known = ", ".join(sorted(manifest.proof))
        raise ToolError(f"Backup '{manifest.backup}' holds no table '{table}'; it holds {known}")
    rows = counts(client, [target.partition(".")[0]]).get(target, 0)
    if rows and step.get("replace") is not True:
        raise ToolError(f"Table {target} holds {rows} rows that would be lost; ask for replace, or name another place")
    client.query(f"DROP TABLE IF EXISTS {target} SYNC")
    return f"TABLE {table} AS {target}", {table: target}


def counts(client: Client, names: list[str]) -> dict[str, int]:
    """Return the number of rows of each table that holds rows of its own, by `database.table`."""
    parts = clickhouse_proof.parts(client, names)
    there = [one.full_name for one in clickhouse_proof.tables(client, names)]
    return {name: sum(rows for rows, _block in parts.get(name, {}).values()) for name in there}


def compare(step: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what is there now with the proof of the backup `id`. Result: id, compared, rows, differences."""
    manifest = backups.chosen(Place.from_arguments(step, COMPONENT), backups.identity(step))
    names = {name: name for name in manifest.proof if name.partition(".")[0] in _names(step)}
    seen = _seen(_client(step), names)
    wrong = clickhouse_proof.differences({name: manifest.proof[name] for name in names}, seen, time.time())
    return {
        "id": manifest.backup,
        "compared": len(names),
        "rows": clickhouse_proof.rows_of(seen),
        "differences": wrong,
    }


def look(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look into the backup `id` without restoring it. Result: id, made, tables {name: rows, columns, intact}."""
    place = Place.from_arguments(step, COMPONENT)
    manifest = backups.chosen(place, backups.identity(step))
    client, names = _client(step), list(manifest.more["databases"])
    with clickhouse_proof.opened(client, names, _source(step, manifest.backup), manifest.backup) as places:
        there = {name: places[name.partition(".")[0]] for name in manifest.proof}
        tables = [
            clickhouse_proof.Table(
                database, name, one["engine"], tuple((column, kind) for column, kind in one["columns"])
            )
            for (database, _dot, name), one in ((full.partition("."), one) for full, one in manifest.proof.items())
        ]
        seen = {one.full_name: clickhouse_proof.partitions(client, one, there[one.full_name]) for one in tables}
    return {
        "id": manifest.backup,
        "made": manifest.made,
        "tables": {
            name: {
                "rows": sum(int(part[0]) for part in seen[name].values()),
                "columns": [column for column, _kind in one["columns"]],
                "intact": _sums(seen[name]) == _sums(one["partitions"]),
            }
            for name, one in manifest.proof.items()
        },
    }


def _sums(partitions: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: part[:3] for name, part in partitions.items()}
