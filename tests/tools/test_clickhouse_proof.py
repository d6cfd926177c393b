"""What proves tables of ClickHouse: what is hashed, when rows may go, and what a backup lacks of its source."""

from __future__ import annotations

from typing import Any

import pytest

from images.tools.kontrol_tools import clickhouse_proof as p
from images.tools.kontrol_tools.clickhouse_proof import Piece, Table
from images.tools.kontrol_tools.errors import ToolError

NOW = 1_800_000_000.0
DAY = 86_400


def piece(part: str, rows: int, total: int = 0, day: int | None = None) -> Piece:
    """A piece of a part `202601_<first>_<last>_0`; of a whole partition when it names none."""
    return Piece("202601", f"202601_{part}" if part else "", day, rows, total or rows, 0)


def lacking(before: list[Piece], backup: list[Piece], *, quiet: bool = False) -> tuple[str, int]:
    return p.check_source(before, backup, quiet={"202601"} if quiet else set(), now=NOW)


@pytest.mark.parametrize(
    ("engine", "ttl"),
    [
        ("MergeTree ORDER BY a SETTINGS index_granularity = 8192", ""),
        ("MergeTree ORDER BY a TTL at + toIntervalDay(1) SETTINGS index_granularity = 8192", "at + toIntervalDay(1)"),
        (
            "MergeTree ORDER BY a TTL toDateTime(at, 'UTC') + toIntervalDay(1)",
            "toDateTime(at, 'UTC') + toIntervalDay(1)",
        ),
        ("MergeTree TTL a + 1, b + 2 WHERE c IN (1, 2)", "least(a + 1, b + 2)"),
        ("MergeTree TTL a + 1 TO VOLUME 'cold, old', b + 2 DELETE SETTINGS x = 1", "b + 2"),
        ("MergeTree TTL a + 1 RECOMPRESS CODEC(ZSTD(17)), b + 2", "b + 2"),
        ("MergeTree TTL a + 1 TO DISK 'cold'", ""),
        ("MergeTree TTL a + 1 GROUP BY k SET x = max(x), y = min(y) SETTINGS z = 1", "a + 1"),
        ("MergeTree TTL `TTL` + toIntervalDay(1)", "`TTL` + toIntervalDay(1)"),
        ("MergeTree ORDER BY concat(' TTL ', a)", ""),
    ],
)
def test_a_row_may_go_when_the_first_rule_says(engine: str, ttl: str) -> None:
    assert p.ttl_of(engine) == ttl


@pytest.mark.parametrize(
    ("kind", "result", "computed", "hashed"),
    [
        ("Nullable(String)", "", False, "`x`"),
        ("Float64", "", False, "`x`"),
        ("Float64", "", True, "toFloat32(`x`)"),
        ("Nullable(Float64)", "", True, "toFloat32(`x`)"),
        ("Decimal(18, 6)", "", True, "`x`"),
        ("SimpleAggregateFunction(sum, Float64)", "", True, "toFloat32(`x`)"),
        ("SimpleAggregateFunction(groupUniqArrayArray, Array(UInt8))", "", True, "arraySort(`x`)"),
        ("AggregateFunction(uniq, UInt64)", "UInt64", True, "finalizeAggregation(`x`)"),
        ("AggregateFunction(avg, Float64)", "Float64", True, "toFloat32(finalizeAggregation(`x`))"),
        ("AggregateFunction(groupArray, UInt8)", "Array(UInt8)", True, "arraySort(finalizeAggregation(`x`))"),
        ("Array(Float64)", "", False, "`x`"),
    ],
)
def test_what_merges_compute_is_hashed_free_of_their_order(kind: str, result: str, computed: bool, hashed: str) -> None:
    assert p.hashed_as("x", kind, result, computed=computed) == hashed


def test_names_cannot_break_out_of_a_query() -> None:
    table = Table("a`b", "c\\", "ReplacingMergeTree", (("x`; DROP", "String"),))
    assert "`a\\`b`.`c\\\\` FINAL" in table.checksum()
    assert "tuple(`x\\`; DROP`)" in table.checksum()


def test_what_is_the_same_lacks_nothing() -> None:
    parts = [piece("1_1_0", 5), piece("2_2_0", 7)]
    assert lacking(parts, parts) == ("", 0)
    assert lacking(parts, [piece("1_2_1", 12)]) == ("", 0)
    assert lacking(parts, [*parts, piece("3_3_0", 100)]) == ("", 0)
    assert lacking([], [piece("1_1_0", 100)]) == ("", 0)


def test_an_overlooked_part_is_missed_although_more_rows_came_than_it_held() -> None:
    said, _open = lacking([piece("1_1_0", 5), piece("2_2_0", 7)], [piece("1_1_0", 5), piece("3_3_0", 100)])
    assert said == "partition 202601: 7 rows of the source are in no part of the backup"


