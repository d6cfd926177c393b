"""A small ClickHouse for backups and drills: tables in memory, BACKUP, RESTORE and the engine Backup over a bucket."""

from __future__ import annotations

import copy
import json
import re
import zlib
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tools.bucket import Bucket
    from tests.tools.conftest import Answer

Row = dict[str, Any]
FAMILY = "MergeTree"


@dataclass
class Table:
    """Rows, each of them a block of its own; a view holds none."""

    rows: list[Row] = field(default_factory=list)
    engine: str = FAMILY
    column: str = "x"
    made: str = "CREATE TABLE"


Databases = dict[str, dict[str, Table]]


def plain(rows: list[Row]) -> Answer:
    return 200, "\n".join(map(json.dumps, rows)), ""


@dataclass
class Server:
    """What a ClickHouse holds; use `answer` as that of the fixture `database`.

    Attributes:
        databases: Tables by database.
        comments: Comments of databases.
        backups: What each BACKUP holds, by its id.
        bucket: Where an object of each backup goes.
        spoil: Called with what a BACKUP holds, before it is readable.
        spoil_restored: Called with what a RESTORE brings back.
        refused: Queries that begin so are refused.
        inserted: Called after each INSERT.
    """

    databases: Databases = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    backups: dict[str, Databases] = field(default_factory=dict)
    bucket: Bucket | None = None
    spoil: Callable[[Databases], Any] = lambda _held: None
    spoil_restored: Callable[[Databases], Any] = lambda _held: None
    refused: str = "-"
    inserted: Callable[[], Any] = lambda: None
    asked: list[str] = field(default_factory=list)

    def answer(self, query: str, body: str, user: str, password: str) -> Answer:
        """Do what the first kind of query says that this one is of."""
        self.asked.append(query)
        if query.startswith(self.refused):
            return 403, "Not enough privileges", "497"
        for pattern, work in _QUERIES:
            if found := re.match(pattern, query, re.DOTALL):
                return work(self, found, body)
        return 200, "1\n", ""

    def did(self, beginning: str) -> list[str]:
        """Return what was asked that begins so."""
        return [query for query in self.asked if query.startswith(beginning)]

    def names(self, _found: re.Match[str], _body: str) -> Answer:
        return plain([{"name": name} for name in self.databases])

    def comment(self, _found: re.Match[str], _body: str) -> Answer:
        return plain([{"comment": text} for text in self.comments.values()])

    def listed(self, found: re.Match[str], _body: str) -> Answer:
        """Answer the tables, columns or parts of the databases that are named."""
        rows = []
        for database in re.findall(r"'(\w+)'", found[2]):
            for name, table in self.databases.get(database, {}).items():
                full = {"database": database, "table": name, "name": name, "uuid": name, "default_kind": ""}
                made = {"engine": table.engine, "engine_full": table.engine, "create_table_query": table.made}
                column = {"name": table.column, "type": "UInt64"}
                blocks = {"partition_id": "all", "held": "0", "block": str(len(table.rows)), "mutation": "0"}
                more = {"tables": {"total_rows": str(len(table.rows))}, "columns": column, "parts": blocks}[found[1]]
                rows.append({**full, **made, **more})
        return plain(rows)

    def checksum(self, found: re.Match[str], _body: str) -> Answer:
        """Answer rows, sum and xor of a table, as one part."""
        table = self.databases[found[1]][found[2]]
        hashes = [zlib.crc32(json.dumps(row).encode()) for row in table.rows]
        part = f"all_1_{len(hashes)}_0" if table.engine == FAMILY else ""
        sums = {"kontrol_rows": str(len(hashes)), "kontrol_sum": str(sum(hashes))}
        key = {"kontrol_partition": "all", "kontrol_part": part, "kontrol_day": "0"}
        return plain([{**key, **sums, "kontrol_xor": str(reduce(xor, hashes, 0))}])

    def open(self, found: re.Match[str], _body: str) -> Answer:
        """Show a database of a backup under another name: tables of the family alone."""
        held = self.backups[found[3]].get(found[2], {})
        self.databases[found[1]] = {name: one for name, one in held.items() if one.engine.endswith(FAMILY)}
        return 200, "", ""

    def create(self, found: re.Match[str], _body: str) -> Answer:
        tables = self.databases.setdefault(found[1], {})
        if found[2]:
            tables.setdefault(found[2], Table())
        return 200, "", ""

    def remark(self, found: re.Match[str], _body: str) -> Answer:
        self.databases[found[1]], self.comments[found[1]] = {}, found[2]
        return 200, "", ""

    def drop(self, found: re.Match[str], _body: str) -> Answer:
        if found[2]:
            self.databases.get(found[1], {}).pop(found[2], None)
        else:
            self.databases.pop(found[1], None)
            self.comments.pop(found[1], None)
        return 200, "", ""

    def backup(self, found: re.Match[str], _body: str) -> Answer:
        databases, tables, (identity,) = _named(found[1])
        held = {name: dict(self.databases[name]) for name in databases}
        for database, table in tables:
            held.setdefault(database, {})[table] = self.databases[database][table]
        self.backups[identity] = copy.deepcopy(held)
        self.spoil(self.backups[identity])
        if self.bucket:
            self.bucket.objects[f"/b/clickhouse/data/{identity}/file"] = b"rows"
        return 200, f"{identity}\tCREATING_BACKUP\n", ""

    def restore(self, found: re.Match[str], _body: str) -> Answer:
        databases, tables, (identity,) = _named(found[1])
        held = copy.deepcopy(self.backups[identity])
        back: Databases = {name: held[name] for name in databases}
        for database, table in tables:
            place = re.findall(rf"TABLE {database}\.{table} AS (\w+)\.(\w+)", found[1]) or [(database, table)]
            back.setdefault(place[0][0], {})[place[0][1]] = held[database][table]
        self.spoil_restored(back)
        for name, some in back.items():
            self.databases.setdefault(name, {}).update(some)
        return 200, f"{identity}\tRESTORING\n", ""

    def ended(self, _found: re.Match[str], _body: str) -> Answer:
        """Answer how the newest BACKUP or RESTORE ended: `nothing` in its files where it holds no table."""
        files = sum(map(len, list(self.backups.values())[-1].values()))
        what = [query for query in self.asked if query.startswith(("BACKUP", "RESTORE"))][-1]
        status = "BACKUP_CREATED" if what.startswith("BACKUP") else "RESTORED"
        return plain([{"status": status, "error": "", "num_files": str(files)}])

    def insert(self, found: re.Match[str], body: str) -> Answer:
        table = self.databases.get(found[1], {}).get(found[2])
        if table is not None:
            table.rows.append(json.loads(body))
        self.inserted()
        return (200, "", "") if table is not None else (404, f"Unknown table {found[1]}.{found[2]}", "60")

    def canaries(self, found: re.Match[str], _body: str) -> Answer:
        """Answer what is there of canaries or heartbeats, whatever the parameters."""
        if found[2] not in self.databases.get(found[1], {}):
            return 404, "Unknown table", "60" if found[1] in self.databases else "81"
        rows = self.databases[found[1]][found[2]].rows
        last = max((row["written"] for row in rows), default=0.0)
        if "groupArray" in found[0]:
            return plain([{"seqs": [float(row["seq"]) for row in rows], "last": last}])
        return plain([{"n": str(len(rows)), "last": last}])

    def version(self, _found: re.Match[str], _body: str) -> Answer:
        return plain([{"version": "7"}]) if "schema_versions" in self.databases.get("kontrol", {}) else (404, "", "60")


