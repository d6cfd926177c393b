"""Backup and restore of ClickHouse: what counts, what is refused, and what is never lost without a word."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import backups, clickhouse_backup, clickhouse_restore, clickhouse_work, s3
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from tests.tools.bucket import Bucket, serving
from tests.tools.clickhouse_server import Databases, Server, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.tools.conftest import Database

Step = dict[str, Any]


def rows(number: int) -> list[dict[str, Any]]:
    return [{"x": value} for value in range(number)]


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


@pytest.fixture
def server(database: Database, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server(
        {
            "market": {"trades": Table(rows(5)), "bars": Table(engine="View"), "seen": Table(rows(2), "Memory")},
            "kontrol": {"schema_versions": Table(rows(3))},
            "kontrol_verify": {"canary": Table(rows(9)), "drill_canary": Table(rows(4))},
        },
        bucket=bucket,
    )
    database.answer = found.answer
    monkeypatch.setattr(clickhouse_work, "_POLL_SECONDS", 0.001)
    return found


@pytest.fixture
def step(database: Database, bucket: Bucket, tmp_path: Path) -> Step:
    (tmp_path / "secret").write_text("p")
    login = {"host": "127.0.0.1", "port": database.port, "user": "admin", "password_file": str(tmp_path / "secret")}
    keys = {name: str(tmp_path / "secret") for name in ("access_key_file", "secret_key_file")}
    store = {"endpoint": bucket.endpoint, "bucket": "b", "collection": "store", **keys}
    return {**login, **store, "databases": ["market", "kontrol"], "id": "one"}


def place(step: Step) -> backups.Place:
    return backups.Place.from_arguments(step, "clickhouse")


def attempt(bucket: Bucket) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bucket.objects["/b/clickhouse/attempts/last.json"])
    return found


class TestBackup:
    """A backup counts once it was read back and equals its source."""

    def test_it_counts_with_its_proof(self, server: Server, step: Step, bucket: Bucket) -> None:
        made = clickhouse_backup.backup(step)
        assert (made["id"], made["base"], made["tables"], made["rows"]) == ("one", "", 3, 10)
        assert (made["unproven"], made["expired"]) == (0, [])
        found = backups.chosen(place(step), "one")
        assert found.versions == {"clickhouse": "26.3.1", "schema": "7"}
        assert {name: one["read"] for name, one in found.proof.items()} == {
            "market.trades": "backup",
            "market.seen": "source",
            "kontrol.schema_versions": "backup",
        }
        assert found.more["canaries"] == ["canary", "drill_canary"]
        assert "market.bars" in found.more["definitions"]
        assert attempt(bucket)["ok"]
        assert not [name for name in server.databases if name.startswith("kontrol_proof_")]
        assert "/b-locks/clickhouse.json" not in bucket.objects

    def test_the_next_one_builds_on_it_where_it_may(self, server: Server, step: Step) -> None:
        clickhouse_backup.backup(step)
        assert clickhouse_backup.backup({**step, "id": "two", "full_every": 2})["base"] == "one"
        assert "SETTINGS async = 1, base_backup = S3(store, 'data/one/')" in server.did("BACKUP")[-1]
        assert clickhouse_backup.backup({**step, "id": "three", "full_every": 2})["base"] == ""

    def test_it_is_copied_to_the_second_store_by_which_it_never_stands_or_falls(
        self, server: Server, step: Step, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "_PAUSES", ())
        with serving(Bucket()) as there:
            keys = {name: step[name] for name in ("access_key_file", "secret_key_file")}
            second = {"endpoint": there.endpoint, "bucket": "copies", **keys}
            step |= {"second": second, "scratch": str(tmp_path), "full_every": 9}
            assert clickhouse_backup.backup(step)["copied"] == ["one"]
            there.broken = 1
            with pytest.raises(ToolError, match=r"^Backup 'two' is complete, but not in the second store: .* 500"):
                clickhouse_backup.backup({**step, "id": "two"})
            assert backups.chosen(place(step)).backup == "two"
            assert attempt(bucket)["error"].startswith("Backup 'two' is complete, but not in the second store")
            assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 1.0
            assert "/b-locks/clickhouse.json" not in bucket.objects
            made = clickhouse_backup.backup({**step, "id": "three"})
            assert (made["base"], made["copied"]) == ("two", ["two", "three"]), "the one before was good"
            found = backups.good(backups.Place.from_arguments(second, "clickhouse"))
        assert found == backups.good(place(step))

    def test_what_the_server_wrote_elsewhere_is_no_backup(
        self, server: Server, step: Step, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backups, "own_objects", lambda *_: (0, 0))
        with pytest.raises(ToolError, match="Nothing of backup 'one' is in the backup store"):
            clickhouse_backup.backup(step)
        assert backups.good(place(step)) == []

    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            (lambda held: held["market"].pop("trades"), "market.trades is not in the backup"),
            (lambda held: held["market"].update(trades=Table(rows(5), column="y")), "has other columns in the backup"),
            (
                lambda held: held["market"]["trades"].rows.pop(),
                "market.trades, partition all: 0 rows in the source, 4 in part all_1_4_0 of the backup",
            ),
            (
                lambda held: held["market"].update(trades=Table([*rows(4), {"x": 99}])),
                r"market.trades, partition all: 5 rows in the source, 5 in part all_1_5_0 of the backup, and they are",
            ),
        ],
    )
    def test_one_that_is_not_what_its_source_holds_never_counts(
        self, server: Server, step: Step, bucket: Bucket, spoil: Callable[[Databases], Any], why: str
    ) -> None:
        server.spoil = spoil
        with pytest.raises(ToolError, match=f"is not what the source holds: .*{why}"):
            clickhouse_backup.backup(step)
        assert backups.good(place(step)) == []
        assert not attempt(bucket)["ok"]
        assert clickhouse_backup.base_of(place(step), 9) == ""

    def test_what_is_written_meanwhile_is_told_as_unproven(self, server: Server, step: Step) -> None:
        def write(held: Databases) -> None:
            held["market"]["trades"].rows.append({"x": 5})
            for name in ("trades", "seen"):
                server.databases["market"][name].rows.append({"x": 5})

        server.spoil = write
        assert clickhouse_backup.backup(step)["unproven"] == 2
        proof = backups.chosen(place(step)).proof
        assert proof["market.trades"]["partitions"]["all"][0] == 6
        assert proof["market.seen"]["read"] == "source, written to meanwhile"

    def test_a_backup_that_cannot_be_read_names_the_table(self, server: Server, step: Step) -> None:
        def refuse(_held: Databases) -> None:
            server.refused = "SELECT any(_partition_id)"

        server.spoil = refuse
        with pytest.raises(ToolError, match=r"Table market.trades cannot be read: .*Not enough privileges"):
            clickhouse_backup.backup(step)

    def test_a_database_that_is_not_there_is_no_empty_backup(self, server: Server, step: Step) -> None:
        with pytest.raises(ToolError, match="Databases orders are not there"):
            clickhouse_backup.backup({**step, "databases": ["market", "orders"]})
        server.databases = {"market": {}}
        with pytest.raises(ToolError, match="Backup 'one' holds no file"):
            clickhouse_backup.backup({**step, "databases": ["market"]})

    def test_what_a_restore_has_left_half_way_is_not_backed_up(self, server: Server, step: Step) -> None:
        server.comments[clickhouse_work.UNFINISHED] = "no JSON"
        with pytest.raises(ToolError, match="A restore of 'unknown' never ended"):
            clickhouse_backup.backup(step)
        assert server.did("BACKUP") == []

    def test_without_a_schema_and_canaries_there_is_a_backup_too(self, server: Server, step: Step) -> None:
        del server.databases["kontrol"], server.databases["kontrol_verify"]
        clickhouse_backup.backup({**step, "databases": ["market"]})
        found = backups.chosen(place(step))
        assert (found.versions["schema"], found.more["canaries"]) == ("", [])


@pytest.fixture
def backed(server: Server, step: Step) -> Server:
    """A server with the backup `one`, and a newer row that is in none."""
    clickhouse_backup.backup(step)
    server.databases["market"]["trades"].rows.append({"x": 6})
    return server


def trades(server: Server, table: str = "trades") -> int:
    return len(server.databases["market"][table].rows)


class TestRestore:
    """What a backup holds comes back, and nothing is lost that nobody gave up."""

    def test_what_holds_rows_is_refused_by_name(self, backed: Server, step: Step) -> None:
        with pytest.raises(ToolError, match=r"would be lost: market.seen, market.trades; ask for replace"):
            clickhouse_restore.restore(step)
        assert trades(backed) == 6
        assert backed.did("DROP DATABASE IF EXISTS market") == []

    def test_with_replace_all_comes_back_and_is_compared(self, backed: Server, step: Step, bucket: Bucket) -> None:
        backed.databases["kontrol_verify"]["canary"].rows.clear()
        done = clickhouse_restore.restore({**step, "replace": True})
        assert (done["id"], done["rows"], done["compared"]) == ("one", 10, 3)
        assert trades(backed) == 5
        assert len(backed.databases["kontrol_verify"]["canary"].rows) == 9
        assert backed.comments == {}
        assert "/b-locks/clickhouse.json" not in bucket.objects

    def test_into_an_empty_server_nobody_must_ask_for_replace(self, backed: Server, step: Step) -> None:
        backed.databases.clear()
        assert clickhouse_restore.restore({**step, "id": ""})["rows"] == 10
        assert set(backed.databases) == {"market", "kontrol", "kontrol_verify"}

    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            (lambda back: back["market"].pop("trades"), "table market.trades is not there"),
            (lambda back: back["market"]["trades"].rows.pop(), "partition all: 5 rows expected, 4 found"),
            (lambda back: back["market"].pop("bars"), "market.bars is not there"),
            (lambda back: back["market"].update(bars=Table(engine="View", made="OTHER")), "defined in another way"),
        ],
    )
    def test_one_that_differs_from_its_proof_is_an_error_and_its_rows_are_somebodys(
        self, backed: Server, step: Step, spoil: Callable[[Databases], Any], why: str
    ) -> None:
        def one_database(back: Databases) -> None:
            if "market" in back:
                spoil(back)

        backed.spoil_restored = one_database
        with pytest.raises(ToolError, match=f"differs from its proof: .*{why}"):
            clickhouse_restore.restore({**step, "replace": True})
        assert backed.comments == {}

    @pytest.mark.parametrize(("age", "mine"), [(10, True), (90_000, False)])
    def test_what_a_killed_restore_left_is_dropped_within_a_day(
        self, backed: Server, step: Step, age: float, mine: bool
    ) -> None:
        told = {"backup": "one", "at": time.time() - age, "targets": ["market", "kontrol"]}
        backed.comments[clickhouse_work.UNFINISHED] = json.dumps(told)
        if mine:
            assert clickhouse_restore.restore(step)["rows"] == 10
        else:
            with pytest.raises(ToolError, match="would be lost"):
                clickhouse_restore.restore(step)
        assert trades(backed) == (5 if mine else 6)

    def test_one_that_is_killed_is_known_by_its_targets(self, backed: Server, step: Step) -> None:
        backed.refused = "RESTORE"
        with pytest.raises(ToolError, match="Not enough privileges"):
            clickhouse_restore.restore({**step, "replace": True})
        told = json.loads(backed.comments[clickhouse_work.UNFINISHED])
        assert (told["backup"], told["targets"]) == ("one", ["market", "kontrol"])

    def test_one_database_is_restored_alone(self, backed: Server, step: Step) -> None:
        backed.databases["kontrol"]["schema_versions"].rows.clear()
        done = clickhouse_restore.restore({**step, "database": "market", "replace": True})
        assert done["compared"] == 2
        assert backed.databases["kontrol"]["schema_versions"].rows == []
        with pytest.raises(ToolError, match="holds no such database; it holds market, kontrol"):
            clickhouse_restore.restore({**step, "database": "orders"})

    def test_a_table_goes_beside_the_live_one(self, backed: Server, step: Step) -> None:
        done = clickhouse_restore.restore({**step, "table": "market.trades", "as": "market.trades_old"})
        assert (done["compared"], done["rows"]) == (1, 5)
        assert (trades(backed), trades(backed, "trades_old")) == (6, 5)

    def test_a_table_that_is_there_with_rows_is_refused_and_an_empty_one_is_not(
        self, backed: Server, step: Step
    ) -> None:
        with pytest.raises(ToolError, match=r"'market\.trades' is there and would be lost"):
            clickhouse_restore.restore({**step, "table": "market.trades"})
        assert trades(backed) == 6
        backed.databases["market"]["trades"].rows.clear()
        clickhouse_restore.restore({**step, "table": "market.trades"})
        assert trades(backed) == 5
        with pytest.raises(ToolError, match=r"holds no table 'market.bars'; it holds kontrol.schema_versions, market"):
            clickhouse_restore.restore({**step, "table": "market.bars"})

    @pytest.mark.parametrize("foreign", [True, False])
    def test_a_store_of_another_region_is_never_locked(
        self, backed: Server, step: Step, bucket: Bucket, foreign: bool
    ) -> None:
        locks: list[bool] = []
        backed.spoil_restored = lambda _back: locks.append("/b-locks/clickhouse.json" in bucket.objects)
        clickhouse_restore.restore({**step, "replace": True, "foreign": foreign})
        assert set(locks) == {not foreign}


class TestCompare:
    """What is there is held against a backup without touching either."""

    def test_differences_are_told_and_not_an_error(self, backed: Server, step: Step) -> None:
        found = clickhouse_restore.compare(step)
        assert (found["compared"], found["rows"]) == (3, 11)
        assert found["differences"] == ["table market.trades, partition all: 5 rows expected, 6 found"]
        backed.databases["market"]["trades"].rows.pop()
        assert clickhouse_restore.compare(step)["differences"] == []

    def test_nothing_to_compare_is_no_success(self, backed: Server, step: Step) -> None:
        with pytest.raises(ArgumentError, match="so nothing was compared"):
            clickhouse_restore.compare({**step, "databases": ["orders"]})

    def test_a_look_into_a_backup_tells_what_of_it_is_intact(self, backed: Server, step: Step) -> None:
        tables = clickhouse_restore.look(step)["tables"]
        assert {name: (one["rows"], one["intact"]) for name, one in tables.items()} == {
            "kontrol.schema_versions": (3, True),
            "market.seen": (2, None),
            "market.trades": (5, True),
        }
        backed.backups["one"]["market"]["trades"].rows.pop()
        del backed.backups["one"]["kontrol"]["schema_versions"]
        tables = clickhouse_restore.look(step)["tables"]
        assert tables["market.trades"]["problem"] == "it differs from its proof"
        assert tables["kontrol.schema_versions"]["problem"] == "it is not in the backup"
        assert not [name for name in backed.databases if name.startswith("kontrol_look_")]

    def test_a_look_at_what_cannot_be_read_says_why(self, backed: Server, step: Step) -> None:
        backed.refused = "SELECT any(_partition_id)"
        one = clickhouse_restore.look(step)["tables"]["market.trades"]
        assert (one["rows"], one["intact"]) == (5, False)
        assert "Not enough privileges" in one["problem"]
