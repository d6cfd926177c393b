"""Restores a backup of Neo4j: choose and refuse to lose data, fetch the dump, and compare the graph with its proof.

The dump is loaded into a folder of its own on the volume of the stopped server and then put in the place of the graph
that was there: a load that is killed, or fails, has changed nothing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments, backups, neo4j_proof
from .backups import Place
from .errors import ToolError
from .neo4j_backup import READY_SECONDS, fetch, refuse_other_image, run_again, summary
from .neo4j_database import DATABASE, Client, Neo4jError
from .neo4j_job import COMPONENT, HOLD_SECONDS, RESTORE
from .neo4j_proof import NODES, Proof
from .neo4j_schema import VERSION_LABEL
from .stateful_set import StatefulSet

if TYPE_CHECKING:
    from collections.abc import Mapping


def choose(step: Mapping[str, Any]) -> dict[str, Any]:
    """Take the lock, and choose the backup to restore: `id`, or the newest good one.

    Args:
        step: The login, the store, `namespace`, `stateful_set`, `image`, `ready` as of a backup; replace: whether a
            graph that holds nodes, or cannot be read, may be replaced; foreign: whether the store is another region's,
            which is only read.

    Returns:
        id, started, made, nodes, relationships, kinds.

    Raises:
        ToolError: there is no such good backup, or data would be lost. Version nodes of the schema do not count.
    """
    place, server = Place.from_arguments(step, COMPONENT), StatefulSet.from_arguments(step)
    if step.get("foreign") is not True:
        backups.take_over(place, RESTORE, HOLD_SECONDS)
    try:
        manifest = backups.chosen(place, backups.identity(step))
        refuse_other_image(server, arguments.text(step, "image"))
        run_again(server, arguments.number(step, "ready", READY_SECONDS))
        if step.get("replace") is not True:
            _refuse_loss(step)
    except ToolError:
        _give_back(step, place)
        raise
    return summary(manifest)


def _give_back(step: Mapping[str, Any], place: Place) -> None:
    if step.get("foreign") is not True:
        backups.give_back(place, RESTORE)


def _refuse_loss(step: Mapping[str, Any]) -> None:
    """Raise ToolError when the graph holds nodes, or nobody can tell."""
    try:
        with Client.from_arguments(step) as client:
            client.wait(arguments.number(step, "settle", 0.0))
            held = neo4j_proof.counts(client)
    except Neo4jError as error:
        raise ToolError(
            f"It cannot be told what the graph holds; ask for replace to put a backup in its place: {error}"
        ) from error
    if nodes := held[NODES] - held.get(f":{VERSION_LABEL}", 0):
        raise ToolError(f"The graph holds {nodes} nodes that would be lost; ask for replace to drop them")


def download(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write the dump of the backup `id` to `file`, by the checksum of its manifest. Result: id, bytes."""
    place, file = Place.from_arguments(step, COMPONENT), Path(arguments.text(step, "file"))
    manifest = backups.chosen(place, arguments.text(step, "id"))
    fetch(place, manifest.backup, str(manifest.more["sha256"]), file)
    return {"id": manifest.backup, "bytes": file.stat().st_size}


def loaded(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look whether the database that was loaded below `folder` is there and belongs to the user `owner`. Result: files.

    Raises:
        ToolError: there is none, or the server could not write to it.
    """
    folder, owner = Path(arguments.text(step, "folder")), int(arguments.number(step, "owner"))
    found = [path for part in ("databases", "transactions") for path in (folder / part / DATABASE).rglob("*")]
    if not found:
        raise ToolError(f"There is no database '{DATABASE}' below '{folder}' after it was loaded")
    if others := sorted(str(path) for path in found if path.stat().st_uid != owner):
        raise ToolError(f"'{others[0]}' and {len(others) - 1} more do not belong to user {owner}, who runs the server")
    return {"files": len(found)}


def compare(step: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what the graph holds now with the proof of the backup `id`.

    Args:
        step: The login, the store, `id`; foreign: as of `choose`; ends: whether it is the end of a restore, which gives
            the lock back.

    Returns:
        id, started, made, nodes, relationships, kinds; rows: nodes and relationships; compared: labels and types;
        seconds.

    Raises:
        ToolError: they differ.
    """
    place = Place.from_arguments(step, COMPONENT)
    try:
        manifest = backups.chosen(place, arguments.text(step, "id"))
        begun = time.monotonic()
        with Client.from_arguments(step) as client:
            client.wait(arguments.number(step, "settle", 0.0))
            now = neo4j_proof.proof(client)
        if wrong := differences(manifest.proof, now):
            raise ToolError(f"The graph differs from the proof of backup '{manifest.backup}': {'; '.join(wrong[:5])}")
    finally:
        if step.get("ends") is True:
            _give_back(step, place)
    told = summary(manifest)
    return {
        **told,
        "rows": told["nodes"] + told["relationships"],
        "compared": told["kinds"],
        "seconds": round(time.monotonic() - begun, 2),
    }


def differences(wanted: Proof, seen: Proof) -> list[str]:
    """Return what differs between two graphs, the rows first."""
    nothing = {"rows": 0, "sum": ""}
    pairs = {name: (wanted.get(name, nothing), seen.get(name, nothing)) for name in sorted({*wanted, *seen})}
    rows = [f"{name} has {b['rows']} and not {a['rows']}" for name, (a, b) in pairs.items() if a["rows"] != b["rows"]]
    content = [name for name, (a, b) in pairs.items() if a["rows"] == b["rows"] and a["sum"] != b["sum"]]
    return rows + [f"{name} has other content" for name in content]
