"""The store: chdb on one folder, a fresh session per query, a graceful end."""

from __future__ import annotations

import importlib
import re
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CODE = re.compile(r"Code: (\d+)\.")
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class QueryError(Exception):
    """An error that the engine reports; `code` is ClickHouse's number."""

    def __init__(self, code: int, message: str) -> None:
        """Keep number and text apart."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """The bytes of a result in the asked format, and the engine's counts of rows."""

    body: bytes
    read_rows: int
    written_rows: int


class Engine:
    """chdb opened on a data folder; each query gets a connection of its own, so settings do not leak to others."""

    def __init__(self, data: Path, engine_xml: str) -> None:
        """Open the store; raises what chdb raises when the folder is unusable or held by another process."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml", delete=False) as file:
            file.write(engine_xml)
        self._chdb: Any = importlib.import_module("chdb")
        self._address = f"{data}?config-file={file.name}"
        self._keeper: Any = self._chdb.connect(self._address)
        self._running = 0
        self._open = True
        self._idle = threading.Condition()
        self.version = self.query("SELECT version()", database="").body.decode().strip()

    def query(
        self, text: str, *, database: str, default_format: str = "TabSeparated", params: dict[str, str] | None = None
    ) -> Answer:
        """Run one query and return its answer; raises QueryError with the engine's code."""
        with self._idle:
            if not self._open:
                raise QueryError(
                    734, "Code: 734. DB::Exception: The server is shutting down. (SERVER_IS_SHUTTING_DOWN)"
                )
            self._running += 1
        try:
            return self._run(text, database, default_format, params or {})
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _run(self, text: str, database: str, default_format: str, params: dict[str, str]) -> Answer:
        if database and not _SAFE_NAME.match(database):
            raise QueryError(36, f"Code: 36. DB::Exception: Bad database name '{database}'. (BAD_ARGUMENTS)")
        connection = self._chdb.connect(self._address)
        try:
            if database:
                connection.query(f"USE `{database}`", "TabSeparated")
            result = connection.query(text, default_format, params=params or None)
            return Answer(bytes(result.bytes()), int(result.rows_read()), int(result.rows_written()))
        except Exception as error:
            found = _CODE.search(str(error))
            raise QueryError(int(found.group(1)) if found else 1001, str(error)) from error
        finally:
            connection.close()

    def close(self, timeout: float) -> bool:
        """Take no more queries, wait up to `timeout` seconds for those that run, close the store; tell if all ended."""
        with self._idle:
            self._open = False
            ended = self._idle.wait_for(lambda: self._running == 0, timeout)
        if ended:
            self._keeper.close()
        return ended
