"""Backups of ClickHouse on a real engine and a real store: what counts comes back, and what is wrong is red."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import (
    backups,
    clickhouse_backup,
    clickhouse_proof,
    clickhouse_restore,
    clickhouse_work,
    s3,
)
from images.tools.kontrol_tools.clickhouse_probe import ClickHouseProber
from images.tools.kontrol_tools.errors import ToolError
from tests.e2e.database_lab import DATABASES, TABLES, DatabaseLab, free_lock, refused, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory, lab_facts: Path) -> Iterator[DatabaseLab]:
    facts = json.loads(lab_facts.read_text(encoding="utf-8"))
    with running(tmp_path_factory.mktemp("database"), facts) as lab:
        yield lab


@pytest.fixture
def lab(containers: DatabaseLab) -> DatabaseLab:
    """A server with rows in tables of each sort, and an empty store."""
    containers.empty()
    for statement in TABLES:
        containers.client.query(statement)
    containers.fill()
    return containers


def backup(lab: DatabaseLab, name: str, **more: Any) -> dict[str, Any]:
    done: dict[str, Any] = lab.plain(clickhouse_backup.backup(lab.step(id=lab.known_as(name), **more)))
    return done


def restore(lab: DatabaseLab, name: str = "", **more: Any) -> dict[str, Any]:
    identity = lab.known_as(name) if name else ""
    done: dict[str, Any] = lab.plain(clickhouse_restore.restore(lab.step(id=identity, **more)))
    return done


def newest(lab: DatabaseLab) -> str:
    return next(iter(good(lab)), "")


def good(lab: DatabaseLab) -> list[str]:
    return [str(lab.plain(one.backup)) for one in backups.good(lab.place)]


def content(lab: DatabaseLab) -> dict[str, Any]:
    """What cannot expire, of each table."""
    now = time.time()
    found = clickhouse_proof.proof(lab.client, clickhouse_proof.tables(lab.client, DATABASES))
    return {
        name: {key: part for key, part in one["partitions"].items() if part[3] is None or part[3] > now + 2 * 86_400}
        for name, one in found.items()
    }


def stored(lab: DatabaseLab, name: str) -> dict[str, int]:
    return lab.place.sizes("data", f"{lab.known_as(name)}/")


def largest(lab: DatabaseLab, name: str) -> str:
    sizes = stored(lab, name)
    return max((key for key in sizes if key.endswith(".bin")), key=sizes.__getitem__)


def flip(lab: DatabaseLab, key: str) -> None:
    body = bytearray(s3.get(lab.place.store, lab.place.bucket, key) or b"")
    body[len(body) // 2] ^= 1
    s3.put(lab.place.store, lab.place.bucket, key, bytes(body))


def slow(number: int, method: str) -> str:
    return "0.5" if method == "PUT" else ""


def test_a_chain_comes_back_equal_with_tables_of_each_sort(lab: DatabaseLab) -> None:
    made = [backup(lab, "one", full_every=2)]
    for number, name in enumerate(("two", "three"), 1):
        lab.fill(number)
        made.append(backup(lab, name, full_every=2))
    assert [one["base"] for one in made] == ["", "one", ""]
    assert made[1]["bytes"] < made[2]["bytes"]
    assert [one["unproven"] for one in made] == [0, 0, 0]
    assert made[2]["tables"] == 7
    before = content(lab)
    assert "and would be lost: market.bars" in refused(lab, lambda: restore(lab))
    lab.fill(3)
    done = restore(lab, replace=True)
    assert (done["id"], done["compared"]) == ("three", 7)
    assert content(lab) == before
    second = restore(lab, "two", replace=True)
    assert second["rows"] < done["rows"]
    assert clickhouse_restore.compare(lab.step(id=lab.known_as("two")))["differences"] == []
    wrong = clickhouse_restore.compare(lab.step(id=lab.known_as("three")))["differences"]
    assert any("orders.orders, partition all" in text for text in wrong)
    lab.client.query("DROP VIEW market.latest")
    assert clickhouse_restore.compare(lab.step(id=lab.known_as("two")))["differences"] == ["market.latest is not there"]


def test_rows_that_the_backup_does_not_hold_are_missed(lab: DatabaseLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if BACKUP had overlooked a part of the source: it is taken away between the look at the source and BACKUP."""
    backup(lab, "good")
    lab.fill(1)
    run = clickhouse_work.run

    def overlooking(*arguments: Any, **more: Any) -> dict[str, Any]:
        lab.client.query("ALTER TABLE orders.orders DETACH PART 'all_2_2_0'")
        lab.client.query("INSERT INTO orders.orders SELECT number, 'other', '{}' FROM numbers(9000)")
        return run(*arguments, **more)

    monkeypatch.setattr(clickhouse_work, "run", overlooking)
    assert "orders.orders, partition all: 5000 rows of the source are in no part" in refused(
        lab, lambda: backup(lab, "bad")
    )
    assert newest(lab) == "good"


