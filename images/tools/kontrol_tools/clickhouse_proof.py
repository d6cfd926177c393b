"""What proves that tables of ClickHouse hold the same rows: checksums per table and partition, free of any order.

A checksum is the number of rows, and sum and xor of a 64-bit hash of each row over its named columns. A table is read
once, whatever its size; so is a backup, in place, through the engine Backup.

- Rows that the engine merges away count as merged (FINAL within a partition). What it computes while merging depends in
  its last bits on the order of merges: floats of such engines count as Float32, lists without their order.
- States of aggregate functions count by their result.
- A row that has a TTL counts to the day it may go; days that are over by now are compared by nobody. Columns with a TTL
  of their own are left out.
- The engine Backup shows tables of the MergeTree family only. Others (Log, Memory, what lies within a materialized
  view) are read from the source before and after: equal both times, that is their proof; else only their rows count.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .clickhouse import ClickHouseError
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .clickhouse import Client

FAMILY: Final = "MergeTree"
FINAL_ENGINES: Final = re.compile(
    r"(?:Replicated)?(?:Replacing|Aggregating|Summing|Collapsing|VersionedCollapsing|Coalescing)"
)
COMPUTING_ENGINES: Final = re.compile(r"(?:Replicated)?(?:Aggregating|Summing)")
OTHER_ENGINES: Final = frozenset({"Log", "TinyLog", "StripeLog", "Memory"})
KEPT_COLUMNS: Final = frozenset({"", "DEFAULT", "MATERIALIZED"})
"""Kinds of columns that are stored; aliases are computed when they are read."""
EXPIRY_MARGIN_SECONDS: Final = 3600
DAY: Final = 86_400
LEAST: Final = "source, written to meanwhile"
"""Where a proof comes from that knows only how many rows there must be at least."""
_WORD = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\w+|\s+|.", re.DOTALL)
_ENDS = frozenset({"DELETE", "WHERE", "TO", "RECOMPRESS", "GROUP", "SETTINGS"})
_TABLES = (
    "SELECT database, name, engine, engine_full, create_table_query, toString(uuid) AS uuid, total_rows"
    " FROM system.tables WHERE database IN ({names}) AND NOT is_temporary ORDER BY database, name"
)
_COLUMNS = (
    "SELECT database, table, name, type, default_kind FROM system.columns WHERE database IN ({names})"
    " ORDER BY database, table, position"
)
_PARTS = (
    "SELECT database, table, partition_id, sum(rows) AS held, max(max_block_number) AS block,"
    " max(toUInt64OrZero(splitByChar('_', name)[5])) AS mutation FROM system.parts"
    " WHERE active AND database IN ({names}) GROUP BY database, table, partition_id"
)
Total = tuple[int, int, int]
"""Rows, sum and xor of their hashes."""
_NOTHING: Final[Total] = (0, 0, 0)
Partitions = dict[str, list[Any]]
"""Partition, and day -> [rows, sum, xor, second from which rows of it may expire or None]; sums are text."""


@dataclass(frozen=True)
class Table:
    """One table with data.

    Attributes:
        database: Its database.
        name: Its name.
        engine: Its engine.
        columns: (name, type) of what is stored, in order.
        ttl: Expression after which a row may be dropped, "" for never.
        view: Materialized view within which it lies: its own name changes with each restore.
        hashed: Expressions that are hashed; the columns themselves where it is empty.
    """

    database: str
    name: str
    engine: str
    columns: tuple[tuple[str, str], ...]
    ttl: str = ""
    view: str = ""
    hashed: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Return `database.table`; `database.view` of what lies within a view."""
        return f"{self.database}.{self.view or self.name}"

    @property
    def final(self) -> bool:
        """Whether the engine merges rows away."""
        return FINAL_ENGINES.match(self.engine) is not None

    @property
    def readable(self) -> bool:
        """Whether a backup of it can be read in place."""
        return self.engine.endswith(FAMILY) and not self.view

    def checksum(self, database: str = "") -> str:
        """Return the query of its checksums, read from its own database or from another one."""
        row = f"cityHash64(tuple({', '.join(self.hashed or [quoted(name) for name, _kind in self.columns])}))"
        day = f"intDiv(toUnixTimestamp64Milli(toDateTime64({self.ttl}, 3)), {DAY * 1000})" if self.ttl else "0"
        source = f"{quoted(database or self.database)}.{quoted(self.name)}{' FINAL' if self.final else ''}"
        if not self.engine.endswith(FAMILY):
            where, groups = "'all' AS kontrol_partition, '' AS kontrol_part", []
        elif self.final:
            where, groups = "_partition_id AS kontrol_partition, '' AS kontrol_part", ["kontrol_partition"]
        else:
            where, groups = "any(_partition_id) AS kontrol_partition, _part AS kontrol_part", ["kontrol_part"]
        groups += ["kontrol_day"] if self.ttl else []
        return (
            f"SELECT {where}, {day} AS kontrol_day, count() AS kontrol_rows, toString(sum({row})) AS kontrol_sum,"  # noqa: S608 - quoted names
            f" toString(groupBitXor({row})) AS kontrol_xor FROM {source}"
            f"{' GROUP BY ' + ', '.join(groups) if groups else ''}"
            " SETTINGS do_not_merge_across_partitions_select_final = 1"
        )


