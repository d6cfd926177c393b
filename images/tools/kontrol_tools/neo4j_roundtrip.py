"""Proves that the graph takes nodes and gives them back, and who may log in. What it wrote it deletes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from . import arguments
from .neo4j_database import UNAUTHORIZED, Client, Neo4jError

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "KontrolVerify"
_WRITE = f"UNWIND $nodes AS node CREATE (n:{LABEL}) SET n = node"
_JOIN = f"MATCH (a:{LABEL} {{run: $run}}), (b:{LABEL} {{run: $run}}) WHERE b.n = a.n + 1 CREATE (a)-[:NEXT]->(b)"
_READ = f"MATCH (n:{LABEL} {{run: $run}}) RETURN n.n AS n, n.payload AS payload ORDER BY n"
_STEPS = f"MATCH (:{LABEL} {{run: $run}})-[r:NEXT]->(:{LABEL} {{run: $run}}) RETURN count(r) AS steps"
_DELETE = f"MATCH (n:{LABEL} {{run: $run}}) DETACH DELETE n"


def _write_and_read(client: Client, run: str, count: int) -> dict[str, Any]:
    sent = [{"run": run, "n": n, "payload": uuid.uuid4().hex} for n in range(count)]
    client.rows(_WRITE, nodes=sent)
    try:
        client.rows(_JOIN, run=run)
        back = client.rows(_READ, run=run)
        steps = int(client.rows(_STEPS, run=run)[0]["steps"])
    finally:
        client.rows(_DELETE, run=run)
    same = [(row["n"], row["payload"]) for row in back] == [(row["n"], row["payload"]) for row in sent]
    ok = same and steps == max(0, count - 1)
    seen = f"{count} nodes written, {len(back)} read back with {steps} relationships, {'' if ok else 'not '}equal"
    return {"ok": ok, "written": count, "read": len(back), "relationships": steps, "seen": seen}


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write `rows` nodes (default 100) in a chain, read, compare, delete. A refusal is a failed check, not an error."""
    try:
        with Client.from_arguments(step) as client:
            client.wait(arguments.number(step, "settle", 0.0))
            return _write_and_read(client, uuid.uuid4().hex, int(arguments.number(step, "rows", 100)))
    except Neo4jError as error:
        return {"ok": False, "written": 0, "read": 0, "relationships": 0, "seen": str(error), "code": error.code}


def _login(host: str, port: int, raw: Mapping[str, Any]) -> dict[str, Any]:
    user = arguments.text(raw, "user")
    called = arguments.text(raw, "called", user)
    password = arguments.secret(raw["password_file"]) if raw.get("password_file") else str(raw.get("password", ""))
    try:
        with Client(host, port, user, password) as client:
            client.rows("RETURN 1 AS one")
    except Neo4jError as error:
        outcome = "refused" if error.code == UNAUTHORIZED else "unknown"
        return {"user": called, "outcome": outcome, "detail": str(error)}
    return {"user": called, "outcome": "accepted", "detail": ""}


def logins(step: Mapping[str, Any]) -> dict[str, Any]:
    """Try logins [{user, password_file or password, called}]; a password in the arguments is one that everybody knows.

    Outcome of each: accepted, refused (by Neo4j, for the password) or unknown; `user` is `called` where that is given.
    """
    host, port = arguments.text(step, "host"), int(arguments.number(step, "port", 7687))
    return {"logins": [_login(host, port, raw) for raw in arguments.objects(step, "logins")]}
