"""BACKUP and RESTORE watched to their end, and when a backup of ClickHouse counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import backups, clickhouse_backup, clickhouse_restore, clickhouse_work, s3
from images.tools.kontrol_tools.backups import Manifest
from images.tools.kontrol_tools.clickhouse import Client
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from tests.tools.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.conftest import Answer, Database

OK: Answer = (200, "", "")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_work, "_POLL_SECONDS", 0.001)


def states(database: Database, *found: str) -> Client:
    """A server that tells these states of a backup one after the other, the last one again and again."""
    left = list(found)

    def answer(query: str, body: str, user: str, password: str) -> Answer:
        if "WHERE id =" not in query:
            return OK
        status = left.pop(0) if len(left) > 1 else left[0]
        row = {"status": status, "error": "Code: 499. No space, Stack trace (when copying)", "num_files": 3}
        return 200, json.dumps(row) if status else "", ""

    database.answer = answer
    return Client("127.0.0.1", database.port, "admin", "right")


@pytest.mark.parametrize("end", ["BACKUP_CREATED", "RESTORED"])
def test_it_is_watched_to_its_end(database: Database, end: str) -> None:
    client = states(database, "", "CREATING_BACKUP", "", "CREATING_BACKUP", end)
    assert clickhouse_work.finish(client, "one", 1e9)["status"] == end


@pytest.mark.parametrize("end", ["BACKUP_FAILED", "RESTORE_FAILED", "BACKUP_CANCELLED", "RESTORE_CANCELLED"])
def test_what_failed_tells_why_without_a_stack(database: Database, end: str) -> None:
    with pytest.raises(ToolError, match=rf"ended as {end}: Code: 499. No space$"):
        clickhouse_work.finish(states(database, end), "one", 1e9)


def test_what_the_server_forgot_has_failed(database: Database) -> None:
    with pytest.raises(ToolError, match="the server was started anew"):
        clickhouse_work.finish(states(database, "CREATING_BACKUP", ""), "one", 1e9)


def test_what_takes_too_long_has_failed(database: Database) -> None:
    with pytest.raises(ToolError, match="not done in time; its state is 'CREATING_BACKUP'"):
        clickhouse_work.finish(states(database, "CREATING_BACKUP"), "one", 0)


def test_a_server_may_be_away_for_a_moment_but_not_for_long(database: Database, unused_port: int) -> None:
    away = Client("127.0.0.1", unused_port, "admin", "right")
    moments = iter([0.0, 10.0, 59.0, 61.0])
    with pytest.raises(ToolError, match="does not answer"):
        clickhouse_work.finish(away, "one", 1e9, lambda: next(moments))
    assert next(moments, None) is None


def test_what_nobody_waits_for_any_more_is_ended(database: Database) -> None:
    def answer(query: str, body: str, user: str, password: str) -> Answer:
        started = any(asked.startswith("BACKUP") for asked in database.queries)
        if query.startswith("BACKUP"):
            return 200, "one\tCREATING_BACKUP\n", ""
        if "system.backups" in query and started:
            row = {"id": "one", "query_id": "q1", "status": "CREATING_BACKUP", "error": "", "num_files": 0}
            return 200, json.dumps(row), ""
        return OK

    database.answer = answer
    client = Client("127.0.0.1", database.port, "admin", "right")
    with pytest.raises(ToolError, match="BACKUP failed: It was not done in time"):
        clickhouse_work.run(client, "BACKUP DATABASE m TO x", {"patience": 0})
    assert "KILL QUERY WHERE query_id = {id:String} ASYNC" in database.queries


def test_what_a_killed_job_left_is_waited_for_and_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_work, "ORPHAN_SECONDS", 0.0)
    database.answer = lambda query, body, user, password: (200, json.dumps({"id": "one", "query_id": "q1"}), "")
    client = Client("127.0.0.1", database.port, "admin", "right")
    with pytest.raises(ToolError, match=r"'one' of a Job that is gone still runs .* query_id = 'q1'"):
        clickhouse_work.run(client, "BACKUP DATABASE m TO x", {})
    assert not [query for query in database.queries if query.startswith("BACKUP")]


@pytest.mark.parametrize("names", [None, [], "market", ["a b"], ["market; DROP"], [1]])
def test_databases_are_a_list_of_names(names: Any) -> None:
    with pytest.raises(ArgumentError, match="'databases' must be a list of database names"):
        clickhouse_work.names({"databases": names})


@pytest.mark.parametrize("name", ["trades", "a.b.c", "market.", "market.tra des", "market.`x`"])
def test_a_table_is_named_with_its_database(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"must name a table as database.table, not '{name}'"):
        clickhouse_work.table_name({"table": name}, "table")


def test_a_place_without_a_table_restores_nothing() -> None:
    with pytest.raises(ArgumentError, match="'table' must name it"):
        clickhouse_restore.wanted_table({"as": "market.trades_old"})


def manifest(name: str, base: str = "", **rows: int) -> Manifest:
    proof = {
        f"m.{table}": {"engine": "MergeTree", "columns": [], "read": "backup", "partitions": {"1": [n, "1", "1", None]}}
        for table, n in (rows or {"t": 1}).items()
    }
    return Manifest(name, base, 100.0 + len(name), 110.0 + len(name), 4, 1, {}, proof)


@pytest.fixture
def place() -> Iterator[backups.Place]:
    with serving(Bucket()) as bucket:
        yield backups.Place(s3.Store(bucket.endpoint, "us-east-1", "key", "secret"), "kontrol", "clickhouse")


def store(place: backups.Place, one: Manifest) -> None:
    s3.put(place.store, place.bucket, place.key("data", one.backup, "file"), b"data")
    backups.publish(place, one)


def test_a_chain_has_no_more_backups_than_it_may(place: backups.Place) -> None:
    assert clickhouse_backup.base_of(place, 3) == ""
    store(place, manifest("a"))
    store(place, manifest("ab", "a"))
    assert [clickhouse_backup.base_of(place, most) for most in (1, 2, 3)] == ["", "", "ab"]


def test_nothing_is_built_on_a_backup_that_is_not_good_or_after_a_failure(place: backups.Place) -> None:
    store(place, manifest("a"))
    store(place, manifest("ab", "a"))
    s3.delete(place.store, place.bucket, place.key("data", "ab", "file"))
    assert clickhouse_backup.base_of(place, 9) == "a"
    backups.note(place, "abc", "Table m.t cannot be read")
    assert clickhouse_backup.base_of(place, 9) == ""
    backups.note(place, "a", "Backup 'a' is complete, but not in the second store")
    assert clickhouse_backup.base_of(place, 9) == "a"


def test_a_table_that_lost_most_of_its_rows_is_refused_by_name() -> None:
    before = manifest("a", big=1000, small=1000, few=9)
    clickhouse_backup.refuse_collapse(manifest("b", big=500, small=2000, few=1), before, smaller=False)
    clickhouse_backup.refuse_collapse(manifest("b", big=1), None, smaller=False)
    clickhouse_backup.refuse_collapse(manifest("b", big=1), before, smaller=True)
    with pytest.raises(ToolError, match=r"than 'a': m.small 499 rows instead of 1000. If that is right"):
        clickhouse_backup.refuse_collapse(manifest("b", big=9000, small=499), before, smaller=False)
    with pytest.raises(ToolError, match=r"m\.big 0 rows instead of 1000"):
        clickhouse_backup.refuse_collapse(manifest("b", small=1000), before, smaller=False)
