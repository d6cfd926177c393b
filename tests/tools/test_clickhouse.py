"""Rows there and back, logins and the client's errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import roundtrip
from images.tools.kontrol_tools.clickhouse import ClickHouseError, Client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.conftest import Database

REFUSED = (403, "Code: 516. DB::Exception: Authentication failed", "516")


@pytest.fixture
def step(database: Database, tmp_path: Path) -> dict[str, Any]:
    password = tmp_path / "password"
    password.write_text("right\n")
    return {"host": "127.0.0.1", "port": database.port, "user": "verify", "password_file": str(password), "rows": 3}


def store(database: Database, lose: int = 0) -> None:
    rows: list[dict[str, Any]] = []

    def answer(query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        if password != "right":
            return REFUSED
        if query.startswith("INSERT"):
            rows.extend(json.loads(line) for line in body.splitlines())
        if "count()" in query:
            return 200, json.dumps({"n": "7"}), ""
        if query.startswith("SELECT n"):
            kept = rows[: len(rows) - lose]
            return 200, "\n".join(json.dumps({"n": row["n"], "payload": row["payload"]}) for row in kept), ""
        return 200, "", ""

    database.answer = answer


def test_equal_rows_are_a_green_check(database: Database, step: dict[str, Any]) -> None:
    store(database)
    result = roundtrip.run(step)
    assert (result["ok"], result["written"], result["read"], result["earlier"]) == (True, 3, 3, 7)


def test_a_lost_row_is_a_red_check(database: Database, step: dict[str, Any]) -> None:
    store(database, lose=1)
    result = roundtrip.run(step)
    assert not result["ok"]
    assert result["seen"] == "3 rows written, 2 read back, not equal"


def test_only_the_own_database_is_written(database: Database, step: dict[str, Any]) -> None:
    store(database)
    roundtrip.run(step)
    writing = [query for query in database.queries if query.split()[0] in ("CREATE", "INSERT")]
    assert writing
    assert all("kontrol_verify" in query for query in writing)


def test_a_wrong_password_is_a_red_check_that_shows_no_password(
    database: Database, step: dict[str, Any], tmp_path: Path
) -> None:
    store(database)
    (tmp_path / "password").write_text("CANARY-7")
    result = roundtrip.run(step)
    assert (result["ok"], result["code"]) == (False, 516)
    assert "CANARY-7" not in json.dumps(result)


def test_no_server_is_a_red_check(database: Database, step: dict[str, Any]) -> None:
    result = roundtrip.run({**step, "port": 1})
    assert (result["ok"], result["code"]) == (False, 0)
    assert "does not answer" in result["seen"]


def test_logins_tell_accepted_refused_and_unknown(database: Database, step: dict[str, Any]) -> None:
    answers = {"admin": (200, "1\n", ""), "default": REFUSED, "broken": (500, "oops", "")}
    database.answer = lambda query, body, user, password: answers[user]
    logins = [{"user": "admin", "password_file": step["password_file"]}, {"user": "default"}, {"user": "broken"}]
    found = roundtrip.logins({"host": "127.0.0.1", "port": database.port, "logins": logins})["logins"]
    assert [login["outcome"] for login in found] == ["accepted", "refused", "unknown"]


def test_waiting_ends_when_the_server_answers(database: Database) -> None:
    answers = iter([(503, "not yet", ""), (200, "1\n", "")])
    database.answer = lambda query, body, user, password: next(answers)
    Client("127.0.0.1", database.port, "u", "p").wait(5)
    assert len(database.asked) == 2


def test_waiting_does_not_repeat_a_refused_login(database: Database) -> None:
    database.answer = lambda query, body, user, password: REFUSED
    with pytest.raises(ClickHouseError) as error:
        Client("127.0.0.1", database.port, "u", "p").wait(5)
    assert error.value.code == 516
    assert len(database.asked) == 1


def test_parameters_travel_beside_the_query(database: Database) -> None:
    Client("127.0.0.1", database.port, "u", "p").query("SELECT {a:String}", params={"a": "x' OR 1"})
    assert database.queries == ["SELECT {a:String}"]
