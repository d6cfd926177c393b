"""What proves that tables of ClickHouse hold the same rows: a checksum per table and partition, free of any order.

A checksum is the number of rows, and sum and xor of a 64-bit hash of each row over its named columns. States of
aggregate functions count by their result, and rows that the engine merges away count as merged (FINAL within a
partition). A table is read once, whatever its size; so is a backup, in place, through the engine Backup.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .clickhouse import Client

FINAL_ENGINES: Final = re.compile(
    r"(?:Replicated)?(?:Replacing|Aggregating|Summing|Collapsing|VersionedCollapsing|Coalescing)"
)
FAMILY: Final = "MergeTree"
KEPT_COLUMNS: Final = frozenset({"", "DEFAULT", "MATERIALIZED"})
"""Kinds of columns that are stored; aliases are computed when they are read."""
EXPIRY_MARGIN_SECONDS: Final = 3600
_TTL = re.compile(r"\bTTL (.+?)(?: SETTINGS |\Z)", re.DOTALL)
_TTL_RULE = re.compile(r"\A(.+?)(?:,| DELETE| WHERE | TO | RECOMPRESS | GROUP BY |\Z)", re.DOTALL)
_TABLES = (
    "SELECT database, name, engine, engine_full, create_table_query FROM system.tables"
    " WHERE database IN ({names}) AND NOT is_temporary ORDER BY database, name"
)
_COLUMNS = (
    "SELECT database, table, name, type, default_kind FROM system.columns WHERE database IN ({names})"
    " ORDER BY database, table, position"
)
_PARTS = (
    "SELECT database, table, partition_id, sum(rows) AS held, max(max_block_number) AS block FROM system.parts"
    " WHERE active AND database IN ({names}) GROUP BY database, table, partition_id"
)
Partitions = dict[str, list[Any]]
"""Partition -> [rows, sum, xor, second at which its first row may expire or None]; sums are text."""


@dataclass(frozen=True)
class Table:
    """One table with data.

    Attributes:
        database: Its database.
        name: Its name.
        engine: Its engine.
        columns: (name, type) of what is stored, in order.
        ttl: Expression after which a row may be dropped, "" for never.
    """

    database: str
    name: str
    engine: str
    columns: tuple[tuple[str, str], ...]
    ttl: str = ""

    @property
    def full_name(self) -> str:
        """Return `database.table`."""
        return f"{self.database}.{self.name}"

    @property
    def final(self) -> bool:
        """Whether the engine merges rows away."""
        return FINAL_ENGINES.match(self.engine) is not None

    def checksum(self, database: str) -> str:
        """Return the query of its checksum by partition, read from a database that may be another one."""
        row = ", ".join(_hashed(name, kind) for name, kind in self.columns)
        expires = f"toUnixTimestamp(toDateTime({self.ttl}))" if self.ttl else "0"
        source = f"{_quoted(database)}.{_quoted(self.name)}{' FINAL' if self.final else ''}"
        return (
            "SELECT _partition_id AS partition, count() AS held, toString(sum(hash)) AS sum,"  # noqa: S608 - quoted names
            f" toString(groupBitXor(hash)) AS xor, min(expires) AS expires FROM (SELECT _partition_id,"
            f" cityHash64(tuple({row})) AS hash, {expires} AS expires FROM {source}) GROUP BY partition"
            " SETTINGS do_not_merge_across_partitions_select_final = 1"
        )


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _hashed(name: str, kind: str) -> str:
    return f"finalizeAggregation({_quoted(name)})" if kind.startswith("AggregateFunction(") else _quoted(name)


def _text(names: list[str]) -> str:
    return ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in names)


def ttl_of(engine: str) -> str:
    """Return the first expression of a table's TTL from its full engine, "" without one."""
    found = _TTL.search(engine)
    rule = _TTL_RULE.match(found[1].strip()) if found else None
    return rule[1].strip() if rule else ""


def tables(client: Client, names: list[str]) -> list[Table]:
    """Return the tables of databases that hold rows of their own."""
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in client.rows(_COLUMNS.format(names=_text(names))):
        if row["default_kind"] in KEPT_COLUMNS:
            columns.setdefault((row["database"], row["table"]), []).append((row["name"], row["type"]))
    return [
        Table(
            row["database"],
            row["name"],
            row["engine"],
            tuple(columns.get((row["database"], row["name"]), ())),
            ttl_of(row["engine_full"]),
        )
        for row in client.rows(_TABLES.format(names=_text(names)))
        if row["engine"].endswith(FAMILY)
    ]


def definitions(client: Client, names: list[str]) -> dict[str, str]:
    """Return how each table and view of databases is made, those without rows of their own too."""
    rows = client.rows(_TABLES.format(names=_text(names)))
    return {f"{row['database']}.{row['name']}": row["create_table_query"] for row in rows}