def test_other_rows_under_the_same_blocks_are_seen() -> None:
    said, _open = lacking([piece("1_1_0", 5, 50)], [piece("1_1_0", 5, 51)])
    assert said == ("partition 202601: 5 rows in the source, 5 in part 202601_1_1_0 of the backup, and they are others")
    assert lacking([piece("1_1_0", 5), piece("2_2_0", 7)], [piece("1_2_1", 11)])[0]


def test_a_part_that_reaches_beyond_must_hold_as_many_rows_and_is_told_as_unproven() -> None:
    before = [piece("1_1_0", 5), piece("2_2_0", 7)]
    assert lacking(before, [piece("1_3_1", 13)]) == ("", 1)
    assert "12 rows in the source, 11 in part" in lacking(before, [piece("1_3_1", 11)])[0]


def test_a_mutation_in_between_is_no_loss_but_unproven() -> None:
    assert lacking([piece("1_1_0", 5)], [piece("1_1_0_4", 2)]) == ("", 1)
    assert lacking([piece("1_1_0_4", 5)], [piece("1_1_0_4", 2)])[0]


def test_where_rows_are_merged_away_only_a_quiet_partition_is_compared() -> None:
    assert lacking([piece("", 5)], [piece("", 4)]) == ("", 1)
    assert lacking([piece("", 5)], [piece("", 5)], quiet=True) == ("", 0)
    assert lacking([piece("", 5)], [piece("", 4)], quiet=True)[0] == (
        "partition 202601: 5 rows in the source, 4 in the backup"
    )
    assert lacking([piece("", 5)], [], quiet=True)[0]


def test_rows_that_may_have_expired_are_compared_by_nobody() -> None:
    over, lasting = int(NOW) - DAY, int(NOW) + DAY
    before = [piece("1_1_0", 5, day=over), piece("1_1_0", 7, day=lasting)]
    assert lacking(before, [piece("1_1_1", 7, day=lasting)]) == ("", 0)
    assert lacking(before, [piece("1_1_0", 5, day=over)])[0]


def test_a_part_without_blocks_is_an_error() -> None:
    with pytest.raises(ToolError, match="names a part 'strange', which tells no blocks"):
        lacking([Piece("202601", "strange", None, 1, 1, 1)], [piece("1_1_0", 5)])


def proof(partitions: dict[str, list[Any]], **more: Any) -> dict[str, Any]:
    one = {"engine": "MergeTree", "columns": [["a", "String"]], "partitions": partitions, "read": "backup"}
    return {"m.t": {**one, **more}}


def test_pieces_of_a_partition_add_up_whatever_its_parts() -> None:
    parts = [piece("1_1_0", 5, (1 << 64) - 1), piece("2_2_0", 7, 3)]
    assert p.partitions(parts) == {"202601": [12, "2", "0", None]}
    day = int(NOW)
    assert p.partitions([piece("1_1_0", 5, day=day)]) == {f"202601 day {day}": [5, "5", "0", day]}


def test_differences_are_told_by_table_and_partition() -> None:
    wanted = proof({"1": [5, "50", "60", None]})
    assert p.differences(wanted, proof({"1": [5, "50", "60", None]}), NOW) == []
    assert p.differences(wanted, {}, NOW) == ["table m.t is not there"]
    assert p.differences(wanted, proof({}, columns=[["a", "UInt8"]]), NOW) == ["table m.t has other columns"]
    assert p.differences(wanted, proof({"1": [4, "50", "60", None]}), NOW) == [
        "table m.t, partition 1: 5 rows expected, 4 found"
    ]
    assert p.differences(wanted, proof({"1": [5, "51", "60", None]}), NOW) == [
        "table m.t, partition 1: 5 rows expected, 5 found, and they are others"
    ]
    more = proof({"1": [5, "50", "60", None], "2": [1, "1", "1", None]})
    assert p.differences(wanted, more, NOW) == ["table m.t, partition 2: 0 rows expected, 1 found"]


def test_expired_days_may_be_missing_and_others_may_not() -> None:
    over, lasting = NOW - DAY, NOW + DAY
    wanted = proof({"1": [5, "5", "5", over], "2": [7, "7", "7", lasting]})
    assert p.differences(wanted, proof({"2": [7, "7", "7", lasting]}), NOW) == []
    assert p.differences(wanted, proof({"1": [5, "5", "5", over]}), NOW) == [
        "table m.t, partition 2: 7 rows expected, 0 found"
    ]


def test_of_a_table_that_was_written_to_unseen_at_least_its_rows_must_be_there() -> None:
    wanted = proof({"all": [5, "5", "5", None]}, read=p.LEAST)
    assert p.differences(wanted, proof({"all": [9, "1", "1", None]}), NOW) == []
    assert p.differences(wanted, proof({"all": [4, "1", "1", None]}), NOW) == [
        "table m.t: at least 5 rows expected, 4 found"
    ]
