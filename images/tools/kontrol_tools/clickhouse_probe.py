"""Tries ClickHouse with a canary: a row in a table of its own, which expires after a month.

It is part of each backup: a drill learns from the newest one that came back how much was lost.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from .clickhouse import Client
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE: Final = "kontrol_verify"
HEARTBEATS: Final = f"{DATABASE}.canary"
_CREATE = (
    f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
    f"""CREATE TABLE IF NOT EXISTS {HEARTBEATS} (written DateTime('UTC'), id UUID) ENGINE = MergeTree
    ORDER BY (written, id) TTL written + INTERVAL 30 DAY""",
)
_INSERT = f"INSERT INTO {HEARTBEATS} FORMAT JSONEachRow"
_READ = f"SELECT id FROM {HEARTBEATS} WHERE written = {{written:UInt32}} AND id = {{id:UUID}}"  # noqa: S608 - a name of ours
_STORE = "SELECT toString(total_space) AS size, toString(free_space) AS free FROM system.disks WHERE name = 'default'"


class ClickHouseProber:
    """Writes a row, reads it back, and asks how full the disk is.

    Args:
        step: host, port, user and password_file. The password is read for each connection, so a new one counts at once.
    """

    database = "clickhouse"

    def __init__(self, step: Mapping[str, Any]) -> None:
        self._step = step
        self._canary: dict[str, str] = {}

    def _client(self) -> Client:
        return Client.from_arguments(self._step)

    def prepare(self) -> None:
        """Make the table."""
        client = self._client()
        for statement in _CREATE:
            client.query(statement)

    def insert(self) -> None:
        """Write a row with a new id."""
        canary = {"written": str(int(time.time())), "id": str(uuid.uuid4())}
        self._client().query(_INSERT, json.dumps({**canary, "written": int(canary["written"])}).encode())
        self._canary = canary

    def query(self) -> None:
        """Read the last row that was written; before the first one, just ask for one."""
        found = self._client().rows(_READ, self._canary or {"written": "0", "id": str(uuid.UUID(int=0))})
        if len(found) != bool(self._canary):
            raise ToolError(f"The row written last was read {len(found)} times")

    def gauges(self) -> Mapping[str, float]:
        """Return size and free space of the disk in bytes."""
        for row in self._client().rows(_STORE):
            return {"kontrol_store_bytes": float(row["size"]), "kontrol_store_free_bytes": float(row["free"])}
        return {}
