"""Carries dumps of Neo4j to S3 and back, and counts what the graph holds.

The server must be stopped for a dump, so a Job counts before, a Job outside the mesh dumps and uploads, and a Job
counts after and writes the manifest. A backup counts only with its manifest, which is written last.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import arguments, s3
from .errors import ArgumentError, ToolError
from .neo4j_database import Client
from .neo4j_probe import CANARY
from .neo4j_roundtrip import LABEL
from .neo4j_schema import VERSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
NODES = "nodes"
CANARIES = "KontrolDrill"
"""Label of what a drill writes until its fault."""
_OWN = (LABEL, CANARY, CANARIES)
"""Labels of nodes that proofs write: nobody's data."""
_EITHER = "|".join(_OWN)
_MANIFESTS = "neo4j/manifests/"

Counts = dict[str, int]


def counts(client: Client) -> Counts:
    """Return how many nodes and relationships there are: in all, `:Label` and `[:TYPE]`; without what proofs write."""
    found = {
        f":{label}": _count(client, f"MATCH (n:{_quoted(label)}) RETURN count(n) AS n")
        for label in (row["label"] for row in client.rows("CALL db.labels() YIELD label RETURN label"))
        if label not in _OWN
    }
    types = client.rows("CALL db.relationshipTypes() YIELD relationshipType AS type RETURN type")
    for kind in (row["type"] for row in types):
        query = f"MATCH (a)-[r:{_quoted(kind)}]->() WHERE NOT a:{_EITHER} RETURN count(r) AS n"
        found[f"[:{kind}]"] = _count(client, query)
    found[NODES] = _count(client, f"MATCH (n) WHERE NOT n:{_EITHER} RETURN count(n) AS n")
    return {name: count for name, count in found.items() if count or name == NODES}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _count(client: Client, query: str) -> int:
    return int(client.rows(query)[0]["n"])


def count(step: Mapping[str, Any]) -> dict[str, Any]:
    """Count what the graph holds: `counts`."""
    with Client.from_arguments(step) as client:
        client.wait(arguments.number(step, "settle", 0.0))
        return {"counts": counts(client)}


def _store(step: Mapping[str, Any]) -> tuple[s3.Store, str]:
    store = s3.Store(
        endpoint=arguments.text(step, "endpoint"),
        region=arguments.text(step, "region", "us-east-1"),
        access_key=arguments.secret(arguments.text(step, "access_key_file")),
        secret_key=arguments.secret(arguments.text(step, "secret_key_file")),
    )
    return store, arguments.text(step, "bucket")


def _identity(step: Mapping[str, Any]) -> str:
    identity = arguments.text(step, "id")
    if not _ID.match(identity):
        raise ArgumentError(f"Argument 'id' must be letters, digits and dashes, not '{identity}'")
    return identity


def _key(identity: str) -> str:
    return f"neo4j/data/{identity}.dump"


def upload(step: Mapping[str, Any]) -> dict[str, Any]:
    """Store the dump `file` as the backup `id`. Result: id, bytes, sha256."""
    (store, bucket), identity, file = _store(step), _identity(step), Path(arguments.text(step, "file"))
    if not file.is_file() or not file.stat().st_size:
        raise ToolError(f"Dump '{file}' is empty or not there")
    s3.ensure_bucket(store, bucket)
    digest = s3.put_file(store, bucket, _key(identity), file)
    return {"id": identity, "bytes": file.stat().st_size, "sha256": digest}


def finish(step: Mapping[str, Any]) -> dict[str, Any]:
    """Count again and write the manifest of the backup `id` with `bytes`, `sha256` and the `counts` before.

    Writes may have come in before the stop and after the start: of each number the manifest holds both.
    """
    (store, bucket), identity = _store(step), _identity(step)
    before: Counts = step.get("counts") or {}
    if NODES not in before:
        raise ArgumentError("Argument 'counts' must be what was counted before")
    after: Counts = count(step)["counts"]
    manifest = {
        "backup": identity,
        "made": int(time.time()),
        "bytes": int(arguments.number(step, "bytes")),
        "sha256": arguments.text(step, "sha256"),
        "counts": {name: sorted((before.get(name, 0), after.get(name, 0))) for name in sorted({*before, *after})},
    }
    s3.put(store, bucket, f"{_MANIFESTS}{identity}.json", json.dumps(manifest, sort_keys=True).encode())
    return {"id": identity, "bytes": manifest["bytes"], "nodes": before[NODES], "kinds": len(before) - 1}


def manifest_of(store: s3.Store, bucket: str, identity: str) -> dict[str, Any]:
    """Return the manifest of a backup; of the newest one when none is named. Raises ToolError when there is none."""
    names = [f"{_MANIFESTS}{identity}.json"] if identity else s3.keys(store, bucket, _MANIFESTS)
    found = [json.loads(text) for name in names if (text := s3.get(store, bucket, name)) is not None]
    if not found:
        raise ToolError(f"Backup store has no manifest '{_MANIFESTS}{identity or '*'}.json', so no complete backup")
    newest: dict[str, Any] = max(found, key=lambda one: int(one["made"]))
    return newest


def choose(step: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the backup to restore, `id` or the newest. Result: id, bytes, made.

    A graph that holds nodes stops it, unless `replace` is true; the version nodes of the schema do not count.
    """
    store, bucket = _store(step)
    manifest = manifest_of(store, bucket, _identity(step) if step.get("id") else "")
    held = count(step)["counts"]
    nodes = held[NODES] - held.get(f":{VERSION_LABEL}", 0)
    if nodes and step.get("replace") is not True:
        raise ToolError(f"The graph holds {nodes} nodes that would be lost; ask for replace to drop them")
    return {"id": manifest["backup"], "bytes": manifest["bytes"], "made": manifest["made"]}


def download(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write the dump of the backup `id` to `file`, unless it is there, and compare it with the manifest.

    Result: id, bytes.
    """
    (store, bucket), identity, file = _store(step), _identity(step), Path(arguments.text(step, "file"))
    manifest = manifest_of(store, bucket, identity)
    if not file.is_file():
        s3.get_file(store, bucket, _key(identity), file)
    if s3.file_digest(file) != manifest["sha256"]:
        raise ToolError(f"Dump of backup '{identity}' is not the one of its manifest: the checksums differ")
    return {"id": identity, "bytes": file.stat().st_size}


def compare(step: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what the graph holds now with the manifest of the backup `id`. Result: id, made, nodes, kinds."""
    (store, bucket), identity = _store(step), _identity(step)
    manifest = manifest_of(store, bucket, identity)
    now = count(step)["counts"]
    wrong = [
        f"{name} has {now.get(name, 0)}, expected {least} to {most}"
        for name, (least, most) in manifest["counts"].items()
        if not least <= now.get(name, 0) <= most
    ]
    if wrong:
        raise ToolError(f"Backup '{identity}' was restored but differs from its manifest: {'; '.join(wrong)}")
    return {"id": identity, "made": manifest["made"], "nodes": now[NODES], "kinds": len(manifest["counts"]) - 1}
