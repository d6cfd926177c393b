"""Proves that a database takes rows and gives them back, in a database of its own, and who may log in."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from . import arguments
from .clickhouse import ClickHouseError, Client

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHENTICATION_FAILED = 516
_CREATE = (
    "CREATE DATABASE IF NOT EXISTS kontrol_verify",
    """CREATE TABLE IF NOT EXISTS kontrol_verify.probe (run String, n UInt32, written DateTime, payload String)
    ENGINE = MergeTree ORDER BY (run, n) TTL written + INTERVAL 7 DAY""",
)
_READ = "SELECT n, payload FROM kontrol_verify.probe WHERE run = {run:String} ORDER BY n"


def _write_and_read(client: Client, run: str, count: int) -> dict[str, Any]:
    for statement in _CREATE:
        client.query(statement)
    earlier = int(client.rows("SELECT count() AS n FROM kontrol_verify.probe")[0]["n"])
    now = int(time.time())
    sent = [{"run": run, "n": n, "written": now, "payload": uuid.uuid4().hex} for n in range(count)]
    lines = "\n".join(json.dumps(row) for row in sent)
    client.query("INSERT INTO kontrol_verify.probe FORMAT JSONEachRow", lines.encode())
    back = client.rows(_READ, {"run": run})
    same = [(row["n"], row["payload"]) for row in back] == [(row["n"], row["payload"]) for row in sent]
    return {"ok": same, "written": count, "read": len(back), "earlier": earlier, "seen": _seen(same, count, len(back))}


def _seen(same: bool, written: int, read: int) -> str:
    return f"{written} rows written, {read} read back, {'equal' if same else 'not equal'}"


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write `rows` rows (default 100), read them back, compare. A refusal is a failed check, not an error."""
    client = Client.from_arguments(step)
    try:
        client.wait(arguments.number(step, "settle", 0.0))
        return _write_and_read(client, uuid.uuid4().hex, int(arguments.number(step, "rows", 100)))
    except ClickHouseError as error:
        return {"ok": False, "written": 0, "read": 0, "earlier": 0, "seen": str(error), "code": error.code}


def _login(host: str, port: int, raw: Mapping[str, Any]) -> dict[str, Any]:
    user = arguments.text(raw, "user")
    password = arguments.secret(raw["password_file"]) if raw.get("password_file") else str(raw.get("password", ""))
    try:
        Client(host, port, user, password).query("SELECT 1")
    except ClickHouseError as error:
        refused = error.code == _AUTHENTICATION_FAILED
        return {"user": user, "outcome": "refused" if refused else "unknown", "detail": str(error)}
    return {"user": user, "outcome": "accepted", "detail": ""}


def logins(step: Mapping[str, Any]) -> dict[str, Any]:
    """Try logins [{user, password_file?}]; without a file the password is empty.

    Outcome of each: accepted, refused (by ClickHouse, for the password) or unknown.
    """
    host, port = arguments.text(step, "host"), int(arguments.number(step, "port", 8123))
    return {"logins": [_login(host, port, raw) for raw in arguments.objects(step, "logins")]}
