"""Schema files: each once, in order, never changed after they were applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import schema
from images.tools.kontrol_tools.errors import ToolError

if TYPE_CHECKING:
    from tests.tools.conftest import Database

FIRST = "CREATE DATABASE IF NOT EXISTS a;\n-- a word; with a semicolon\nCREATE TABLE IF NOT EXISTS a.t\n(x Int8);\n"
SHIPPED = Path(__file__).parents[2] / "roles" / "clickhouse" / "files" / "schema"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text("CREATE DATABASE IF NOT EXISTS b;")
    return tmp_path


@pytest.fixture
def step(database: Database, folder: Path) -> dict[str, Any]:
    (folder / "password").write_text("p")
    return {
        "host": "127.0.0.1",
        "port": database.port,
        "user": "admin",
        "password_file": str(folder / "password"),
        "folder": str(folder),
    }


def remember(database: Database) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def answer(query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        if query.startswith("INSERT"):
            rows.append(json.loads(body))
        if query.startswith("SELECT version"):
            return 200, "\n".join(json.dumps(row) for row in rows), ""
        return 200, "", ""

    database.answer = answer
    return rows


def looked(database: Database, *databases: str) -> None:
    """Let the database have databases, besides what it remembers of the schema."""
    remembered = database.answer

    def answer(query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        if "system.databases" in query:
            return 200, "\n".join(json.dumps({"name": name}) for name in databases), ""
        return remembered(query, body, user, password)

    database.answer = answer


def test_a_look_at_the_schema_names_what_is_not_there(database: Database, step: dict[str, Any]) -> None:
    remember(database)
    step["databases"] = ["a", "b", "kontrol"]
    looked(database, "default")
    assert schema.check(step) == {
        "ok": False,
        "seen": "database 'a' is not there; database 'b' is not there; database 'kontrol' is not there; "
        "'0001_first.sql' was not applied; '0002_second.sql' was not applied",
    }
    schema.run(step)
    looked(database, "a", "b", "kontrol")
    assert schema.check(step) == {"ok": True, "seen": "2 files"}
    looked(database, "a", "kontrol")
    assert schema.check(step) == {"ok": False, "seen": "database 'b' is not there"}


def test_a_look_at_the_schema_changes_nothing(database: Database, step: dict[str, Any]) -> None:
    remember(database)
    schema.check(step)
    assert all(query.startswith("SELECT") for query in database.queries)


def test_a_look_at_the_schema_tells_a_file_that_was_changed_and_a_refusal(
    database: Database, step: dict[str, Any], folder: Path
) -> None:
    remember(database)
    schema.run(step)
    looked(database, "kontrol")
    (folder / "0002_second.sql").write_text("CREATE DATABASE IF NOT EXISTS c;")
    assert schema.check(step) == {"ok": False, "seen": "'0002_second.sql' was applied with other text"}
    database.answer = lambda *_: (403, "Code: 516. Authentication failed", "516")
    assert schema.check(step)["ok"] is False
    assert "Authentication failed" in schema.check(step)["seen"]


def test_a_second_run_applies_nothing(database: Database, step: dict[str, Any]) -> None:
    rows = remember(database)
    assert schema.run(step) == {"applied": ["0001_first.sql", "0002_second.sql"], "version": 2}
    assert [row["version"] for row in rows] == [1, 2]
    assert schema.run(step) == {"applied": [], "version": 2}


def test_only_what_is_missing_is_applied(database: Database, step: dict[str, Any], folder: Path) -> None:
    remember(database)
    schema.run(step)
    (folder / "0003_third.sql").write_text("CREATE DATABASE IF NOT EXISTS c;")
    assert schema.run(step) == {"applied": ["0003_third.sql"], "version": 3}


def test_a_changed_file_is_refused_before_anything_is_applied(
    database: Database, step: dict[str, Any], folder: Path
) -> None:
    remember(database)
    schema.run(step)
    (folder / "0001_first.sql").write_text(FIRST + "DROP DATABASE a;\n")
    (folder / "0003_third.sql").write_text("CREATE DATABASE IF NOT EXISTS c;")
    database.asked.clear()
    with pytest.raises(ToolError, match=r"'0001_first\.sql' differs from what was applied"):
        schema.run(step)
    assert not any(query.startswith("CREATE DATABASE IF NOT EXISTS c") for query in database.queries)


def test_a_failing_statement_leaves_no_version_row(database: Database, step: dict[str, Any]) -> None:
    rows = remember(database)
    good = database.answer

    def failing(query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        return (
            (400, "Code: 62. Syntax error", "62")
            if query.startswith("CREATE TABLE IF NOT EXISTS a.t")
            else good(query, body, user, password)
        )

    database.answer = failing
    with pytest.raises(ToolError, match="Syntax error"):
        schema.run(step)
    assert rows == []


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    assert schema.statements("SELECT ';' ;\nSELECT 2") == ("SELECT ';'", "SELECT 2")
    assert schema.statements(FIRST)[1] == "CREATE TABLE IF NOT EXISTS a.t\n(x Int8)"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["first.sql"], "is not named"),
        (["1_a.sql", "01_b.sql"], "have the same number"),
        ([], "No schema files"),
    ],
)
def test_odd_folders_are_refused(tmp_path: Path, names: list[str], text: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ToolError, match=text):
        schema.files(tmp_path)


def test_shipped_statements_can_be_repeated() -> None:
    found = [statement for file in schema.files(SHIPPED) for statement in file.statements]
    assert len(found) > 8
    assert all(" IF NOT EXISTS " in statement.split("\n")[0] for statement in found)


@pytest.mark.parametrize("file", schema.files(SHIPPED), ids=lambda file: file.name)
def test_shipped_tables_have_an_order_and_those_with_time_a_partition(file: schema.SchemaFile) -> None:
    for statement in file.statements:
        if statement.startswith("CREATE TABLE"):
            assert "ORDER BY" in statement
            assert "Decimal(38, 12)" in statement
            assert "ENGINE = ReplacingMergeTree(sequence)" in statement or "PARTITION BY" in statement
