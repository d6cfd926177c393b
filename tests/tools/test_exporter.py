"""The exporter beside a database: what it tells after tries that succeed, fail and hang, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import exporter
from images.tools.kontrol_tools.clickhouse_probe import ClickHouseProber
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from images.tools.kontrol_tools.neo4j_probe import space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.tools.conftest import Database


class Scripted:
    """A database that does what a test says."""

    database = "some"

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.done: list[str] = []

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what in self.broken:
            raise ToolError(f"No {what}")

    def prepare(self) -> None:
        self._do("prepare")

    def insert(self) -> None:
        self._do("insert")

    def query(self) -> None:
        self._do("query")

    def gauges(self) -> Mapping[str, float]:
        return {"kontrol_store_bytes": 1e12}


def values(loop: exporter.Loop) -> dict[str, float]:
    """The series of the page by name and labels."""
    lines = [line for line in loop.numbers.text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z_]+\{[^}]*\} ([0-9.e+-]+|NaN)", line) for line in lines)
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def total(operation: str, outcome: str) -> str:
    return f'kontrol_probe_total{{database="some",operation="{operation}",outcome="{outcome}"}}'


def test_all_outcomes_are_there_before_the_first_try() -> None:
    found = values(exporter.Loop(Scripted()))
    assert [found[total(*both)] for both in (("insert", "ok"), ("insert", "failed"), ("query", "failed"))] == [0, 0, 0]
    assert not [name for name in found if name.startswith("kontrol_probe_success")]


def test_tries_are_counted_by_outcome_and_only_good_ones_are_timed() -> None:
    prober = Scripted()
    loop = exporter.Loop(prober)
    loop.round()
    prober.broken = {"query"}
    loop.round()
    found = values(loop)
    assert (found[total("insert", "ok")], found[total("query", "ok")], found[total("query", "failed")]) == (2, 1, 1)
    assert found['kontrol_probe_success{database="some",operation="query"}'] == 0
    assert found['kontrol_probe_success{database="some",operation="insert"}'] == 1
    assert found['kontrol_probe_duration_seconds_count{database="some",operation="query"}'] == 1
    assert found['kontrol_probe_duration_seconds_bucket{database="some",operation="query",le="0.25"}'] == 1
    assert found['kontrol_store_bytes{database="some"}'] == 1e12


def test_a_slow_try_is_only_in_the_buckets_above_it() -> None:
    numbers = exporter.Numbers("some")
    numbers.observe("insert", 0.3, ok=True)
    text = numbers.text()
    assert 'operation="insert",le="0.25"} 0' in text
    assert 'operation="insert",le="0.5"} 1' in text
    assert 'operation="insert",le="+Inf"} 1' in text


def test_the_place_is_made_again_after_a_failure_and_not_otherwise() -> None:
    prober = Scripted()
    loop = exporter.Loop(prober)
    loop.round()
    loop.round()
    assert prober.done == ["prepare", "insert", "query", "insert", "query"]
    prober.broken = {"insert"}
    loop.round()
    prober.broken, prober.done = set(), []
    loop.round()
    assert prober.done == ["prepare", "insert", "query"]


def test_without_the_place_both_operations_have_failed(capsys: pytest.CaptureFixture[str]) -> None:
    prober = Scripted()
    prober.broken = {"prepare"}
    loop = exporter.Loop(prober)
    loop.round()
    loop.round()
    assert [values(loop)[total(operation, "failed")] for operation in ("insert", "query")] == [2, 2]
    prober.broken = set()
    loop.round()
    told = capsys.readouterr().err.splitlines()
    assert told == ["insert: No prepare", "query: No prepare", "insert: works again", "query: works again"]


def test_a_loop_that_hangs_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = exporter.Loop(Scripted())
    assert exporter.answer(loop, "/healthz") == (200, "ok\n")
    monkeypatch.setattr(exporter, "STUCK_SECONDS", -1.0)
    assert exporter.answer(loop, "/healthz") == (503, "stuck\n")
    assert exporter.answer(loop, "/else")[0] == 404


def test_the_log_gets_a_line_a_minute_and_begins_anew_when_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, prober = tmp_path / "probe.log", Scripted()
    loop = exporter.Loop(prober, log=path)
    loop.round()
    loop.round()
    assert [line.partition(" ")[2] for line in path.read_text().splitlines()] == ["insert ok, query ok"]
    monkeypatch.setattr(exporter, "LARGEST_LOG_BYTES", 10)
    monkeypatch.setattr(exporter, "BEAT_SECONDS", 0.0)
    prober.broken = {"query"}
    exporter.Loop(prober, log=path).round()
    assert [line.partition(" ")[2] for line in path.read_text().splitlines()] == ["insert ok, query failed"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = exporter.Loop(Scripted(), log=tmp_path / "missing" / "probe.log")
    loop.round()
    assert values(loop)[total("insert", "ok")] == 1
    assert "Cannot write the log" in capsys.readouterr().err


@pytest.fixture
def step(database: Database, tmp_path: Path) -> dict[str, Any]:
    password = tmp_path / "password"
    password.write_text("right\n")
    return {"host": "127.0.0.1", "port": database.port, "user": "verify", "password_file": str(password)}


def keep_rows(database: Database, *, lose: bool = False) -> None:
    rows: list[dict[str, Any]] = []

    def answer(query: str, body: str, user: str, password: str) -> tuple[int, str, str]:
        if password != "right":
            return 403, "Code: 516. DB::Exception: Authentication failed", "516"
        if query.startswith("INSERT"):
            rows.append(json.loads(body))
        if query.startswith("SELECT id"):
            return 200, "" if lose or not rows else json.dumps({"id": rows[-1]["id"]}), ""
        if "system.disks" in query:
            return 200, json.dumps({"size": "1000", "free": "250"}), ""
        return 200, "", ""

    database.answer = answer


def test_clickhouse_is_tried_in_the_verify_database_alone(database: Database, step: dict[str, Any]) -> None:
    keep_rows(database)
    loop = exporter.Loop(ClickHouseProber(step))
    loop.round()
    found = values(loop)
    assert found['kontrol_probe_success{database="clickhouse",operation="query"}'] == 1
    assert found['kontrol_store_free_bytes{database="clickhouse"}'] == 250
    writing = [query for query in database.queries if query.split()[0] in ("CREATE", "INSERT")]
    assert all("kontrol_verify" in query for query in writing)
    assert any("TTL" in query for query in writing)


def test_a_lost_canary_is_a_failed_query(database: Database, step: dict[str, Any]) -> None:
    keep_rows(database, lose=True)
    loop = exporter.Loop(ClickHouseProber(step))
    loop.round()
    found = values(loop)
    assert found['kontrol_probe_success{database="clickhouse",operation="insert"}'] == 1
    assert found['kontrol_probe_success{database="clickhouse",operation="query"}'] == 0


def test_a_wrong_password_is_told_without_it_and_a_right_one_counts_at_once(
    database: Database, step: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_rows(database)
    (tmp_path / "password").write_text("CANARY-7")
    loop = exporter.Loop(ClickHouseProber(step))
    loop.round()
    told = capsys.readouterr().err
    assert "516" in told
    assert "CANARY-7" not in told + loop.numbers.text()
    (tmp_path / "password").write_text("right")
    loop.round()
    assert values(loop)['kontrol_probe_success{database="clickhouse",operation="insert"}'] == 1


def test_the_space_is_that_of_the_folder(tmp_path: Path) -> None:
    found = space(str(tmp_path))
    assert found["kontrol_store_bytes"] > found["kontrol_store_free_bytes"] > 0
    with pytest.raises(ToolError, match="missing"):
        space(str(tmp_path / "missing"))


def test_an_unknown_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "args.json"
    path.write_text(json.dumps({"steps": [{"database": "sqlite"}]}))
    with pytest.raises(ArgumentError, match="known: clickhouse, neo4j"):
        exporter.serve_metrics(path)


def test_the_program_answers_on_loopback_and_ends_at_once(
    database: Database, step: dict[str, Any], tmp_path: Path, unused_port: int
) -> None:
    keep_rows(database)
    path = tmp_path / "args.json"
    path.write_text(json.dumps({"steps": [{**step, "database": "clickhouse", "listen": unused_port}]}))
    command = [sys.executable, "-m", "images.tools.kontrol_tools", "--serve-metrics", str(path)]
    with subprocess.Popen(command) as process:
        try:
            assert "kontrol_probe_success" in _page(unused_port)
            assert _told_by(unused_port) == {"127.0.0.1"}
        finally:
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            code = process.wait(10)
    assert (code, time.monotonic() - started < 2) == (0, True)


def _page(port: int) -> str:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
            if "kontrol_probe_success" in text:
                return str(text)
        except (OSError, urllib.error.URLError):
            pass
        threading.Event().wait(0.05)
    return ""


def _told_by(port: int) -> set[str]:
    """The addresses that a port of this machine is listened on."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    found = {str(IPv4Address(bytes.fromhex(address)[::-1])) for address, number in local if int(number, 16) == port}
    rows = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return found | {"::" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