@dataclass(frozen=True)
class Piece:
    """Checksum of the rows of one part that expire on one day (Unix time; None: never); no part: of a partition."""

    partition: str
    part: str
    day: int | None
    rows: int
    sum: int
    xor: int

    @property
    def key(self) -> str:
        """Return what it is counted under."""
        return self.partition if self.day is None else f"{self.partition} day {self.day}"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _text(names: Iterable[str]) -> str:
    return ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in names)


def ttl_of(engine: str) -> str:
    """Return when the first rule of a table's TTL may drop a row, from its full engine; "" for never."""
    rules: list[list[str]] = []
    open_ended, depth = False, 0
    for word in _WORD.findall(engine):
        depth += (word == "(") - (word == ")")
        if word == "TTL" and not depth:
            rules, open_ended = [[]], True
        elif rules and not depth and word == "SETTINGS":
            break
        elif rules and not depth and word == ",":
            if "GROUP" in rules[-1]:
                break
            rules, open_ended = [*rules, []], True
        elif rules and not depth and word in _ENDS:
            rules[-1] += [word] if word in ("TO", "RECOMPRESS", "GROUP") else []
            open_ended = False
        elif rules and open_ended:
            rules[-1].append(word)
    dropping = [rule for rule in rules if not {"TO", "RECOMPRESS"} & set(rule)]
    moments = ["".join(word for word in rule if word != "GROUP").strip() for rule in dropping]
    return f"least({', '.join(moments)})" if len(moments) > 1 else "".join(moments)


def tables(client: Client, names: Iterable[str]) -> list[Table]:
    """Return the tables of databases that hold rows of their own."""
    columns = columns_of(client, names)
    rows = client.rows(_TABLES.format(names=_text(names)))
    views = {f".inner_id.{row['uuid']}": row for row in rows if row["engine"] == "MaterializedView"}
    views |= {f".inner.{row['name']}": row for row in rows if row["engine"] == "MaterializedView"}
    found = []
    for row in rows:
        view = views.get(row["name"], {"name": "", "create_table_query": ""})
        if not row["engine"].endswith(FAMILY) and row["engine"] not in OTHER_ENGINES:
            continue
        if " REFRESH " in view["create_table_query"].partition(" AS SELECT ")[0]:
            continue  # made anew by itself, and part of no backup
        own = columns.get(f"{row['database']}.{row['name']}", ())
        ttl = ttl_of(row["engine_full"])
        table = Table(row["database"], row["name"], row["engine"], own, ttl, str(view["name"]))
        found.append(_with_hashes(client, table, " TTL " in row["create_table_query"].partition(" ENGINE = ")[0]))
    return found


