"""The store around the engine, with a module that stands in for chdb; and its end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lab.images.clickhouse.clickhouse_stand_in import __main__ as program
from lab.images.clickhouse.clickhouse_stand_in import engine as store
from lab.images.clickhouse.clickhouse_stand_in.engine import Engine, QueryError

if TYPE_CHECKING:
    from pathlib import Path


class Chdb:
    """Connections that remember queries; a query `slow` waits for `release`, `bad` fails."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, str]] = []
        self.open = 0
        self.started, self.release = threading.Event(), threading.Event()

    def connect(self, address: str) -> Any:
        self.address = address
        self.open += 1
        return SimpleNamespace(query=self.query, close=self.close)

    def close(self) -> None:
        self.open -= 1

    def query(self, text: str, form: str, params: Any = None) -> Any:
        self.queries.append((text, form))
        if text == "slow":
            self.started.set()
            self.release.wait(5)
        if text == "bad":
            raise RuntimeError("Code: 62. DB::Exception: Syntax error")
        if text == "odd":
            raise RuntimeError("something else")
        return SimpleNamespace(bytes=lambda: b"26.9\n", rows_read=lambda: 1, rows_written=lambda: 2)


@pytest.fixture
def chdb(monkeypatch: pytest.MonkeyPatch) -> Chdb:
    fake = Chdb()
    monkeypatch.setattr(store.importlib, "import_module", lambda name: fake)  # type: ignore[attr-defined] # a module
    return fake


@pytest.fixture
def engine(chdb: Chdb, tmp_path: Path) -> Engine:
    return Engine(tmp_path, "<clickhouse/>")


def test_each_query_has_a_session_of_its_own_in_its_database(engine: Engine, chdb: Chdb) -> None:
    answer = engine.query("SELECT 1", database="shop", default_format="JSON")
    assert (answer.body, answer.read_rows, answer.written_rows) == (b"26.9\n", 1, 2)
    assert chdb.queries[-2:] == [("USE `shop`", "TabSeparated"), ("SELECT 1", "JSON")]
    assert chdb.open == 1
    assert engine.version == "26.9"


@pytest.mark.parametrize(("text", "code"), [("bad", 62), ("odd", 1001)])
def test_an_error_carries_the_engines_code(engine: Engine, chdb: Chdb, text: str, code: int) -> None:
    with pytest.raises(QueryError) as error:
        engine.query(text, database="")
    assert error.value.code == code
    assert chdb.open == 1


def test_a_database_name_cannot_carry_a_query(engine: Engine) -> None:
    with pytest.raises(QueryError, match="Bad database name"):
        engine.query("SELECT 1", database="a`; DROP DATABASE b")


def test_the_end_waits_for_running_queries_and_takes_no_new_ones(engine: Engine, chdb: Chdb) -> None:
    running = threading.Thread(target=engine.query, args=("slow",), kwargs={"database": ""})
    running.start()
    chdb.started.wait(5)
    ended: list[bool] = []
    closing = threading.Thread(target=lambda: ended.append(engine.close(5)))
    closing.start()
    while engine._open:
        threading.Event().wait(0.01)
    with pytest.raises(QueryError, match="shutting down"):
        engine.query("SELECT 1", database="")
    assert chdb.open == 2
    chdb.release.set()
    closing.join(5)
    running.join(5)
    assert ended == [True]
    assert chdb.open == 0


def test_an_end_that_takes_too_long_is_told(engine: Engine, chdb: Chdb) -> None:
    running = threading.Thread(target=engine.query, args=("slow",), kwargs={"database": ""})
    running.start()
    chdb.started.wait(5)
    assert engine.close(0.05) is False
    chdb.release.set()
    running.join(5)


@pytest.fixture
def main_config(tmp_path: Path) -> Path:
    port = "<http_port>0</http_port><listen_host>127.0.0.1</listen_host><prometheus><port>0</port></prometheus>"
    (tmp_path / "config.xml").write_text(f"<clickhouse>{port}<path>{tmp_path}</path></clickhouse>")
    (tmp_path / "users.xml").write_text("<clickhouse><users/></clickhouse>")
    return tmp_path / "config.xml"


def test_the_program_ends_with_0_after_its_queries(
    chdb: Chdb, main_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    stop.set()
    assert program.serve(main_config, stop) == 0
    assert chdb.open == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("<Information> Application: Stopped")


def test_a_broken_configuration_is_exit_code_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--config-file", str(tmp_path / "none.xml")]) == 78
    assert "Cannot read configuration" in capsys.readouterr().err
