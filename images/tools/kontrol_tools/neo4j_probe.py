"""Tries Neo4j with a canary: one node of its own, written anew and read back.

Each exporter has a node of its own, which stays when its pod is gone and comes back with a backup: a drill learns from
the newest one how much was lost.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from . import arguments
from .errors import ToolError
from .neo4j_database import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CANARY = "KontrolCanary"
KEEP_MILLISECONDS = 30 * 86_400_000
_CONSTRAINT = f"CREATE CONSTRAINT kontrol_canary IF NOT EXISTS FOR (n:{CANARY}) REQUIRE n.name IS UNIQUE"
_OLD = f"MATCH (n:{CANARY}) WHERE n.written < timestamp() - {KEEP_MILLISECONDS} DELETE n"
_WRITE = f"MERGE (n:{CANARY} {{name: $name}}) SET n.id = $id, n.written = timestamp()"
_READ = f"MATCH (n:{CANARY} {{name: $name}}) RETURN n.id AS id"
_COUNTS = {
    "kontrol_neo4j_nodes": "MATCH (n) RETURN count(n) AS n",
    "kontrol_neo4j_relationships": "MATCH ()-[r]->() RETURN count(r) AS n",
}
_BEANS = "CALL dbms.queryJmx($name) YIELD attributes RETURN attributes"


class Neo4jProber:
    """Writes a property, reads it back, and looks how full the store's file system is.

    Args:
        step: host, port, user, password_file, and store: a folder on the store's file system ("" when there is none).
        connect: Makes the client; replaced in tests.
    """

    database = "neo4j"

    def __init__(
        self, step: Mapping[str, Any], connect: Callable[[Mapping[str, Any]], Client] = Client.from_arguments
    ) -> None:
        self._step, self._connect = step, connect
        self._client: Client | None = None
        self._id = ""
        self._name = uuid.uuid4().hex

    def prepare(self) -> None:
        """Connect anew, with the password as it is now, make the constraint of names, and delete old nodes."""
        if self._client is not None:
            self._client.__exit__()
        self._client = self._connect(self._step)
        self._client.rows(_CONSTRAINT)
        self._client.rows(_OLD)

    def insert(self) -> None:
        """Write a new id to the node."""
        identity = uuid.uuid4().hex
        self._connected().rows(_WRITE, name=self._name, id=identity)
        self._id = identity

    def query(self) -> None:
        """Read the id that was written last."""
        found = [str(row["id"]) for row in self._connected().rows(_READ, name=self._name)]
        if self._id and found != [self._id]:
            raise ToolError(f"The node that was written last was read {found.count(self._id)} times")

    def gauges(self) -> Mapping[str, float]:
        """Return what the graph holds, what Java uses, and size and free space of the store's file system in bytes."""
        client, store = self._connected(), arguments.text(self._step, "store", "-")
        counts = {name: float(client.rows(query)[0]["n"]) for name, query in _COUNTS.items()}
        return {**counts, **java(client), **({} if store == "-" else space(store))}

    def _connected(self) -> Client:
        if self._client is None:
            raise ToolError("Neo4j is not connected yet")
        return self._client


def java(client: Client) -> dict[str, float]:
    """Return what Java uses: heap, threads, seconds that collecting garbage took since its start."""
    (memory,), (threads,) = (_beans(client, f"java.lang:type={kind}") for kind in ("Memory", "Threading"))
    heap = memory["HeapMemoryUsage"]["properties"]
    collectors = _beans(client, "java.lang:type=GarbageCollector,name=*")
    return {
        "kontrol_java_heap_used_bytes": float(heap["used"]),
        "kontrol_java_heap_max_bytes": float(heap["max"]),
        "kontrol_java_threads": float(threads["ThreadCount"]),
        "kontrol_java_garbage_seconds": sum(float(one["CollectionTime"]) for one in collectors) / 1000,
    }


def _beans(client: Client, name: str) -> list[dict[str, Any]]:
    """Return attribute -> value of the Java beans of a name."""
    return [{key: one["value"] for key, one in row["attributes"].items()} for row in client.rows(_BEANS, name=name)]


def space(folder: str) -> dict[str, float]:
    """Return kontrol_store_bytes and kontrol_store_free_bytes of a folder's file system. Raises ToolError."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        raise ToolError(f"Cannot tell the space of '{folder}': {error.strerror}") from error
    return {
        "kontrol_store_bytes": float(found.f_blocks * found.f_frsize),
        "kontrol_store_free_bytes": float(found.f_bavail * found.f_frsize),
    }
