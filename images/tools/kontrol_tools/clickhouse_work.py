"""What backups and restores of ClickHouse have in common: arguments, and BACKUP and RESTORE watched to their end."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from . import arguments, clickhouse_proof
from .clickhouse import ClickHouseError, Client
from .clickhouse_probe import DATABASE as CANARIES
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COMPONENT: Final = "clickhouse"
BOOKKEEPING: Final = "kontrol."
"""Start of the names of tables that hold rows about the schema: nobody's data."""
CANARY_TABLES: Final = ("canary", "drill_canary")
READ_SECONDS: Final = 3600.0
"""Most seconds of one query that reads a whole table."""
PATIENCE_SECONDS: Final = 3600.0
ORPHAN_SECONDS: Final = 60.0
"""How long to wait for a BACKUP or RESTORE that a killed Job has left to the server."""
AWAY_SECONDS: Final = 60.0
"""How long a server may be away while one runs; a server that was started anew has forgotten it, and says so."""
UNFINISHED: Final = "kontrol_unfinished_restore"
"""A database without tables, whose comment tells of a restore; it goes when the restore was compared."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_POLL_SECONDS = 0.2
_MISSED = 10
"""Looks at system.backups in a row that may miss an id: its row appears a moment after the answer."""
_RUNNING = "SELECT id, query_id FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING')"
_ONE = "SELECT status, error, num_files FROM system.backups WHERE id = {id:String}"
_DONE = ("BACKUP_CREATED", "RESTORED")
_FAILED = ("BACKUP_FAILED", "RESTORE_FAILED", "BACKUP_CANCELLED", "RESTORE_CANCELLED")


def names(step: Mapping[str, Any]) -> list[str]:
    """Return the argument `databases`. Raises ArgumentError."""
    found = step.get("databases")
    if not isinstance(found, list) or not found or not all(isinstance(n, str) and _NAME.match(n) for n in found):
        raise ArgumentError(f"Argument 'databases' must be a list of database names, not '{found!r}'")
    return found


def table_name(step: Mapping[str, Any], argument: str) -> str:
    """Return an argument that names a table as `database.table`, "" without it. Raises ArgumentError."""
    name = str(step.get(argument) or "")
    if name and (name.count(".") != 1 or not all(_NAME.match(part) for part in name.split("."))):
        raise ArgumentError(f"Argument '{argument}' must name a table as database.table, not '{name}'")
    return name


def client(step: Mapping[str, Any]) -> Client:
    """Return a client that has time for whole tables, once the server answers. Raises ToolError."""
    found = Client.from_arguments({"timeout": READ_SECONDS, **step})
    found.wait(arguments.number(step, "settle", 0.0))
    return found


def source(step: Mapping[str, Any], identity: str) -> str:
    """Return where a backup lies, as ClickHouse is told. Raises ArgumentError."""
    collection = arguments.text(step, "collection")
    if not _NAME.match(collection):
        raise ArgumentError(f"Argument 'collection' must be a name, not '{collection}'")
    return f"S3({collection}, 'data/{identity}/')"


def databases(names: Iterable[str]) -> str:
    """Return databases as BACKUP and RESTORE want them."""
    return ", ".join(f"DATABASE {name}" for name in names)


def canaries(names: Iterable[str]) -> str:
    """Return tables of canaries as BACKUP and RESTORE want them."""
    return ", ".join(f"TABLE {CANARIES}.{name}" for name in names)


def finish(
    client: Client, identity: str, deadline: float, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Wait for the end of a BACKUP or RESTORE and return its row of system.backups.

    Raises:
        ToolError: it failed, it was not done in time, or the server forgot it: it was started anew in between.
    """
    missed, away = 0, None
    while True:
        try:
            rows = client.rows(_ONE, {"id": identity})
        except ClickHouseError as error:
            away = clock() if away is None else away
            if error.code or clock() > away + AWAY_SECONDS:
                raise
            time.sleep(_POLL_SECONDS)
            continue
        status = rows[0]["status"] if rows else "unknown"
        if status in _DONE:
            return rows[0]
        if status in _FAILED:
            raise ToolError(f"It ended as {status}: {_reason(str(rows[0]['error']))}")
        away, missed = None, 0 if rows else missed + 1
        if missed > _MISSED:
            raise ToolError("ClickHouse does not know it any more: the server was started anew while it ran")
        if clock() > deadline:
            raise ToolError(f"It was not done in time; its state is '{status}'")
        time.sleep(_POLL_SECONDS)


def _reason(error: str) -> str:
    return " ".join(error.partition("Stack trace")[0].split())[:300].rstrip(", ")


def run(client: Client, statement: str, step: Mapping[str, Any], settings: str = "") -> dict[str, Any]:
    """Start a BACKUP or RESTORE and wait for its end; it is ended when nobody waits any more. Raises ToolError."""
    _alone(client)
    what = statement.partition(" ")[0]
    deadline = time.monotonic() + arguments.number(step, "patience", PATIENCE_SECONDS)
    answer = client.query(f"{statement} SETTINGS async = 1{settings}")
    identity = answer.decode().split("\t")[0].strip()
    try:
        return finish(client, identity, deadline)
    except ToolError as error:
        with suppress(ToolError):
            _end(client, identity)
        raise ToolError(f"{what} failed: {error}") from error


def _end(client: Client, identity: str) -> None:
    for row in client.rows(_RUNNING):
        if row["id"] == identity:
            client.query("KILL QUERY WHERE query_id = {id:String} ASYNC", params={"id": row["query_id"]})


def _alone(client: Client, clock: Callable[[], float] = time.monotonic) -> None:
    """Wait until the server does nothing that a killed Job has left. Raises ToolError."""
    deadline = clock() + ORPHAN_SECONDS
    while running := client.rows(_RUNNING):
        if clock() > deadline:
            raise ToolError(
                f"BACKUP or RESTORE '{running[0]['id']}' of a Job that is gone still runs in ClickHouse; wait, or "
                f"end it with KILL QUERY WHERE query_id = '{running[0]['query_id']}'"
            )
        time.sleep(_POLL_SECONDS)


def counts(client: Client, names: list[str]) -> dict[str, int]:
    """Return the number of rows of each table that holds rows of its own, by `database.table`."""
    return clickhouse_proof.counts(client, names)


def unfinished(client: Client) -> dict[str, Any]:
    """Return what a restore that never ended has written down: backup, at, targets; nothing when there is none."""
    query = "SELECT comment FROM system.databases WHERE name = {name:String}"
    for row in client.rows(query, {"name": UNFINISHED}):
        with suppress(ValueError):
            told = json.loads(row["comment"])
            if isinstance(told, dict) and isinstance(told.get("targets"), list):
                return told
        return {"backup": "unknown", "at": 0.0, "targets": []}
    return {}


def begin(client: Client, backup: str, targets: list[str]) -> None:
    """Write down that a restore has begun: rows in its targets are nobody's until it has ended."""
    end(client)
    comment = json.dumps({"backup": backup, "at": time.time(), "targets": targets})
    client.query(f"CREATE DATABASE {UNFINISHED} COMMENT '{comment}'")


def end(client: Client) -> None:
    """Write down that a restore has ended."""
    client.query(f"DROP DATABASE IF EXISTS {UNFINISHED} SYNC")
