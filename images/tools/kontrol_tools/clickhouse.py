"""A small client of ClickHouse's HTTP interface: credentials from files, errors with ClickHouse's own codes."""

from __future__ import annotations

import http.client
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAUSE_SECONDS = 0.5


class ClickHouseError(ToolError):
    """An answer that is not 200; `code` is ClickHouse's number, 0 when ClickHouse did not answer."""

    def __init__(self, message: str, code: int) -> None:
        """Keep the code beside the text."""
        super().__init__(message)
        self.code = code


class Client:
    """Runs queries as one user over a new connection each, so that a broken one is never used twice."""

    def __init__(self, host: str, port: int, user: str, password: str, timeout: float = 10.0) -> None:
        """Remember where and who; nothing is sent yet."""
        self._host, self._port, self._timeout = host, port, timeout
        self._login = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
        self._user = user

    @classmethod
    def from_arguments(cls, step: Mapping[str, Any]) -> Client:
        """Make a client from host, port, user and password_file (all but port required)."""
        return cls(
            host=arguments.text(step, "host"),
            port=int(arguments.number(step, "port", 8123)),
            user=arguments.text(step, "user"),
            password=arguments.secret(arguments.text(step, "password_file")),
            timeout=arguments.number(step, "timeout", 10.0),
        )

    def query(self, query: str, data: bytes = b"", params: Mapping[str, str] | None = None) -> bytes:
        """Run one query with `data` as what it inserts; `params` fill its `{name:Type}` places."""
        address = "/?" + urlencode(
            {"query": query, **{f"param_{name}": value for name, value in (params or {}).items()}}
        )
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("POST", address, body=data, headers=self._login)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            where = f"{self._host}:{self._port}"
            raise ClickHouseError(
                f"ClickHouse at '{where}' does not answer: {type(error).__name__} {error}", 0
            ) from error
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            code = int(answer.getheader("X-ClickHouse-Exception-Code") or 0)
            reason = body.decode("utf-8", "replace").strip()[:300]
            raise ClickHouseError(f"User '{self._user}' got HTTP {answer.status}: {reason}", code)
        return body

    def rows(self, query: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Run a query and return its rows as objects; large integers come as text."""
        body = self.query(f"{query} FORMAT JSONEachRow", params=params)
        return [json.loads(line) for line in body.splitlines() if line]

    def wait(self, settle: float) -> None:
        """Ask `SELECT 1` until it is answered or `settle` seconds are over; an answer with a code is final."""
        deadline = time.monotonic() + settle
        while True:
            try:
                self.query("SELECT 1")
            except ClickHouseError as error:
                if error.code or time.monotonic() + _PAUSE_SECONDS > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return