def _named(text: str) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Return databases and tables that a BACKUP or RESTORE names, and the ids of backups."""
    return (
        re.findall(r"DATABASE (\w+)", text),
        re.findall(r"TABLE (\w+)\.(\w+)", text),
        re.findall(r"S3\(\w+, 'data/([^']+)/'\)", text)[:1],
    )


_QUERIES: tuple[tuple[str, Callable[[Server, re.Match[str], str], Answer]], ...] = (
    (r"SELECT name FROM system\.databases", Server.names),
    (r"SELECT comment FROM system\.databases", Server.comment),
    (r"SELECT .* FROM system\.(tables|columns|parts)(?= ).* IN \(([^)]*)\)", Server.listed),
    (r"SELECT id, query_id FROM system\.backups", lambda *_: plain([])),
    (r"SELECT status, error, num_files FROM system\.backups", Server.ended),
    (r"SELECT .* AS kontrol_xor FROM `(\w+)`\.`([\w.]+)`", Server.checksum),
    (r"SELECT max\(version\)", Server.version),
    (r"SELECT version\(\)", lambda *_: (200, "26.3.1\n", "")),
    (r"SELECT (?:groupArray|count\(\) AS n).* FROM (\w+)\.(\w+)", Server.canaries),
    (r"CREATE DATABASE `(\w+)` ENGINE = Backup\('(\w+)', S3\(\w+, 'data/([^']+)/'\)\)", Server.open),
    (r"CREATE DATABASE (\w+) COMMENT '(.*)'", Server.remark),
    (r"CREATE (?:DATABASE|TABLE) IF NOT EXISTS (\w+)(?:\.(\w+))?", Server.create),
    (r"DROP (?:DATABASE|TABLE) IF EXISTS `?(\w+)`?(?:\.`?(\w+)`?)?", Server.drop),
    (r"BACKUP (.*)", Server.backup),
    (r"RESTORE (.*)", Server.restore),
    (r"INSERT INTO (\w+)\.(\w+)", Server.insert),
)
