"""What a graph holds, told so that two graphs can be compared: rows and a sum of hashes per label and type.

The hash of a node is of its labels and properties, that of a relationship of its type, its properties and the hashes of
its two ends: internal ids, which a load may change, are not part of it. Sums (modulo 2^64) do not depend on an order.
Nodes that are equal in all are not told apart. What the platform's own proofs write is nobody's data and left out.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from . import neo4j_bolt
from .neo4j_probe import CANARY
from .neo4j_roundtrip import LABEL

if TYPE_CHECKING:
    from .neo4j_database import Client

CANARIES: Final = "KontrolDrill"
"""Label of what a drill writes until its fault."""
OWN: Final = (LABEL, CANARY, CANARIES)
"""Labels of nodes that proofs write: nobody's data."""
NODES, RELATIONSHIPS = "nodes", "relationships"
_OWN_RELATIONSHIPS = f"MATCH (:{'|'.join(OWN)})-[r]-() RETURN type(r) AS type, count(DISTINCT r) AS n"
_EVERY_NODE = "MATCH (n) RETURN id(n), labels(n), properties(n)"
_EVERY_RELATIONSHIP = "MATCH (a)-[r]->(b) RETURN id(a), id(b), type(r), properties(r)"
_MODULUS: Final = 1 << 64
_SHOWN = {
    "constraints": "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties",
    "indexes": "SHOW INDEXES YIELD name, type, labelsOrTypes, properties",
}

Proof = dict[str, dict[str, Any]]
"""`:Label`, `[:TYPE]`, nodes, relationships, constraints, indexes -> rows, and sum as text."""
Counts = dict[str, int]


class _Sums:
    """Rows and sums by name."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.sums: dict[str, int] = {}

    def add(self, name: str, value: int) -> None:
        """Count a row of a name with its hash."""
        self.rows[name] = self.rows.get(name, 0) + 1
        self.sums[name] = self.sums.get(name, 0) + value

    def told(self) -> Proof:
        """Return what was added."""
        return {name: {"rows": self.rows[name], "sum": f"{self.sums[name] % _MODULUS:016x}"} for name in self.rows}


def proof(client: Client) -> Proof:
    """Return what a graph holds. Raises Neo4jError."""
    sums = _Sums()
    hashes, own = _nodes(client, sums)
    _relationships(client, sums, hashes, own)
    for name, query in _SHOWN.items():
        for row in client.rows(query):
            if not set(row["labelsOrTypes"] or ()) & set(OWN):
                sums.add(name, _hash(repr(sorted(row.items())).encode()))
    nothing = {name: {"rows": 0, "sum": f"{0:016x}"} for name in (NODES, RELATIONSHIPS)}
    return nothing | sums.told()


def _hash(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _nodes(client: Client, sums: _Sums) -> tuple[array[int], set[int]]:
    """Add all nodes; return the hash of each by its id in this server, and the ids of what proofs write."""
    hashes, own = array("Q"), set()
    names: dict[bytes, tuple[bytes, list[str]]] = {}
    for row in neo4j_bolt.rows(client, _EVERY_NODE):
        identity, start = neo4j_bolt.number(row, 0)
        end = neo4j_bolt.end_of(row, start)
        labels = row[start:end]
        if labels not in names:
            found = sorted(neo4j_bolt.values(labels, 0))
            names[labels] = b"".join(found), [neo4j_bolt.text(one) for one in found]
        packed, called = names[labels]
        if identity >= len(hashes):
            hashes.frombytes(bytes(hashes.itemsize * (max(identity + 1, 2 * len(hashes)) - len(hashes))))
        if not set(OWN).isdisjoint(called):
            own.add(identity)
            continue
        value = hashes[identity] = _hash(b"\xb2" + packed + _properties(row, end))
        sums.add(NODES, value)
        for label in called:
            sums.add(f":{label}", value)
    return hashes, own


def _properties(row: bytes, at: int) -> bytes:
    """Return the properties at a place, in the order of their keys."""
    found = neo4j_bolt.pairs(row, at)
    found.sort()
    return b"\xa0" + b"".join([key + value for key, value in found])


def _relationships(client: Client, sums: _Sums, hashes: array[int], own: set[int]) -> None:
    """Add all relationships."""
    names: dict[bytes, str] = {}
    for row in neo4j_bolt.rows(client, _EVERY_RELATIONSHIP):
        one, at = neo4j_bolt.number(row, 0)
        other, start = neo4j_bolt.number(row, at)
        if own and (one in own or other in own):
            continue
        end = neo4j_bolt.end_of(row, start)
        kind = row[start:end]
        if kind not in names:
            names[kind] = f"[:{neo4j_bolt.text(kind)}]"
        ends = hashes[one].to_bytes(8, "big") + hashes[other].to_bytes(8, "big")
        value = _hash(b"\xb5" + kind + ends + _properties(row, end))
        sums.add(RELATIONSHIPS, value)
        sums.add(names[kind], value)


def counts(client: Client) -> Counts:
    """Return how many nodes and relationships there are, by the names of a proof; without what proofs write.

    Neo4j keeps these numbers, so that they can be asked for again and again.
    """
    labels = [row["label"] for row in client.rows("CALL db.labels() YIELD label RETURN label")]
    kinds = [
        row["type"] for row in client.rows("CALL db.relationshipTypes() YIELD relationshipType AS type RETURN type")
    ]
    nodes = {label: _count(client, f"MATCH (n:{_quoted(label)}) RETURN count(n) AS n") for label in labels}
    types = {kind: _count(client, f"MATCH ()-[r:{_quoted(kind)}]->() RETURN count(r) AS n") for kind in kinds}
    for row in client.rows(_OWN_RELATIONSHIPS):
        types[row["type"]] -= int(row["n"])
    found = {f":{label}": count for label, count in nodes.items() if label not in OWN}
    found |= {f"[:{kind}]": count for kind, count in types.items()}
    own = sum(nodes.get(label, 0) for label in OWN)
    total = _count(client, "MATCH (n) RETURN count(n) AS n") - own
    return {NODES: total, RELATIONSHIPS: sum(types.values())} | {name: count for name, count in found.items() if count}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _count(client: Client, query: str) -> int:
    return int(client.rows(query)[0]["n"])