def columns_of(client: Client, names: Iterable[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the stored columns of each table of databases, by `database.table`."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for row in client.rows(_COLUMNS.format(names=_text(names))):
        if row["default_kind"] in KEPT_COLUMNS:
            columns.setdefault(f"{row['database']}.{row['table']}", []).append((row["name"], row["type"]))
    return {name: tuple(found) for name, found in columns.items()}


def _with_hashes(client: Client, table: Table, expiring: bool) -> Table:
    """Return a table with what is hashed of it; `expiring`: a column of it has a TTL."""
    results, gone = {}, set()
    where = f"{quoted(table.database)}.{quoted(table.name)}"
    states = [name for name, kind in table.columns if kind.startswith("AggregateFunction(")]
    if states:
        asked = ", ".join(f"finalizeAggregation({quoted(name)})" for name in states)
        described = client.rows(f"DESCRIBE TABLE (SELECT {asked} FROM {where})")  # noqa: S608 - quoted names
        results = {name: row["type"] for name, row in zip(states, described, strict=True)}
    if expiring:
        gone = {row["name"] for row in client.rows(f"DESCRIBE TABLE {where}") if row["ttl_expression"]}
    computed = COMPUTING_ENGINES.match(table.engine) is not None
    hashed = tuple(
        hashed_as(name, kind, results.get(name, ""), computed=computed)
        for name, kind in table.columns
        if name not in gone
    )
    return Table(table.database, table.name, table.engine, table.columns, table.ttl, table.view, hashed)


def hashed_as(name: str, kind: str, result: str, *, computed: bool) -> str:
    """Return what is hashed of a column: of a state its result, in a type that no order of merges changes.

    Args:
        name: The column.
        kind: Its type.
        result: Type of the result of its state, "" where it is none.
        computed: Whether the engine computes new values while it merges.
    """
    value = f"finalizeAggregation({quoted(name)})" if result else quoted(name)
    plain = result or kind
    if simple := re.match(r"SimpleAggregateFunction\((?:[^(),]|\([^()]*\))+, (.+)\)\Z", kind):
        plain = simple[1]
    if computed and re.match(r"(?:Nullable\()?Float", plain):
        return f"toFloat32({value})"
    if plain.startswith("Array(") and (result or simple):
        return f"arraySort({value})"
    return value


def definitions(client: Client, names: Iterable[str]) -> dict[str, str]:
    """Return how each table and view of databases is made, except what lies within views."""
    rows = client.rows(_TABLES.format(names=_text(names)))
    return {
        f"{row['database']}.{row['name']}": row["create_table_query"]
        for row in rows
        if not row["name"].startswith(".inner")
    }


def parts(client: Client, names: Iterable[str]) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Return table -> partition -> (rows, highest block, highest mutation).

    Block and mutation only grow: both the same twice means that nothing was inserted or changed in between.
    """
    found: dict[str, dict[str, tuple[int, int, int]]] = {}
    for row in client.rows(_PARTS.format(names=_text(names))):
        table = found.setdefault(f"{row['database']}.{row['table']}", {})
        table[row["partition_id"]] = (int(row["held"]), int(row["block"]), int(row["mutation"]))
    return found


def counts(client: Client, names: Iterable[str]) -> dict[str, int]:
    """Return the number of rows of each table that holds rows of its own, by `database.table`."""
    held = {f"{row['database']}.{row['name']}": row for row in client.rows(_TABLES.format(names=_text(names)))}
    return {one.full_name: int(held[f"{one.database}.{one.name}"]["total_rows"] or 0) for one in tables(client, names)}


def pieces(client: Client, table: Table, database: str = "") -> list[Piece]:
    """Return the checksums of a table, read from its own database or from another one. Raises ClickHouseError."""
    try:
        rows = client.rows(table.checksum(database))
    except ClickHouseError as error:
        raise ClickHouseError(f"Table {table.full_name} cannot be read: {error}", error.code) from error
    return [
        Piece(
            row["kontrol_partition"],
            row["kontrol_part"],
            int(row["kontrol_day"]) * DAY if table.ttl else None,
            int(row["kontrol_rows"]),
            int(row["kontrol_sum"]),
            int(row["kontrol_xor"]),
        )
        for row in rows
        if int(row["kontrol_rows"])
    ]


def partitions(found: Iterable[Piece]) -> Partitions:
    """Return the checksums by partition and day, whatever the parts."""
    keys: dict[str, list[Piece]] = defaultdict(list)
    for one in found:
        keys[one.key].append(one)
    sums = {key: _added((one.rows, one.sum, one.xor) for one in some) for key, some in keys.items()}
    return {key: [total[0], str(total[1]), str(total[2]), keys[key][0].day] for key, total in sums.items()}


def proven(table: Table, found: Iterable[Piece], read: str = "backup") -> dict[str, Any]:
    """Return what proves the content of a table; `read` tells where it was read."""
    return {
        "engine": table.engine,
        "columns": [list(column) for column in table.columns],
        "partitions": partitions(found),
        "read": read,
    }


def proof(client: Client, found: Iterable[Table]) -> dict[str, Any]:
    """Return what proves the content of tables as they are now, by name."""
    return {one.full_name: proven(one, pieces(client, one), "source") for one in found}


def rows_of(proof: Mapping[str, Any]) -> int:
    """Return the number of rows in a proof."""
    return sum(table_rows(one) for one in proof.values())


def table_rows(one: Mapping[str, Any], now: float | None = None) -> int:
    """Return the number of rows in the proof of a table; with a moment, of those that cannot have expired by then."""
    return sum(
        int(rows)
        for rows, _sum, _xor, expires in one["partitions"].values()
        if now is None or not _may_be_gone(expires, now)
    )


def _may_be_gone(expires: int | None, now: float) -> bool:
    return expires is not None and expires < now + EXPIRY_MARGIN_SECONDS


def differences(wanted: Mapping[str, Any], seen: Mapping[str, Any], now: float) -> list[str]:
    """Return what differs between two proofs; rows that may have expired by now may be missing.

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
        elif one["read"] == LEAST:
            least, rows = table_rows(one, now), table_rows(other)
            wrong += [f"table {name}: at least {least} rows expected, {rows} found"] if rows < least else []
        else:
            wrong += [f"table {name}, {text}" for text in _unequal(one["partitions"], other["partitions"], now)]
    return wrong


def _unequal(wanted: Partitions, seen: Partitions, now: float) -> list[str]:
    found = []
    for partition in sorted({*wanted, *seen}):
        before, after = wanted.get(partition), seen.get(partition)
        if _may_be_gone((before or after or [0, "", "", None])[3], now):
            continue
        if (before or [0])[:3] != (after or [0])[:3]:
            rows = f"{(before or [0])[0]} rows expected, {(after or [0])[0]} found"
            same = bool(before and after and before[0] == after[0])
            found.append(f"partition {partition}: {rows}{', and they are others' if same else ''}")
    return found


@contextmanager
def opened(client: Client, names: Iterable[str], source: str, prefix: str) -> Iterator[dict[str, str]]:
    """Open the databases of a backup for reading, without restoring; gives database -> the name to read it under.

    Args:
        client: An administrator.
        names: Databases of the backup.
        source: Where it lies, an expression such as `S3(collection, 'data/x/')`.
        prefix: Of the names; what a killed one has left under it goes first.
    """
    places = {name: f"{prefix}{name}" for name in names}
    left = [row["name"] for row in client.rows("SELECT name FROM system.databases") if row["name"].startswith(prefix)]
    for place in left:
        client.query(f"DROP DATABASE IF EXISTS {quoted(place)}")
    try:
        for name, place in places.items():
            client.query(f"CREATE DATABASE {quoted(place)} ENGINE = Backup('{name}', {source})")
        yield places
    finally:
        for place in places.values():
            client.query(f"DROP DATABASE IF EXISTS {quoted(place)}")


def check_source(before: Iterable[Piece], backup: Iterable[Piece], *, quiet: set[str], now: float) -> tuple[str, int]:
    """Compare the backup of a table with its source as it was read before; return what it lacks, and what is unproven.

    Rows of a part never change and each insert has a higher block. So a part of the backup whose blocks were all there
    before holds exactly the rows of the parts read before that lie within them; one that reaches further holds at least
    those, and what they are is not proven. Where rows are merged away there are no parts to compare: then a partition
    is compared whole if it is quiet, and not at all if it is not. Nor is what was mutated, or may have expired.

    Args:
        before: Of the source.
        backup: Of the backup.
        quiet: Partitions into which nothing came in between.
        now: Second since 1970.
    """
    lasting = [[one for one in some if not _may_be_gone(one.day, now)] for some in (before, backup)]
    sides: dict[str, tuple[list[Piece], list[Piece]]] = defaultdict(lambda: ([], []))
    for side, some in enumerate(lasting):
        for one in some:
            sides[one.partition][side].append(one)
    wrong, unproven = [], 0
    for partition, (old, new) in sorted(sides.items()):
        lacking, open_ones = _compared(old, new, quiet=partition in quiet)
        wrong += [f"partition {partition}: {lacking}"] if lacking else []
        unproven += open_ones
    return "; ".join(wrong[:5]), unproven


def _compared(old: list[Piece], new: list[Piece], *, quiet: bool) -> tuple[str, int]:
    """Compare a partition of source and backup; return what the backup lacks, and how many comparisons were none."""
    source, held = _by_part(old), _by_part(new)
    if "" in {*source, *held}:
        whole, copy = source.get("", _NOTHING), held.get("", _NOTHING)
        return (_lacking(whole, copy) if quiet and whole != copy else ""), int(not quiet)
    newest = max((_blocks(part)[1] for part in source), default=-1)
    mutation = max((_blocks(part)[2] for part in source), default=0)
    unproven = 0
    for part, total in held.items():
        first, last, changed = _blocks(part)
        within = [source.pop(one) for one in list(source) if first <= _blocks(one)[0] and _blocks(one)[1] <= last]
        wanted = _added(within)
        if first > newest or changed > mutation:
            unproven += changed > mutation
        elif (last <= newest and total != wanted) or total[0] < wanted[0]:
            return _lacking(wanted, total, f" part {part} of"), unproven
        else:
            unproven += last > newest
    return (f"{_added(source.values())[0]} rows of the source are in no part of the backup" if source else ""), unproven


def _lacking(source: Total, backup: Total, where: str = "") -> str:
    return f"{source[0]} rows in the source, {backup[0]} in{where} the backup" + (
        ", and they are others" if source[0] == backup[0] else ""
    )


def _by_part(found: Iterable[Piece]) -> dict[str, Total]:
    totals: dict[str, Total] = {}
    for one in found:
        totals[one.part] = _added([totals.get(one.part, _NOTHING), (one.rows, one.sum, one.xor)])
    return totals


def _added(totals: Iterable[Total]) -> Total:
    rows, total, xor = _NOTHING
    for one in totals:
        rows, total, xor = rows + one[0], (total + one[1]) % (1 << 64), xor ^ one[2]
    return rows, total, xor


def _blocks(part: str) -> tuple[int, int, int]:
    """Return first and last block, and the mutation, from the name of a part."""
    found = re.search(r"_(\d+)_(\d+)_\d+(?:_(\d+))?\Z", part)
    if found is None:
        raise ToolError(f"ClickHouse names a part '{part}', which tells no blocks")
    return int(found[1]), int(found[2]), int(found[3] or 0)
