"""Applies numbered schema files to the graph, once each, keeps a node per applied file, and makes the users.

A file is `<version>_<words>.cypher`; its statements end with a semicolon at the end of a line and can be repeated
(CREATE ... IF NOT EXISTS), because a Job that dies between the last statement and the version node runs them again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments, schema
from .errors import ToolError
from .neo4j_database import SYSTEM, UNAUTHORIZED, Client, Neo4jError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION_LABEL = "KontrolSchemaVersion"
_ONE_EACH = (
    f"CREATE CONSTRAINT kontrol_schema_version IF NOT EXISTS FOR (v:{VERSION_LABEL}) REQUIRE v.version IS UNIQUE"
)
_DONE = f"MATCH (v:{VERSION_LABEL}) RETURN v.version AS version, v.sha256 AS sha256"
_MARK = (
    f"MERGE (v:{VERSION_LABEL} {{version: $version}}) SET v.file = $file, v.sha256 = $sha256, v.applied = datetime()"
)
_USER = "CREATE USER $user IF NOT EXISTS SET PLAINTEXT PASSWORD $password CHANGE NOT REQUIRED"


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Make `users` [{user, password_file}] and apply what is missing from `folder`.

    Result: applied (file names), version (the newest).
    """
    wanted = schema.files(Path(arguments.text(step, "folder")), schema.CYPHER)
    with Client.from_arguments(step) as client:
        _enter(client, arguments.number(step, "settle", 0.0))
        for user in arguments.objects(step, "users"):
            password = arguments.secret(arguments.text(user, "password_file"))
            client.rows(_USER, SYSTEM, user=arguments.text(user, "user"), password=password)
        missing, newest = apply(client, wanted)
        return {"applied": missing, "version": newest}


def _enter(client: Client, seconds: float) -> None:
    """Wait for the server; a volume that has other passwords than ours is something only a person can decide about."""
    try:
        client.wait(seconds)
    except Neo4jError as error:
        if error.code != UNAUTHORIZED:
            raise
        raise ToolError(
            f"{error}: a password counts only at the first start, and this volume was started with another one. Put the"
            " old password back into the region's secret store, or remove the volume with its data"
        ) from error


def newest_version(client: Client) -> int:
    """Return the newest version that was applied; 0 for none."""
    return max(_done(client), default=0)


def check(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look whether every file of `folder` was applied; change nothing. Result: ok, seen.

    Constraints and indexes are not looked at: they belong to the services, whose migrations may drop them. A refusal is
    a failed check.
    """
    wanted = schema.files(Path(arguments.text(step, "folder")), schema.CYPHER)
    try:
        with Client.from_arguments(step) as client:
            return schema.judged(wanted, _done(client), [])
    except Neo4jError as error:
        return {"ok": False, "seen": str(error)}


def _done(client: Client) -> dict[int, str]:
    return {int(row["version"]): str(row["sha256"]) for row in client.rows(_DONE)}


def apply(client: Client, wanted: list[schema.SchemaFile]) -> tuple[list[str], int]:
    """Apply the files that the graph does not know; return their names and the newest version."""
    client.rows(_ONE_EACH)
    done = _done(client)
    schema.refuse_changed(wanted, done)
    missing = [file for file in wanted if file.version not in done]
    for file in missing:
        for statement in file.statements:
            client.rows(statement)
        client.rows("CALL db.awaitIndexes(60)")
        client.rows(_MARK, version=file.version, file=file.name, sha256=file.sha256)
    return [file.name for file in missing], max([*done, *(file.version for file in wanted)])