@pytest.mark.life
def test_what_is_written_meanwhile_does_not_make_a_backup_red(lab: DatabaseLab) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.2):
            lab.fill(7)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = backup(lab, "one")
    finally:
        stop.set()
        writer.join()
    assert made["unproven"] > 0
    assert restore(lab, replace=True)["compared"] == 7


def test_a_table_that_lost_its_rows_makes_a_backup_red_unless_it_is_meant(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.client.query("TRUNCATE TABLE orders.orders")
    assert "orders.orders 0 rows instead of 5000" in refused(lab, lambda: backup(lab, "two"))
    assert newest(lab) == "one"
    assert backup(lab, "three", smaller=True)["base"] == ""
    assert newest(lab) == "three"


def test_a_backup_with_a_missing_or_short_object_is_not_offered(lab: DatabaseLab) -> None:
    backup(lab, "one")
    backup(lab, "two")
    key = largest(lab, "two")
    body = s3.get(lab.place.store, lab.place.bucket, key) or b""
    s3.put(lab.place.store, lab.place.bucket, key, body[:-1])
    assert "the store holds" in refused(lab, lambda: restore(lab, "two", replace=True))
    s3.delete(lab.place.store, lab.place.bucket, key)
    assert "the store holds" in refused(lab, lambda: restore(lab, "two", replace=True))
    assert restore(lab, replace=True)["id"] == "one"


def test_a_flipped_bit_is_red_and_nothing_is_built_on_it_twice(lab: DatabaseLab) -> None:
    backup(lab, "one", full_every=9)
    flip(lab, largest(lab, "one"))
    tables = clickhouse_restore.look(lab.step())["tables"]
    assert [name for name, one in tables.items() if one["intact"] is False] == ["market.trades"]
    assert "Table market.trades cannot be read" in refused(lab, lambda: backup(lab, "two", full_every=9))
    assert backup(lab, "three", full_every=9)["base"] == ""
    assert "market.trades" in refused(lab, lambda: restore(lab, "one", replace=True))
    assert restore(lab)["id"] == "three"


def test_one_table_comes_back_beside_the_live_one(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.client.query("ALTER TABLE orders.orders DELETE WHERE id < 100 SETTINGS mutations_sync = 2")
    assert "'orders.orders' is there" in refused(lab, lambda: restore(lab, table="orders.orders"))
    done = restore(lab, table="orders.orders", **{"as": "aside.orders"})
    assert (done["rows"], done["compared"]) == (5000, 1)
    assert lab.client.query("SELECT count() FROM orders.orders").strip() == b"4900"
    assert "is there" in refused(lab, lambda: restore(lab, table="orders.orders", **{"as": "market.latest"}))
    assert restore(lab, table="orders.orders", replace=True)["rows"] == 5000
    assert "holds no table 'orders.none'" in refused(lab, lambda: restore(lab, table="orders.none"))
    seen = clickhouse_restore.look(lab.step())
    assert seen["tables"]["orders.orders"] == {
        "rows": 5000,
        "columns": ["id", "state", "more"],
        "intact": True,
        "problem": "",
    }
    assert {name: one["intact"] for name, one in seen["tables"].items() if not one["intact"]} == {
        "market.notes": None,
        "market.volume": None,
    }


@pytest.mark.life
def test_a_killed_tool_leaves_no_backup_and_the_next_one_waits_for_what_it_left(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.fill(1)
    with lab.relay.troubled(slow):
        process = lab.tool("clickhouse-backup", id=lab.known_as("two"))
        wait_until(lambda: len(stored(lab, "two")) > 2)
        process.kill()
        process.communicate()
    assert newest(lab) == "one"
    assert "'two' of clickhouse is going on" in refused(lab, lambda: backup(lab, "three"))
    free_lock(lab)
    assert "no manifest" in refused(lab, lambda: restore(lab, "two", replace=True))
    assert backup(lab, "three")["id"] == newest(lab) == "three"


@pytest.mark.life
def test_a_tool_that_is_told_to_end_tells_why_and_gives_the_lock_back(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.fill(1)
    with lab.relay.troubled(slow):
        process = lab.tool("clickhouse-backup", id=lab.known_as("two"))
        wait_until(lambda: len(stored(lab, "two")) > 2)
        process.terminate()
        said = json.loads(process.communicate(timeout=20)[0].splitlines()[-1])
    assert "told to end" in said["error"]
    assert backups.last_attempt(lab.place)["ok"] is False
    assert backup(lab, "three")["id"] == "three"


@pytest.mark.life
def test_a_server_that_starts_anew_in_between_has_failed(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.fill(1)
    with lab.relay.troubled(slow):
        process = lab.tool("clickhouse-backup", id=lab.known_as("two"))
        wait_until(lambda: len(stored(lab, "two")) > 2)
        lab.start_again()
        said = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    assert "the server was started anew while it ran" in said["error"]
    assert newest(lab) == "one"
    assert backup(lab, "three")["base"] == ""


def test_a_wrong_password_is_a_failed_attempt(lab: DatabaseLab) -> None:
    backup(lab, "one")
    assert "HTTP 403" in refused(lab, lambda: backup(lab, "two", password_file=str(lab.folder / "wrong")))
    assert backups.gauges(lab.place)["kontrol_backup_last_attempt_failed"] == 1.0
    assert newest(lab) == "one"


def test_of_two_at_once_the_second_is_refused(lab: DatabaseLab) -> None:
    with lab.relay.troubled(slow):
        process = lab.tool("clickhouse-backup", id=lab.known_as("one"))
        wait_until(lambda: bool(stored(lab, "one")))
        said = [refused(lab, lambda: backup(lab, "two")), refused(lab, lambda: restore(lab, replace=True))]
    assert all("'one' of clickhouse is going on" in text for text in said)
    assert lab.plain(json.loads(process.communicate(timeout=60)[0]))["results"]["step"]["id"] == newest(lab) == "one"


def test_a_full_disk_keeps_what_was_good(lab: DatabaseLab) -> None:
    small: dict[str, Any] = {"endpoint": lab.small, "collection": "small_store"}
    backup(lab, "one", **small)
    lab.client.query("INSERT INTO orders.empty SELECT rand64() FROM numbers(500000)")
    assert "BACKUP failed" in refused(lab, lambda: backup(lab, "two", **small))
    assert restore(lab, replace=True, **small)["id"] == "one"


def test_a_store_that_answers_500_now_and_then_costs_nothing(lab: DatabaseLab) -> None:
    with lab.relay.troubled(lambda number, method: "500" if number % 5 == 0 else ""):
        made = backup(lab, "one")
        restore(lab, replace=True)
        assert lab.relay.failed > 10
    assert newest(lab) == made["id"]


@pytest.mark.life
def test_a_store_that_only_answers_500_is_an_error_and_the_last_backup_stays(lab: DatabaseLab) -> None:
    backup(lab, "one")
    with lab.relay.troubled(lambda number, method: "500"):
        assert "500" in refused(lab, lambda: backup(lab, "two"))
    assert newest(lab) == "one"


@pytest.mark.life
def test_broken_backups_do_not_push_good_ones_out(lab: DatabaseLab) -> None:
    backup(lab, "one")
    backup(lab, "two")
    s3.delete(lab.place.store, lab.place.bucket, largest(lab, "two"))
    assert backup(lab, "three", keep=2)["expired"] == ["two"]
    assert good(lab) == ["three", "one"]
    assert backup(lab, "four", keep=1)["expired"] == ["three", "one"]
    assert restore(lab, replace=True)["id"] == "four"


@pytest.mark.life
def test_a_killed_restore_is_repeated_and_nobody_backs_half_of_it_up(lab: DatabaseLab) -> None:
    backup(lab, "one")
    before = content(lab)
    for name in DATABASES:
        lab.client.query(f"DROP DATABASE {name} SYNC")
    with lab.relay.troubled(lambda number, method: "0.2"):
        process = lab.tool("clickhouse-restore")
        wait_until(lambda: bool(clickhouse_work.unfinished(lab.client)) and bool(_tables(lab)))
        process.kill()
        process.communicate()
    free_lock(lab)
    assert "never ended" in refused(lab, lambda: backup(lab, "two"))
    assert restore(lab)["id"] == "one"
    assert content(lab) == before
    assert backup(lab, "three")["id"] == "three"


def _tables(lab: DatabaseLab) -> list[dict[str, Any]]:
    return lab.client.rows("SELECT name FROM system.tables WHERE database IN ('market', 'orders')")


def test_an_exporter_that_has_begun_anew_does_not_disturb_a_restore(lab: DatabaseLab) -> None:
    backup(lab, "one")
    lab.client.query("DROP DATABASE kontrol_verify SYNC")
    prober, stop = ClickHouseProber(lab.step()), threading.Event()

    def probe() -> None:
        while not stop.wait(0.01):
            try:
                prober.insert()
            except ToolError:
                prober.prepare()

    prober.prepare()
    writer = threading.Thread(target=probe)
    writer.start()
    try:
        restore(lab, replace=True)
    finally:
        stop.set()
        writer.join()
    old = lab.client.rows("SELECT count() AS n FROM kontrol_verify.canary WHERE written < now() - 60")
    assert int(old[0]["n"]) > 10