def parts(client: Client, names: list[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return table -> partition -> (rows, highest block): the same twice when nothing was inserted in between."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for row in client.rows(_PARTS.format(names=_text(names))):
        table = found.setdefault(f"{row['database']}.{row['table']}", {})
        table[row["partition_id"]] = (int(row["held"]), int(row["block"]))
    return found


def partitions(client: Client, table: Table, database: str = "") -> Partitions:
    """Return the checksums of a table by partition, read from its own database or from another one."""
    return {
        row["partition"]: [int(row["held"]), row["sum"], row["xor"], int(row["expires"]) if table.ttl else None]
        for row in client.rows(table.checksum(database or table.database))
    }


def proof(client: Client, found: list[Table], places: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what proves the content of tables, by name; `places` maps a database to the one to read instead."""
    return {
        one.full_name: {
            "engine": one.engine,
            "columns": [list(column) for column in one.columns],
            "partitions": partitions(client, one, (places or {}).get(one.database, "")),
        }
        for one in found
    }


def rows_of(proven: Mapping[str, Any]) -> int:
    """Return the number of rows in a proof."""
    return sum(int(part[0]) for one in proven.values() for part in one["partitions"].values())


def differences(wanted: Mapping[str, Any], seen: Mapping[str, Any], now: float) -> list[str]:
    """Return what differs between two proofs; partitions that may have expired by now may be missing.

    Args:
        wanted: Of the backup.
        seen: Of what was restored.
        now: Second since 1970.
    """
    wrong = []
    for name, one in sorted(wanted.items()):
        other = seen.get(name)
        if other is None:
            wrong.append(f"table {name} is not there")
        elif one["columns"] != other["columns"]:
            wrong.append(f"table {name} has other columns")
        else:
            wrong += [f"table {name}, {text}" for text in _unequal(one["partitions"], other["partitions"], now)]
    return wrong


def _unequal(wanted: Partitions, seen: Partitions, now: float) -> list[str]:
    found = []
    for partition in sorted({*wanted, *seen}):
        before, after = wanted.get(partition), seen.get(partition)
        expires = (before or after or [0, "", "", None])[3]
        if expires is not None and expires < now + EXPIRY_MARGIN_SECONDS:
            continue
        if (before or [0])[:3] != (after or [0])[:3]:
            counts = f"{(before or [0])[0]} rows expected, {(after or [0])[0]} found"
            same = bool(before and after and before[0] == after[0])
            found.append(f"partition {partition}: {counts}{', and they are others' if same else ''}")
    return found


@contextmanager
def opened(client: Client, names: list[str], source: str, identity: str) -> Iterator[dict[str, str]]:
    """Open the databases of a backup for reading, without restoring; gives database -> the name to read it under.

    Args:
        client: An administrator.
        names: Databases of the backup.
        source: Where it lies, an expression such as `S3(collection, 'data/x/')`.
        identity: Makes the names new.
    """
    mark = re.sub(r"[^A-Za-z0-9]", "_", identity)
    places = {name: f"kontrol_look_{mark}_{name}" for name in names}
    try:
        for name, place in places.items():
            client.query(f"DROP DATABASE IF EXISTS {place}")
            client.query(f"CREATE DATABASE {place} ENGINE = Backup('{name}', {source})")
        yield places
    finally:
        for place in places.values():
            client.query(f"DROP DATABASE IF EXISTS {place}")


def check_source(
    before: Mapping[str, Any], still: Mapping[str, Any], now: Mapping[str, Any], backup: Mapping[str, Any]
) -> None:
    """Compare a backup with the source it was made of, in each partition that nobody wrote to meanwhile.

    A partition that was written to may hold more in the backup than was read before; only the number of its rows is
    compared then. Merges and inserts both show in the blocks, so a partition never counts as quiet by mistake.

    Args:
        before: Proof of the source, read before the backup began.
        still: Its parts before that proof was read.
        now: Its parts after the backup.
        backup: Proof of the backup.

    Raises:
        ToolError: the backup lacks rows of the source.
    """
    wrong = []
    for name, one in before.items():
        quiet = {part for part, seen in now.get(name, {}).items() if still.get(name, {}).get(part) == seen}
        for partition, (rows, total, xor, _expires) in one["partitions"].items():
            got = backup.get(name, {"partitions": {}})["partitions"].get(partition, [0, "0", "0", None])
            less = int(got[0]) < rows and not FINAL_ENGINES.match(one["engine"])
            if (partition in quiet and got[:3] != [rows, total, xor]) or (partition not in quiet and less):
                wrong.append(f"{name}, partition {partition}: {rows} rows in the source, {got[0]} in the backup")
    if wrong:
        raise ToolError(f"The backup is not what the source holds: {'; '.join(wrong[:5])}")
