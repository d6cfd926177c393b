"""What a drill does to ClickHouse and asks of it: canaries, how much it holds, what came back, and the damage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from . import arguments, canary
from .clickhouse import ClickHouseError, Client
from .clickhouse_probe import DATABASE, HEARTBEATS
from .clickhouse_work import BOOKKEEPING, counts, names

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARIES: Final = f"{DATABASE}.drill_canary"
NOT_THERE: Final = frozenset({60, 81})
"""ClickHouse's codes: no such table, no such database."""
_CREATE = (
    f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
    f"""CREATE TABLE IF NOT EXISTS {CANARIES} (drill String, seq UInt64, written DateTime64(3, 'UTC'))
    ENGINE = MergeTree ORDER BY (drill, seq) TTL toDateTime(written) + INTERVAL 30 DAY""",
)
_WRITE = f"INSERT INTO {CANARIES} FORMAT JSONEachRow"
_SEQS = (
    f"SELECT groupArray(toFloat64(seq)) AS seqs, toUnixTimestamp64Milli(max(written)) / 1000 AS last FROM {CANARIES}"  # noqa: S608 - names of ours
    " WHERE drill = {drill:String}"
)
_HEARTBEAT = (
    f"SELECT count() AS n, toFloat64(toUnixTimestamp(max(written))) AS last FROM {HEARTBEATS}"  # noqa: S608 - names of ours
    " WHERE written <= fromUnixTimestamp({before:Int64})"
)


def write(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write canaries of `drill`, see canary.run."""
    client, drill = Client.from_arguments(step), arguments.text(step, "drill")

    def prepare() -> None:
        for statement in _CREATE:
            client.query(statement)

    def one(seq: int, moment: float) -> None:
        client.query(_WRITE, json.dumps({"drill": drill, "seq": seq, "written": round(moment, 3)}).encode())

    return canary.run(step, prepare, one)


def recovered(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return which canaries of `drill` are there, and the newest heartbeat up to `before`; see canary.recovered."""
    client = Client.from_arguments(step)
    client.wait(arguments.number(step, "settle", 0.0))
    (found,) = _rows(client, _SEQS, drill=arguments.text(step, "drill")) or [{"seqs": [], "last": None}]
    seqs = [int(seq) for seq in found["seqs"]]
    before = int(arguments.number(step, "before"))
    (beat,) = _rows(client, _HEARTBEAT, before=str(before)) or [{"n": 0, "last": None}]
    return canary.recovered(
        seqs, float(found["last"]) if seqs else None, float(beat["last"]) if int(beat["n"]) else None
    )


def _rows(client: Client, query: str, **params: str) -> list[dict[str, Any]]:
    """Return the rows of a query, none where its table is not there."""
    try:
        return client.rows(query, params)
    except ClickHouseError as error:
        if error.code in NOT_THERE:
            return []
        raise


def held(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many rows `databases` hold that are somebody's data: rows, kinds {table: rows}."""
    client = Client.from_arguments(step)
    client.wait(arguments.number(step, "settle", 0.0))
    found = counts(client, names(step))
    kinds = {table: rows for table, rows in found.items() if rows and not table.startswith(BOOKKEEPING)}
    return {"rows": sum(kinds.values()), "kinds": kinds}


def destroy(step: Mapping[str, Any]) -> dict[str, Any]:
    """Drop `databases`, and that of the canaries. Result: dropped."""
    client = Client.from_arguments(step)
    doomed = [*names(step), DATABASE]
    for name in doomed:
        client.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    return {"dropped": doomed}
