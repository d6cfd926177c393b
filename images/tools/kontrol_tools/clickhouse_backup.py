"""Backs ClickHouse up to S3 by its own BACKUP over a named collection, and proves what it made.

A backup counts once it was read back from the store, compared with its source as far as that stood still, and its proof
was written (backups.py). What exporter and drills write is part of each backup, but of no proof: it goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups, clickhouse_proof, clickhouse_work, second_store
from .backups import Manifest, Place
from .clickhouse import ClickHouseError
from .clickhouse_probe import DATABASE as CANARIES
from .clickhouse_work import BOOKKEEPING, CANARY_TABLES, COMPONENT, counts
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clickhouse import Client
    from .clickhouse_proof import Piece, Table

__all__ = ["BOOKKEEPING", "COMPONENT", "backup", "counts"]

SMALLEST_SHARE: Final = 0.5
"""A table with a smaller share of its rows of the backup before is taken for a mistake."""
FEW_ROWS: Final = 100
"""A table with fewer rows may lose most of them."""
_PROOF = "kontrol_proof_"
_SCHEMA_VERSION = "SELECT max(version) AS version FROM kontrol.schema_versions"


def backup(step: Mapping[str, Any]) -> dict[str, Any]:
    """Make a backup of `databases`, prove it, delete what is not kept any more, and copy it to the second store.

    Args:
        step: The login, `databases`, `collection`, the store (backups.Place); id: its name ("": by the time);
            full_every: most backups of a chain (1: always full); keep: good backups to keep (14);
            smaller: whether it may hold much less than the one before; patience: seconds for BACKUP; second, scratch:
            see second_store.copy.

    Returns:
        id, base, started, made, seconds, bytes, tables, rows, unproven (parts and partitions that were written to
        meanwhile, so that they were read back but not compared with the source), expired, copied (to the second store).

    Raises:
        ToolError: there is no backup, or it is good and not in the second store.
    """
    started = time.time()
    place, names = Place.from_arguments(step, COMPONENT), clickhouse_work.names(step)
    identity = backups.identity(step) or backups.new_identity(started)
    with backups.attempt(place, identity):
        client = clickhouse_work.client(step)
        _refuse_half_restored(client)
        base = base_of(place, int(arguments.number(step, "full_every", 1)))
        previous = next(iter(backups.good(place)), None)
        manifest = _made(client, step, names, identity, base)
        refuse_collapse(manifest, previous, smaller=step.get("smaller") is True)
        backups.publish(place, manifest)
        expired = backups.expire(place, backups.to_keep(step), time.time())
        copied = second_store.copy(step, place, identity)
        if copied.problem:
            raise ToolError(f"Backup '{identity}' is complete, but {copied.problem}")
    result = {**told(manifest), "base": manifest.base, "unproven": manifest.more["unproven"]}
    return {**result, "expired": expired, "copied": copied.copied}


def told(manifest: Manifest) -> dict[str, Any]:
    """Return what a result tells of a backup."""
    return {
        "id": manifest.backup,
        "started": manifest.started,
        "made": manifest.made,
        "seconds": manifest.seconds,
        "bytes": manifest.bytes,
        "tables": len(manifest.proof),
        "rows": clickhouse_proof.rows_of(manifest.proof),
    }


def _refuse_half_restored(client: Client) -> None:
    """Refuse to back up what a restore has left half-way. Raises ToolError."""
    if left := clickhouse_work.unfinished(client):
        raise ToolError(
            f"A restore of '{left['backup']}' never ended, so what is there may be half of it. Restore again; or, if "
            f"what is there is right, DROP DATABASE {clickhouse_work.UNFINISHED}"
        )


def base_of(place: Place, full_every: int) -> str:
    """Return the backup to build on, "" for a full one.

    It is the newest good one while its chain is short enough. After an attempt that failed it is none: the base may be
    why, and the next would fail the same way. One that made a good backup has failed only to copy it.
    """
    good = {one.backup: one for one in backups.good(place)}
    last = backups.last_attempt(place)
    if last.get("ok") is False and last.get("backup") not in good:
        return ""
    newest = next(iter(good), "")
    chain, name = 0, newest
    while name:
        chain, name = chain + 1, good[name].base
    return newest if 0 < chain < full_every else ""


def _made(client: Client, step: Mapping[str, Any], names: list[str], identity: str, base: str) -> Manifest:
    """Make a backup, read it back, and return its manifest."""
    there = {str(row["name"]) for row in client.rows("SELECT name FROM system.databases")}
    if absent := sorted(set(names) - there):
        raise ToolError(f"Databases {', '.join(absent)} are not there, so there is nothing to back up in them")
    tables = clickhouse_proof.tables(client, names)
    definitions = clickhouse_proof.definitions(client, names)
    still = clickhouse_proof.parts(client, names)
    before = {one.full_name: clickhouse_proof.pieces(client, one) for one in tables}
    canaries = _canaries(client)
    started = time.time()
    what = ", ".join(text for text in (clickhouse_work.databases(names), clickhouse_work.canaries(canaries)) if text)
    on = f", base_backup = {clickhouse_work.source(step, base)}" if base else ""
    done = clickhouse_work.run(client, f"BACKUP {what} TO {clickhouse_work.source(step, identity)}", step, on)
    if int(done["num_files"]) == 0:
        raise ToolError(f"Backup '{identity}' holds no file")
    now = clickhouse_proof.parts(client, names)
    quiet = {name: _quiet(still.get(name, {}), now.get(name, {})) for name in {*still, *now}}
    proof, unproven = _proof(client, step, identity, tables, before, quiet)
    objects, size = backups.own_objects(Place.from_arguments(step, COMPONENT), identity)
    if not objects:
        raise ToolError(f"Nothing of backup '{identity}' is in the backup store: the server writes to another one")
    versions = {"clickhouse": client.query("SELECT version()").decode().strip(), "schema": _schema_version(client)}
    more = {"databases": names, "canaries": canaries, "definitions": definitions, "unproven": unproven}
    return Manifest(identity, base, started, time.time(), size, objects, versions, proof, more)


def _quiet(still: Mapping[str, tuple[int, int, int]], now: Mapping[str, tuple[int, int, int]]) -> set[str]:
    """Return the partitions into which nothing came, and in which nothing was changed; merges do not count."""
    return {name for name, (_rows, *marks) in still.items() if name in now and list(now[name][1:]) == marks}


def _proof(
    client: Client,
    step: Mapping[str, Any],
    identity: str,
    tables: list[Table],
    before: Mapping[str, list[Piece]],
    quiet: Mapping[str, set[str]],
) -> tuple[dict[str, Any], int]:
    """Read a backup back and compare it with its source; return its proof, and how much of it had no comparison."""
    proof, wrong, unproven = {}, [], 0
    names = sorted({one.database for one in tables if one.readable})
    with clickhouse_proof.opened(client, names, clickhouse_work.source(step, identity), _PROOF) as places:
        columns = clickhouse_proof.columns_of(client, places.values())
        for one in tables:
            if not one.readable:
                proof[one.full_name], moving = _from_source(client, one, before[one.full_name])
                unproven += moving
                continue
            seen = columns.get(f"{places[one.database]}.{one.name}")
            if seen != one.columns:
                wrong.append(f"{one.full_name} {'has other columns in' if seen else 'is not in'} the backup")
                continue
            try:
                found = clickhouse_proof.pieces(client, one, places[one.database])
            except ClickHouseError as error:
                wrong.append(str(error))
                continue
            lacking, more = clickhouse_proof.check_source(
                before[one.full_name], found, quiet=quiet.get(one.full_name, set()), now=time.time()
            )
            wrong += [f"{one.full_name}, {lacking}"] if lacking else []
            unproven += more
            proof[one.full_name] = clickhouse_proof.proven(one, found)
    if wrong:
        raise ToolError(f"The backup is not what the source holds: {'; '.join(wrong[:5])}")
    return proof, unproven


def _from_source(client: Client, table: Table, before: list[Piece]) -> tuple[dict[str, Any], bool]:
    """Return the proof of a table that no backup shows, and whether it was written to meanwhile."""
    after = clickhouse_proof.pieces(client, table)
    moving = clickhouse_proof.partitions(before) != clickhouse_proof.partitions(after)
    read = clickhouse_proof.LEAST if moving else "source"
    return clickhouse_proof.proven(table, before, read), moving


def _canaries(client: Client) -> list[str]:
    """Return the tables of canaries that are there."""
    found = {name.partition(".")[2] for name in clickhouse_proof.definitions(client, [CANARIES])}
    return [name for name in CANARY_TABLES if name in found]


def _schema_version(client: Client) -> str:
    try:
        return str(client.rows(_SCHEMA_VERSION)[0]["version"])
    except ClickHouseError:
        return ""


def refuse_collapse(manifest: Manifest, previous: Manifest | None, *, smaller: bool) -> None:
    """Refuse a backup in which a table lost most of its rows: a wrong volume looks like that, and a disaster.

    Rows that may have expired since the one before do not count.

    Raises:
        ToolError: one did, and nobody said that it may.
    """
    if previous is None or smaller:
        return
    lost = []
    for name, one in sorted(previous.proof.items()):
        had = clickhouse_proof.table_rows(one, manifest.made)
        has = clickhouse_proof.table_rows(manifest.proof[name]) if name in manifest.proof else 0
        if had >= FEW_ROWS and has < had * SMALLEST_SHARE:
            lost.append(f"{name} {has} rows instead of {had}")
    if lost:
        raise ToolError(
            f"Backup '{manifest.backup}' does not count, it holds much less than '{previous.backup}': "
            f"{'; '.join(lost[:5])}. If that is right, run the playbook backup with `-e smaller=<region>`"
        )
