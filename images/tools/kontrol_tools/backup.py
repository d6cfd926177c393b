"""Backs databases up to S3 and restores them, by ClickHouse's own BACKUP and RESTORE over a named collection.

A backup counts only when its manifest is there: one row per table with the number of rows, written last, after the
backup itself was found complete and not empty. Restore takes nothing without a manifest and compares with it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import arguments, s3
from .clickhouse import Client
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_POLL_SECONDS = 0.5
_BOOKKEEPING = "kontrol."
_COUNTED = (
    "SELECT database, name, engine, total_rows FROM system.tables"
    " WHERE database IN ({names}) AND total_rows IS NOT NULL"
)


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


def _list(names: list[str]) -> str:
    return ", ".join(f"DATABASE {name}" for name in names)


@dataclass(frozen=True)
class Count:
    """Rows of a table; not exact for engines that merge rows away (Replacing, Aggregating ...)."""

    rows: int
    exact: bool


def counts(client: Client, names: list[str]) -> dict[str, Count]:
    """Return the number of rows of each table that holds data, by `database.table`."""
    rows = client.rows(_COUNTED.format(names=", ".join(f"'{name}'" for name in names)))
    return {
        f"{row['database']}.{row['name']}": Count(int(row["total_rows"]), str(row["engine"]) == "MergeTree")
        for row in rows
    }


def _total(found: Mapping[str, Count]) -> int:
    return sum(count.rows for count in found.values())


def finish(
    client: Client, identity: str, deadline: float, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Wait for the end of a BACKUP or RESTORE and return its row of system.backups; a failure is an error."""
    while True:
        query = "SELECT status, error, num_files, total_size FROM system.backups WHERE id = {id:String}"
        rows = client.rows(query, {"id": identity})
        status = rows[0]["status"] if rows else "unknown"
        if status in ("BACKUP_CREATED", "RESTORED"):
            return rows[0]
        if status in ("BACKUP_FAILED", "RESTORE_FAILED", "BACKUP_CANCELLED", "RESTORE_CANCELLED"):
            raise ToolError(f"It ended as {status}: {str(rows[0]['error']).partition('Stack trace')[0][:300]}")
        if clock() > deadline:
            raise ToolError(f"It was not done in time; its state is '{status}'")
        time.sleep(_POLL_SECONDS)


def _start(client: Client, statement: str) -> str:
    return client.query(f"{statement} ASYNC").decode().split("\t")[0].strip()


def _ensure_bucket(step: Mapping[str, Any]) -> None:
    """Make the bucket where the step names a store to make it in; cloud buckets are made by their foundation."""
    if not step.get("endpoint"):
        return
    store = s3.Store(
        endpoint=arguments.text(step, "endpoint"),
        region=arguments.text(step, "region", "us-east-1"),
        access_key=arguments.secret(arguments.text(step, "access_key_file")),
        secret_key=arguments.secret(arguments.text(step, "secret_key_file")),
    )
    s3.ensure_bucket(store, arguments.text(step, "bucket"))


def backup(step: Mapping[str, Any]) -> dict[str, Any]:
    """Make a backup named by `id` of `databases` and write its manifest."""
    client, names, collection = Client.from_arguments(step), _names(step), _collection(step)
    identity = arguments.text(step, "id")
    if not _ID.match(identity):
        raise ArgumentError(f"Argument 'id' must be letters, digits and dashes, not '{identity}'")
    client.wait(arguments.number(step, "settle", 0.0))
    _ensure_bucket(step)
    deadline = time.monotonic() + arguments.number(step, "patience", 3600.0)
    before = counts(client, names)
    done = finish(client, _start(client, f"BACKUP {_list(names)} TO S3({collection}, 'data/{identity}/')"), deadline)
    if int(done["num_files"]) == 0 or (_total(before) and int(done["total_size"]) == 0):
        raise ToolError(f"Backup '{identity}' is empty although the databases hold {_total(before)} rows")
    rows = _manifest_rows(identity, before, counts(client, names))
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    target = (
        f"s3({collection}, filename = 'manifests/{identity}.jsonl', format = 'JSONEachRow', structure = '{_MANIFEST}')"
    )
    client.query(f"INSERT INTO FUNCTION {target} FORMAT JSONEachRow", lines)
    found = _manifest(client, collection, identity)
    if len(found) != len(rows):
        raise ToolError(f"Manifest of backup '{identity}' holds {len(found)} of {len(rows)} tables")
    return {"id": identity, "bytes": int(done["total_size"]), "tables": len(rows), "rows": _total(before)}


