"""The HTTP interface: pings, logins, queries, errors, metrics."""

from __future__ import annotations

import base64
import json
import os

import pytest

from lab.images.clickhouse.clickhouse_stand_in.engine import Answer, QueryError
from lab.images.clickhouse.clickhouse_stand_in.front import keyword
from tests.lab.stand_in.conftest import Front, write_users

LOGIN = {"X-ClickHouse-User": "admin", "X-ClickHouse-Key": "secret"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"admin:secret").decode()}


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
def test_a_ping_needs_no_login(front: Front, path: str) -> None:
    answer, text = front.ask("GET", path)
    assert (answer.status, text) == (200, "Ok.\n")


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/?query=SELECT+1", LOGIN), ("/?query=SELECT+1", BASIC), ("/?query=SELECT+1&user=admin&password=secret", {})],
)
def test_each_way_to_log_in(front: Front, path: str, headers: dict[str, str]) -> None:
    answer, text = front.ask("GET", path, headers=headers)
    assert (answer.status, text) == (200, "1\n")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**LOGIN, "X-ClickHouse-Key": "CANARY-1"},
        {"X-ClickHouse-User": "nobody"},
        {"Authorization": "Basic ***"},
        {"Authorization": "Bearer x"},
    ],
)
def test_a_wrong_login_is_refused_before_the_engine_is_asked(front: Front, headers: dict[str, str]) -> None:
    answer, text = front.ask("POST", "/?query=SELECT+1", headers=headers)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert "CANARY" not in text
    assert front.engine.asked == []


def test_a_new_password_counts_at_once(front: Front) -> None:
    write_users(front.folder, "new")
    os.utime(front.folder / "users.d" / "kontrol.xml", ns=(1, 1))
    assert front.ask("GET", "/?query=SELECT+1", headers=LOGIN)[0].status == 403


def test_get_may_only_read(front: Front) -> None:
    answer, text = front.ask("GET", "/?query=DROP+TABLE+a", headers=LOGIN)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert "READONLY" in text
    assert front.engine.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_body_follows_the_query(front: Front, method: str) -> None:
    front.ask(method, "/?query=INSERT+INTO+t+FORMAT+TSV", b"1\n2\n", LOGIN)
    assert front.engine.asked[0]["text"] == "INSERT INTO t FORMAT TSV\n1\n2\n"


def test_a_chunked_body_is_read(front: Front) -> None:
    front.ask("POST", "/", [b"SELECT ", b"1"], LOGIN)
    assert front.engine.asked[0]["text"] == "SELECT 1"


def test_database_format_and_parameters_are_handed_on(front: Front) -> None:
    answer, _ = front.ask(
        "POST", "/?database=shop&default_format=JSONEachRow&param_a=x&query_id=q1", b"SELECT 1", LOGIN
    )
    assert front.engine.asked == [
        {"text": "SELECT 1", "database": "shop", "format": "JSONEachRow", "params": {"a": "x"}}
    ]
    assert answer.headers["X-ClickHouse-Query-Id"] == "q1"
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"


@pytest.mark.parametrize(("code", "status"), [(60, 404), (62, 400), (241, 500), (999, 500), (734, 503)])
def test_an_error_has_its_code_and_status(front: Front, code: int, status: int) -> None:
    def fail(text: str) -> Answer:
        raise QueryError(code, f"Code: {code}. DB::Exception: no")

    front.engine.answer = fail
    answer, text = front.ask("POST", "/", b"SELECT x", LOGIN)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert text == f"Code: {code}. DB::Exception: no (version 26.9.2.1)\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_there(front: Front, method: str) -> None:
    assert front.ask(method, "/play", b"")[0].status == 404


def test_head_has_no_body(front: Front) -> None:
    answer, text = front.ask("HEAD", "/ping")
    assert (answer.status, text) == (200, "")


def test_metrics_count_queries_and_time(front: Front) -> None:
    front.ask("POST", "/", b"INSERT INTO t VALUES (1)", LOGIN)
    front.ask("GET", "/?query=SELECT+1", headers=LOGIN)
    front.ask("GET", "/?query=SELECT+1")
    front.engine.answer = lambda text: Answer(b"MemoryTracking\t5\n" if "metrics" in text else b"Merge\t2\n", 1, 0)
    answer, text = front.ask("GET", "/metrics", metrics=True)
    assert answer.status == 200
    lines = text.splitlines()
    assert "ClickHouseProfileEvents_Query 3" in lines
    assert "ClickHouseProfileEvents_InsertQuery 1" in lines
    assert "ClickHouseProfileEvents_FailedQuery 1" in lines
    assert "ClickHouseProfileEvents_Merge 2" in lines
    assert "ClickHouseMetrics_MemoryTracking 5" in lines
    assert 'ClickHouseHistogramMetrics_QueryDurationSeconds_bucket{le="+Inf"} 3' in lines


def test_metrics_has_one_page(front: Front) -> None:
    assert front.ask("GET", "/", metrics=True)[0].status == 404


@pytest.mark.parametrize(
    ("text", "word"),
    [("SELECT 1", "select"), ("-- a\n/* b */ Insert into t", "insert"), ("(select 1)", "select"), ("", ""), ("--", "")],
)
def test_the_keyword_of_a_query(text: str, word: str) -> None:
    assert keyword(text) == word
