"""Applies numbered schema files once each and keeps a row per applied file, which backups carry along.

A file is `<version>_<words>.sql` (for Neo4j `.cypher`). Its statements end with a semicolon at the end of a line and
can be repeated (CREATE ... IF NOT EXISTS), because a Job that dies between the last statement and the version row runs
them again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments
from .clickhouse import ClickHouseError, Client
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"(\d+)_[a-z0-9_]+\Z")
SQL = ".sql"
CYPHER = ".cypher"
_COMMENTS = {SQL: re.compile(r"^\s*--.*$", re.MULTILINE), CYPHER: re.compile(r"^\s*//.*$", re.MULTILINE)}
_CREATE = (
    "CREATE DATABASE IF NOT EXISTS kontrol",
    """CREATE TABLE IF NOT EXISTS kontrol.schema_versions (version UInt32, file String, sha256 FixedString(64),
    applied DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version""",
)
_DONE = "SELECT version, sha256 FROM kontrol.schema_versions"
RECORD = "kontrol"
"""The database that holds the version rows."""


@dataclass(frozen=True)
class SchemaFile:
    """One file: its number, name, SHA-256 of the text and statements in order."""

    version: int
    name: str
    sha256: str
    statements: tuple[str, ...]


def statements(text: str, language: str = SQL) -> tuple[str, ...]:
    """Split a file at semicolons that end a line; comment lines are dropped."""
    parts = re.split(r";[ \t]*(?:\n|\Z)", _COMMENTS[language].sub("", text))
    return tuple(part.strip() for part in parts if part.strip())


def files(folder: Path, language: str = SQL) -> list[SchemaFile]:
    """Return the schema files of a folder in order; other names and repeated numbers are errors.

    Args:
        folder: Where they are.
        language: Their suffix, SQL or CYPHER.
    """
    found: dict[int, SchemaFile] = {}
    for path in sorted(folder.glob(f"*{language}")):
        match = _NAME.match(path.stem)
        if match is None:
            raise ToolError(f"Schema file '{path.name}' is not named '<number>_<words>{language}'")
        version, text = int(match.group(1)), path.read_text(encoding="utf-8")
        if version in found:
            raise ToolError(f"Schema files '{found[version].name}' and '{path.name}' have the same number")
        found[version] = SchemaFile(
            version, path.name, hashlib.sha256(text.encode()).hexdigest(), statements(text, language)
        )
    if not found:
        raise ToolError(f"No schema files in '{folder}'")
    return [found[version] for version in sorted(found)]


def _changed(wanted: list[SchemaFile], done: Mapping[int, str]) -> list[str]:
    """Return the names of files that differ from what was applied."""
    return [file.name for file in wanted if done.get(file.version, file.sha256) != file.sha256]


def refuse_changed(wanted: list[SchemaFile], done: Mapping[int, str]) -> None:
    """Raise ToolError for a file that differs from what was applied; `done` is version -> SHA-256."""
    for name in _changed(wanted, done):
        raise ToolError(f"Schema file '{name}' differs from what was applied; add a new file instead")


def judged(wanted: list[SchemaFile], done: Mapping[int, str], problems: list[str]) -> dict[str, Any]:
    """Return what a check tells: ok, and seen, which names what is wrong."""
    found = [f"'{file.name}' was not applied" for file in wanted if file.version not in done]
    found += [f"'{name}' was applied with other text" for name in _changed(wanted, done)]
    wrong = [*problems, *found]
    return {"ok": not wrong, "seen": "; ".join(wrong) or f"{len(wanted)} files"}


def _apply(client: Client, file: SchemaFile) -> None:
    for statement in file.statements:
        client.query(statement)
    row = {"version": file.version, "file": file.name, "sha256": file.sha256}
    client.query(
        "INSERT INTO kontrol.schema_versions (version, file, sha256) FORMAT JSONEachRow", json.dumps(row).encode()
    )


def _done(client: Client) -> dict[int, str]:
    return {int(row["version"]): str(row["sha256"]) for row in client.rows(_DONE)}


def check(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look whether `databases` are there and every file of `folder` was applied; change nothing. Result: ok, seen.

    Tables are not looked at: they belong to the services, whose migrations may drop them. A refusal is a failed check.
    """
    client = Client.from_arguments(step)
    wanted = files(Path(arguments.text(step, "folder")))
    try:
        there = {str(row["name"]) for row in client.rows("SELECT name FROM system.databases")}
        missing = [str(name) for name in step.get("databases") or [] if name not in there]
        done = _done(client) if RECORD in there else {}
    except ClickHouseError as error:
        return {"ok": False, "seen": str(error)}
    return judged(wanted, done, [f"database '{name}' is not there" for name in missing])


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Apply what is missing from `folder`. Result: applied (file names), version (the newest)."""
    client = Client.from_arguments(step)
    wanted = files(Path(arguments.text(step, "folder")))
    client.wait(arguments.number(step, "settle", 0.0))
    for statement in _CREATE:
        client.query(statement)
    done = _done(client)
    refuse_changed(wanted, done)
    missing = [file for file in wanted if file.version not in done]
    for file in missing:
        _apply(client, file)
    return {"applied": [file.name for file in missing], "version": max([*done, *(file.version for file in wanted)])}
