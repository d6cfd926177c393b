"""Backups: complete or not at all, restored as counted or not at all, nothing lost by mistake."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import backup
from images.tools.kontrol_tools.errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.conftest import Database


@dataclass
class Store:
    """A database with tables `name -> rows`, and what it keeps in S3."""

    tables: dict[str, int]
    engines: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(
        default_factory=lambda: {"status": "", "error": "", "num_files": "9", "total_size": "99"}
    )
    data: dict[str, dict[str, int]] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    arrive: int = 0
    lose: int = 0

    def answer(self, query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        return (
            200,
            "\n".join(json.dumps(row) for row in self.rows(query, body)) if "FORMAT JSON" in query else self.act(query),
            "",
        )

    def rows(self, query: str, body: str) -> list[dict[str, Any]]:
        if query.startswith("INSERT INTO FUNCTION"):
            self.manifests += [json.loads(line) for line in body.splitlines()]
            return []
        if "system.backups" in query:
            return [self.status]
        if "system.tables" in query:
            return [
                {"database": d, "name": n, "engine": self.engines.get(f"{d}.{n}", "MergeTree"), "total_rows": str(rows)}
                for (d, n), rows in ((table.split("."), rows) for table, rows in self.tables.items())
            ]
        if "s3(" in query:
            return self.manifests
        return []

    def act(self, query: str) -> str:
        word, *rest = query.split()
        if word == "BACKUP":
            self.data[query.split("'")[1]] = dict(self.tables)
            self.tables = {name: rows + self.arrive for name, rows in self.tables.items()}
            self.status = {**self.status, "status": self.status["status"] or "BACKUP_CREATED"}
        if word == "DROP":
            self.tables = {name: rows for name, rows in self.tables.items() if not name.startswith(f"{rest[3]}.")}
        if word == "RESTORE":
            kept = self.data[query.split("'")[1]]
            self.tables = {name: rows - self.lose for name, rows in kept.items()}
            self.status = {**self.status, "status": "RESTORED"}
        return "id-1\tCREATING\n"


@pytest.fixture
def step(database: Database, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text("p")
    return {
        "host": "127.0.0.1",
        "port": database.port,
        "user": "admin",
        "password_file": str(tmp_path / "password"),
        "databases": ["shop", "kontrol"],
        "collection": "store",
        "id": "run-1",
        "patience": 5,
    }


@pytest.fixture
def store(database: Database) -> Store:
    made = Store(
        {"shop.orders": 10, "shop.latest": 4, "kontrol.schema_versions": 3}, {"shop.latest": "ReplacingMergeTree"}
    )
    database.answer = made.answer
    return made


def test_a_backup_has_a_manifest_of_every_table(store: Store, step: dict[str, Any], database: Database) -> None:
    assert backup.backup(step) == {"id": "run-1", "bytes": 99, "tables": 3, "rows": 17}
    assert {row["table"]: (row["least"], row["most"]) for row in store.manifests} == {
        "kontrol.schema_versions": (3, 3),
        "shop.latest": (0, 4),
        "shop.orders": (10, 10),
    }
    assert "BACKUP DATABASE shop, DATABASE kontrol TO S3(store, 'data/run-1/') ASYNC" in database.queries


def test_rows_may_arrive_during_a_backup(store: Store, step: dict[str, Any]) -> None:
    store.arrive = 5
    backup.backup(step)
    (orders,) = [row for row in store.manifests if row["table"] == "shop.orders"]
    assert (orders["least"], orders["most"]) == (10, 15)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"status": "BACKUP_FAILED", "error": "no space Stack trace: secret"}, "ended as BACKUP_FAILED: no space"),
        ({"num_files": "0"}, "is empty although the databases hold 17 rows"),
        ({"total_size": "0"}, "is empty although the databases hold 17 rows"),
        ({"status": "CREATING_BACKUP"}, "was not done in time; its state is 'CREATING_BACKUP'"),
    ],
)
def test_a_bad_backup_has_no_manifest(store: Store, step: dict[str, Any], status: dict[str, str], text: str) -> None:
    store.status |= status
    with pytest.raises(ToolError, match=text) as error:
        backup.backup({**step, "patience": 0})
    assert store.manifests == []
    assert "secret" not in str(error.value)


def test_a_restore_brings_back_what_was_counted(store: Store, step: dict[str, Any]) -> None:
    backup.backup(step)
    store.tables = {"kontrol.schema_versions": 3}
    restored = backup.restore({**step, "id": ""})
    assert (restored["id"], restored["tables"], restored["rows"]) == ("run-1", 3, 17)


def test_rows_are_not_lost_by_a_restore(store: Store, step: dict[str, Any], database: Database) -> None:
    backup.backup(step)
    with pytest.raises(ToolError, match=r"would be lost: shop\.latest, shop\.orders; ask for replace"):
        backup.restore(step)
    assert not any(query.startswith("DROP") for query in database.queries)
    assert backup.restore({**step, "replace": True})["rows"] == 17


@pytest.mark.parametrize("replace", ["yes", 1, None])
def test_replace_must_be_true(store: Store, step: dict[str, Any], replace: Any) -> None:
    backup.backup(step)
    with pytest.raises(ToolError, match="would be lost"):
        backup.restore({**step, "replace": replace})


def test_a_restore_that_lost_rows_is_an_error(store: Store, step: dict[str, Any]) -> None:
    backup.backup(step)
    store.lose = 1
    with pytest.raises(ToolError, match=r"differs from its manifest: .*shop\.orders has 9 rows, expected 10 to 10"):
        backup.restore({**step, "replace": True})


def test_a_table_that_did_not_come_back_is_an_error(store: Store, step: dict[str, Any]) -> None:
    backup.backup(step)
    del store.data["data/run-1/"]["shop.latest"]
    with pytest.raises(ToolError, match=r"shop\.latest has no rows, expected 0 to 4"):
        backup.restore({**step, "replace": True})


def test_without_a_manifest_nothing_is_restored_or_dropped(
    store: Store, step: dict[str, Any], database: Database
) -> None:
    with pytest.raises(ToolError, match=r"no manifest 'manifests/run-1\.jsonl'"):
        backup.restore({**step, "replace": True})
    assert not any(query.startswith(("DROP", "RESTORE")) for query in database.queries)


def test_the_newest_backup_is_taken(store: Store, step: dict[str, Any], database: Database) -> None:
    for number in (1, 2):
        backup.backup({**step, "id": f"run-{number}"})
    for row in store.manifests:
        row["made"] = 100 if row["backup"] == "run-1" else 50
    assert backup.restore({**step, "id": "", "replace": True})["id"] == "run-1"
    assert "RESTORE DATABASE shop, DATABASE kontrol FROM S3(store, 'data/run-1/') ASYNC" in database.queries


@pytest.mark.parametrize(
    "change",
    [
        {"databases": []},
        {"databases": ["a; DROP DATABASE b"]},
        {"databases": "shop"},
        {"collection": "a b"},
        {"id": "../x"},
        {"id": "a'b"},
    ],
)
def test_names_cannot_carry_a_query(
    store: Store, step: dict[str, Any], change: dict[str, Any], database: Database
) -> None:
    for work in (backup.backup, backup.restore):
        with pytest.raises(ArgumentError):
            work({**step, **change})
    assert database.asked == []
