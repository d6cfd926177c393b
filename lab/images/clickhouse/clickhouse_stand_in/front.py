"""The HTTP interface of ClickHouse, as far as clients of the platform use it."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .engine import Answer, Engine, QueryError
from .log import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import UserDirectory
    from .metrics import QueryMetrics

_COMMENTS = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_READS = frozenset({"select", "with", "show", "describe", "desc", "exists", "explain", "use", "check"})
# ClickHouse's own choice of HTTP status per error code, for the codes that clients branch on.
_STATUS = {60: 404, 81: 404, 47: 404, 62: 400, 36: 400, 164: 403, 497: 403, 516: 403, 194: 401, 734: 503, 241: 500}
_TYPES = {"JSON": "application/json", "JSONEachRow": "application/x-ndjson", "CSV": "text/csv"}


_READONLY = "Code: 164. DB::Exception: Cannot execute query in readonly mode: GET may only read, use POST. (READONLY)"


def _refused(user: str) -> str:
    return (
        f"Code: 516. DB::Exception: {user}: Authentication failed: password is incorrect, "
        "or there is no user with such name. (AUTHENTICATION_FAILED)"
    )


def keyword(text: str) -> str:
    """Return the first word of a query in lower case, comments skipped."""
    words = _COMMENTS.sub("", text).lstrip("( \n\t").split(None, 1)
    return words[0].lower() if words else ""


def credentials(headers: Any, params: dict[str, str]) -> tuple[str, str]:
    """Return (user, password) from the X-ClickHouse headers, basic auth or the URL; without any: user `default`."""
    if headers.get("X-ClickHouse-User"):
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password
    return params.get("user", "default"), params.get("password", "")


class Front(BaseHTTPRequestHandler):
    """One client connection: /ping, /replicas_status and queries."""

    protocol_version = "HTTP/1.1"
    server_version = "clickhouse-stand-in"
    server: Server

    def do_GET(self) -> None:
        """Answer a ping, or run the query of the URL, which may only read."""
        address = urlsplit(self.path)
        params = dict(parse_qsl(address.query, keep_blank_values=True))
        if address.path in ("/ping", "/replicas_status") or (address.path == "/" and "query" not in params):
            self._send(200, b"Ok.\n", {})
        elif address.path == "/":
            self._query(params, "", readonly=True)
        else:
            self._send(404, f"There is no handle {address.path}\n".encode(), {})

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:
        """Run the query of the URL followed by the body, as the server does."""
        body = b"".join(self._body()).decode("utf-8", "surrogateescape")
        address = urlsplit(self.path)
        if address.path != "/":
            self._send(404, f"There is no handle {address.path}\n".encode(), {})
            return
        self._query(dict(parse_qsl(address.query, keep_blank_values=True)), body, readonly=False)

    do_PUT = do_POST  # noqa: N815 - the name that http.server looks for

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _query(self, params: dict[str, str], body: str, *, readonly: bool) -> None:
        text = "\n".join(part for part in (params.get("query", ""), body) if part)
        user, password = credentials(self.headers, params)
        started = time.monotonic()
        try:
            self._check(user, password, readonly and keyword(text) not in _READS)
            answer = self._run(text, params)
        except QueryError as error:
            self.server.metrics.observe(keyword(text), time.monotonic() - started, failed=True)
            self._fail(error)
            return
        self.server.metrics.observe(keyword(text), time.monotonic() - started, failed=False)
        self._answer(answer, params)

    def _check(self, user: str, password: str, forbidden: bool) -> None:
        known = self.server.users.get(user)
        if known is None or not known.accepts(password):
            raise QueryError(516, _refused(user))
        if forbidden:
            raise QueryError(164, _READONLY)

    def _run(self, text: str, params: dict[str, str]) -> Answer:
        return self.server.engine.query(
            text,
            database=params.get("database") or self.headers.get("X-ClickHouse-Database") or "",
            default_format=self._format(params),
            params={name[6:]: value for name, value in params.items() if name.startswith("param_")},
        )

    def _format(self, params: dict[str, str]) -> str:
        return params.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"

    def _answer(self, answer: Answer, params: dict[str, str]) -> None:
        used = self._format(params)
        summary = {"read_rows": str(answer.read_rows), "written_rows": str(answer.written_rows)}
        self._send(
            200,
            answer.body,
            {
                "Content-Type": _TYPES.get(used, "text/tab-separated-values; charset=UTF-8"),
                "X-ClickHouse-Query-Id": params.get("query_id") or str(uuid.uuid4()),
                "X-ClickHouse-Format": used,
                "X-ClickHouse-Summary": json.dumps(summary),
            },
        )

    def _fail(self, error: QueryError) -> None:
        LOG.error("%s", error, extra={"who": "executeQuery"})
        text = f"{error} (version {self.server.engine.version})\n".encode("utf-8", "surrogateescape")
        self._send(_STATUS.get(error.code, 500), text, {"X-ClickHouse-Exception-Code": str(error.code)})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=UTF-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing per request: a URL may hold a query or a password."""


class MetricsPage(BaseHTTPRequestHandler):
    """GET /metrics."""

    protocol_version = "HTTP/1.1"
    server: MetricsServer

    def do_GET(self) -> None:
        """Answer with the page, built from the front's counts and the engine's tables."""
        found = urlsplit(self.path).path == "/metrics"
        body = self._page().encode() if found else b"Not found\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self) -> str:
        gauges = self._table("SELECT metric, value FROM system.metrics")
        return self.server.metrics.render(gauges, self._table("SELECT event, value FROM system.events"))

    def _table(self, text: str) -> dict[str, float]:
        rows = self.server.engine.query(text, database="").body.decode().splitlines()
        return {name: float(value) for name, value in (row.split("\t") for row in rows)}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing per request."""


class Server(ThreadingHTTPServer):
    """The query port; keeps the parts that each request needs."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], engine: Engine, users: UserDirectory, metrics: QueryMetrics) -> None:
        """Bind at once; raises OSError when the port is taken."""
        self.engine, self.users, self.metrics = engine, users, metrics
        super().__init__(address, Front)


class MetricsServer(ThreadingHTTPServer):
    """The metrics port."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], engine: Engine, metrics: QueryMetrics) -> None:
        """Bind at once; raises OSError when the port is taken."""
        self.engine, self.metrics = engine, metrics
        super().__init__(address, MetricsPage)