def _manifest_rows(identity: str, before: Mapping[str, Count], after: Mapping[str, Count]) -> list[dict[str, Any]]:
    """Return a row per table: rows may arrive while a backup runs, so it holds a number between those two."""
    made, rows = int(time.time()), []
    for table, count in sorted(before.items()):
        least, most = sorted((count.rows, after.get(table, count).rows))
        rows.append(
            {"backup": identity, "made": made, "table": table, "least": least if count.exact else 0, "most": most}
        )
    return rows


_MANIFEST = "backup String, made UInt32, table String, least UInt64, most UInt64"


def _manifest(client: Client, collection: str, identity: str) -> list[dict[str, Any]]:
    """Return the rows of a manifest; of the newest one when no backup is named."""
    pattern = f"manifests/{identity or '*'}.jsonl"
    source = f"s3({collection}, filename = '{pattern}', format = 'JSONEachRow', structure = '{_MANIFEST}')"
    rows = client.rows(f"SELECT * FROM {source}")  # noqa: S608 - names were judged, a value cannot be put here
    if not rows:
        raise ToolError(f"Backup store has no manifest '{pattern}', so there is no complete backup of that name")
    newest = max(rows, key=lambda row: int(row["made"]))["backup"]
    return [row for row in rows if row["backup"] == newest]


def restore(step: Mapping[str, Any]) -> dict[str, Any]:
    """Restore `databases` from the backup `id`, or from the newest one, and compare with its manifest.

    Tables that hold rows are left alone and stop the restore, unless `replace` is true: then the databases are dropped.
    """
    client, names, collection = Client.from_arguments(step), _names(step), _collection(step)
    identity = str(step.get("id") or "")
    if identity and not _ID.match(identity):
        raise ArgumentError(f"Argument 'id' must be letters, digits and dashes, not '{identity}'")
    client.wait(arguments.number(step, "settle", 0.0))
    manifest = _manifest(client, collection, identity)
    _clear(client, names, replace=step.get("replace") is True)
    deadline = time.monotonic() + arguments.number(step, "patience", 3600.0)
    chosen = str(manifest[0]["backup"])
    finish(client, _start(client, f"RESTORE {_list(names)} FROM S3({collection}, 'data/{chosen}/')"), deadline)
    now = counts(client, names)
    wrong = [
        f"{row['table']} has {now[row['table']].rows if row['table'] in now else 'no'} rows, "
        f"expected {row['least']} to {row['most']}"
        for row in manifest
        if row["table"] not in now or not int(row["least"]) <= now[row["table"]].rows <= int(row["most"])
    ]
    if wrong:
        raise ToolError(f"Backup '{chosen}' was restored but differs from its manifest: {'; '.join(wrong)}")
    return {"id": chosen, "made": int(manifest[0]["made"]), "tables": len(manifest), "rows": _total(now)}


def _clear(client: Client, names: list[str], *, replace: bool) -> None:
    """Drop the databases; refuse when rows would be lost. Our own rows about the schema come back with the backup."""
    found = counts(client, names)
    held = sorted(table for table, count in found.items() if count.rows and not table.startswith(_BOOKKEEPING))
    if held and not replace:
        raise ToolError(f"Tables hold rows and would be lost: {', '.join(held)}; ask for replace to drop them")
    for name in names:
        client.query(f"DROP DATABASE IF EXISTS {name} SYNC")
