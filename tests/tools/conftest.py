"""A small ClickHouse for the tools: answers what a test scripted, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, str, str]
OK: Answer = (200, "", "")


@dataclass
class Database:
    """What was asked, and how to answer: `answer(query, body, user, password)` -> status, body, exception code."""

    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    answer: Callable[[str, str, str, str], Answer] = lambda query, body, user, password: OK

    @property
    def queries(self) -> list[str]:
        """The queries without their data."""
        return [query for query, _ in self.asked]


class Quiet(BaseHTTPRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve on loopback, and yield the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def database() -> Iterator[Database]:
    state = Database()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            state.asked.append((query, body))
            user, password = self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"]
            status, text, code = state.answer(query, body, user, password)
            self.send_response(status)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with serving(Handler) as state.port:
        yield state


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
