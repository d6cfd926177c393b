"""Restores ClickHouse from a backup and compares with its proof; compares and looks without restoring, too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from . import backups, clickhouse_proof, clickhouse_work
from .backups import Manifest, Place
from .clickhouse import ClickHouseError
from .clickhouse_backup import told
from .clickhouse_probe import DATABASE as CANARIES
from .clickhouse_proof import Table, quoted
from .clickhouse_work import BOOKKEEPING, COMPONENT
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .clickhouse import Client

ABANDONED_SECONDS: Final = 86_400.0
"""Age from which rows that an unfinished restore has left may be somebody's."""
MOST_TOLD: Final = 5


def restore(step: Mapping[str, Any]) -> dict[str, Any]:
    """Restore `databases`, or one `database` or `table`, from the backup `id` or the newest good one, and compare it.

    What a restore that was killed has left is dropped without `replace`, within a day.

    Args:
        step: The login, `databases`, `collection`, the store; replace: whether what holds rows may be dropped;
            database: to restore only that one of them; table: `database.table`, to restore only that; as: where to,
            beside the live one; patience: seconds for RESTORE; foreign: whether the store is another region's, which is
            only read.

    Returns:
        id, started, made, bytes, tables, rows, compared (tables), seconds of the restore, compare_seconds.
    """
    place = Place.from_arguments(step, COMPONENT)
    if step.get("foreign") is True:
        return _restored(step, backups.chosen(place, backups.identity(step)))
    with backups.held(place, f"restore-{backups.new_identity(time.time())}"):
        return _restored(step, backups.chosen(place, backups.identity(step)))


def wanted_table(step: Mapping[str, Any]) -> str:
    """Return the one table to restore, "" for databases. Raises ArgumentError."""
    table = clickhouse_work.table_name(step, "table")
    if not table and step.get("as"):
        raise ArgumentError("Argument 'as' tells where one table goes, so 'table' must name it")
    return table


def wanted_databases(step: Mapping[str, Any]) -> list[str]:
    """Return the databases to restore. Raises ArgumentError."""
    one = str(step.get("database") or "")
    return clickhouse_work.names({"databases": [one]} if one else step)


