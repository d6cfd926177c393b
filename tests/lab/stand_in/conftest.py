"""The stand-in's parts without the engine: a database of scripted answers."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, cast

import pytest

from lab.images.clickhouse.clickhouse_stand_in import log
from lab.images.clickhouse.clickhouse_stand_in.config import UserDirectory
from lab.images.clickhouse.clickhouse_stand_in.engine import Answer, QueryError
from lab.images.clickhouse.clickhouse_stand_in.front import MetricsServer, Server
from lab.images.clickhouse.clickhouse_stand_in.metrics import QueryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.images.clickhouse.clickhouse_stand_in.engine import Engine

USERS = """<clickhouse><users><default remove="remove"/>
<admin><password_sha256_hex>{}</password_sha256_hex></admin></users></clickhouse>"""
DEFAULT = "<clickhouse><users><default><password></password></default></users></clickhouse>"


def write_users(folder: Path, password: str) -> None:
    (folder / "users.d").mkdir(exist_ok=True)
    digest = hashlib.sha256(password.encode()).hexdigest()
    (folder / "users.d" / "kontrol.xml").write_text(USERS.format(digest))


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    yield
    for handler in log.LOG.handlers:
        handler.close()
    log.LOG.handlers[:], log.LOG.propagate = [], True


@dataclass
class Scripted:
    """Stands in for the engine: remembers queries, answers by a function."""

    version: str = "26.9.2.1"
    asked: list[dict[str, object]] = field(default_factory=list)
    answer: Callable[[str], Answer] = lambda text: Answer(b"1\n", 1, 0)

    def query(
        self, text: str, *, database: str, default_format: str = "TabSeparated", params: dict[str, str] | None = None
    ) -> Answer:
        self.asked.append({"text": text, "database": database, "format": default_format, "params": params or {}})
        return self.answer(text)


@dataclass
class Front:
    """Both ports of a running front."""

    engine: Scripted
    folder: Path
    port: int
    metrics_port: int

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] | None = None,
        headers: dict[str, str] | None = None,
        *,
        metrics: bool = False,
    ) -> tuple[HTTPResponse, str]:
        """Send one request; a body in pieces goes chunked."""
        connection = HTTPConnection("127.0.0.1", self.metrics_port if metrics else self.port, timeout=5)
        in_pieces = isinstance(body, list)
        sent = {**(headers or {}), **({"Transfer-Encoding": "chunked"} if in_pieces else {})}
        content = iter(body) if isinstance(body, list) else body
        connection.request(method, path, content, sent, encode_chunked=in_pieces)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    (tmp_path / "users.xml").write_text(DEFAULT)
    write_users(tmp_path, "secret")
    engine, counts = Scripted(), QueryMetrics()
    typed = cast("Engine", engine)
    users = UserDirectory(tmp_path / "users.xml")
    with (
        Server(("127.0.0.1", 0), typed, users, counts) as server,
        MetricsServer(("127.0.0.1", 0), typed, counts) as page,
    ):
        for one in (server, page):
            threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield Front(engine, tmp_path, server.server_address[1], page.server_address[1])
        server.shutdown()
        page.shutdown()


__all__ = ["Front", "QueryError", "Scripted", "write_users"]