def _restored(step: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    started = time.monotonic()
    client = clickhouse_work.client(step)
    table = wanted_table(step)
    names = _restore_table(client, step, manifest, table) if table else _restore_databases(client, step, manifest)
    restored = time.monotonic()
    wanted = {name: manifest.proof[name] for name in names}
    seen = _seen(client, names)
    wrong = clickhouse_proof.differences(wanted, seen, time.time())
    wrong += [] if table else _missing_views(client, manifest, wanted_databases(step))
    clickhouse_work.end(client)  # whatever comes of it, from now on rows are somebody's
    if wrong:
        raise ToolError(
            f"Backup '{manifest.backup}' was restored but differs from its proof: {'; '.join(wrong[:MOST_TOLD])}"
        )
    return {
        **told(manifest),
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


def _missing_views(client: Client, manifest: Manifest, names: Iterable[str]) -> list[str]:
    """Return which views and tables of a backup are not there, or are others where the same version tells of them."""
    there = clickhouse_proof.definitions(client, names)
    version = client.query("SELECT version()").decode().strip()
    wrong = []
    for name, text in sorted(manifest.more["definitions"].items()):
        if name.partition(".")[0] not in names or name in manifest.proof:
            continue
        if name not in there:
            wrong.append(f"{name} is not there")
        elif version == manifest.versions["clickhouse"] and there[name] != text:
            wrong.append(f"{name} is defined in another way")
    return wrong


def _mine(client: Client, target: str) -> bool:
    """Return whether rows of a target are what an unfinished restore has left there."""
    left = clickhouse_work.unfinished(client)
    return bool(left) and target in left["targets"] and time.time() - float(left["at"]) < ABANDONED_SECONDS


def _restore_databases(client: Client, step: Mapping[str, Any], manifest: Manifest) -> dict[str, str]:
    """Restore databases; return where each table is now, by its name in the backup.

    Raises:
        ToolError: rows would be lost and nobody allowed it. Our own rows about the schema come back with the backup.
    """
    names = [name for name in wanted_databases(step) if name in manifest.more["databases"]]
    if not names:
        held = ", ".join(manifest.more["databases"])
        raise ToolError(f"Backup '{manifest.backup}' holds no such database; it holds {held}")
    free = [name for name in names if not _mine(client, name)]
    counted = clickhouse_work.counts(client, free) if free else {}
    held_rows = sorted(table for table, rows in counted.items() if rows and not table.startswith(BOOKKEEPING))
    if held_rows and step.get("replace") is not True:
        raise ToolError(f"Tables hold rows and would be lost: {', '.join(held_rows)}; ask for replace to drop them")
    clickhouse_work.begin(client, manifest.backup, names)
    for name in names:
        client.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    at = clickhouse_work.source(step, manifest.backup)
    clickhouse_work.run(client, f"RESTORE {clickhouse_work.databases(names)} FROM {at}", step)
    _restore_canaries(client, step, manifest)
    return {name: name for name in manifest.proof if name.partition(".")[0] in names}


def _restore_canaries(client: Client, step: Mapping[str, Any], manifest: Manifest) -> None:
    """Put back what exporter and drills wrote; an exporter may make its table anew at any moment."""
    canaries = [str(name) for name in manifest.more["canaries"]]
    if not canaries:
        return
    client.query(f"CREATE DATABASE IF NOT EXISTS {CANARIES}")
    for name in canaries:
        client.query(f"DROP TABLE IF EXISTS {CANARIES}.{name} SYNC")
    what = f"RESTORE {clickhouse_work.canaries(canaries)} FROM {clickhouse_work.source(step, manifest.backup)}"
    clickhouse_work.run(client, what, step, ", allow_non_empty_tables = 1, allow_different_table_def = 1")


def _restore_table(client: Client, step: Mapping[str, Any], manifest: Manifest, table: str) -> dict[str, str]:
    """Restore one table; return where it is now, by its name in the backup. Raises ToolError."""
    target = clickhouse_work.table_name(step, "as") or table
    if table not in manifest.proof:
        known = ", ".join(sorted(manifest.proof))
        raise ToolError(f"Backup '{manifest.backup}' holds no table '{table}'; it holds {known}")
    database, _dot, name = target.partition(".")
    if (
        target in clickhouse_proof.definitions(client, [database])
        and step.get("replace") is not True
        and not _mine(client, target)
        and clickhouse_work.counts(client, [database]).get(target, 1)
    ):
        raise ToolError(f"'{target}' is there and would be lost; ask for replace, or name another place with 'as'")
    clickhouse_work.begin(client, manifest.backup, [target])
    client.query(f"CREATE DATABASE IF NOT EXISTS {database}")
    client.query(f"DROP TABLE IF EXISTS {database}.{quoted(name)} SYNC")
    at = clickhouse_work.source(step, manifest.backup)
    clickhouse_work.run(client, f"RESTORE TABLE {table} AS {target} FROM {at}", step)
    return {table: target}


def compare(step: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what is there now with the proof of the backup `id`. Result: id, compared, rows, differences."""
    manifest = backups.chosen(Place.from_arguments(step, COMPONENT), backups.identity(step))
    names = clickhouse_work.names(step)
    wanted = {name: one for name, one in manifest.proof.items() if name.partition(".")[0] in names}
    if not wanted:
        raise ArgumentError(f"Backup '{manifest.backup}' holds no table of these databases, so nothing was compared")
    client = clickhouse_work.client(step)
    seen = _seen(client, {name: name for name in wanted})
    wrong = clickhouse_proof.differences(wanted, seen, time.time())
    wrong += _missing_views(client, manifest, names)
    return {
        "id": manifest.backup,
        "compared": len(wanted),
        "rows": clickhouse_proof.rows_of(seen),
        "differences": wrong,
    }


def look(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look into the backup `id` without restoring it.

    Result: id, made, tables {name: rows, columns, intact, problem}. `intact` is null where no backup shows a table; its
    rows are those of the proof then, as they are where it cannot be read.
    """
    place = Place.from_arguments(step, COMPONENT)
    manifest = backups.chosen(place, backups.identity(step))
    client = clickhouse_work.client(step)
    names = list(manifest.more["databases"])
    at, prefix = clickhouse_work.source(step, manifest.backup), "kontrol_look_"
    with clickhouse_proof.opened(client, names, at, prefix) as places:
        there = {one.full_name: one for one in clickhouse_proof.tables(client, places.values())}
        tables = {
            name: _looked(client, one, there.get(f"{prefix}{name}")) for name, one in sorted(manifest.proof.items())
        }
    return {"id": manifest.backup, "made": manifest.made, "tables": tables}


def _looked(client: Client, wanted: Mapping[str, Any], there: Table | None) -> dict[str, Any]:
    """Return what a look sees of one table."""
    columns = [column for column, _kind in wanted["columns"]]
    told = {"rows": clickhouse_proof.table_rows(wanted), "columns": columns, "intact": None, "problem": ""}
    if there is None:
        lost = wanted["read"] == "backup"
        return {**told, "intact": False, "problem": "it is not in the backup"} if lost else told
    try:
        seen = clickhouse_proof.proven(there, clickhouse_proof.pieces(client, there))
    except ClickHouseError as error:
        return {**told, "intact": False, "problem": str(error)}
    intact = (seen["columns"], seen["partitions"]) == (wanted["columns"], wanted["partitions"])
    problem = "" if intact else "it differs from its proof"
    return {**told, "rows": clickhouse_proof.table_rows(seen), "intact": intact, "problem": problem}
