"""What a drill does to Neo4j and asks of it: canaries, how much it holds, what came back, and the damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import arguments, canary
from .errors import ToolError
from .neo4j_database import Client
from .neo4j_probe import CANARY
from .neo4j_proof import CANARIES, NODES, RELATIONSHIPS, counts
from .neo4j_schema import VERSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_ONCE: Final = 5000
"""Most that one transaction deletes: all of it is on the server's heap until it ends."""
LOOKUP: Final = "LOOKUP"
"""Type of the two indexes that each database of Neo4j is made with."""
_INDEX = f"CREATE INDEX kontrol_drill IF NOT EXISTS FOR (n:{CANARIES}) ON (n.drill)"
_ANCHOR = f"MERGE (:{CANARIES} {{anchor: $drill}})"
"""Without this node nothing is written: what a disaster took is not made anew."""
_WRITE = (
    f"MATCH (:{CANARIES} {{anchor: $drill}})"
    f" CREATE (n:{CANARIES} {{drill: $drill, seq: $seq, written: $written}}) RETURN n.seq AS seq"
)
_SEQS = f"MATCH (n:{CANARIES} {{drill: $drill}}) RETURN collect(n.seq) AS seqs, max(n.written) AS last"
_HEARTBEAT = f"MATCH (n:{CANARY}) WHERE n.written <= $before RETURN max(n.written) AS last"
_DELETE_RELATIONSHIPS = f"MATCH ()-[r]->() WITH r LIMIT {AT_ONCE} DELETE r RETURN count(*) AS n"
"""First, and by themselves: a few nodes may have most of the graph's relationships between them."""
_DELETE_NODES = f"MATCH (n) WITH n LIMIT {AT_ONCE} DETACH DELETE n RETURN count(*) AS n"


def write(step: Mapping[str, Any]) -> dict[str, Any]:
    """Write canaries of `drill`, see canary.run."""
    drill = arguments.text(step, "drill")
    with Client.from_arguments(step) as client:

        def prepare() -> None:
            client.rows(_INDEX)
            client.rows(_ANCHOR, drill=drill)

        def one(seq: int, moment: float) -> None:
            if not client.rows(_WRITE, drill=drill, seq=seq, written=moment):
                raise ToolError("The place of the canaries is gone")

        return canary.run(step, prepare, one)


def recovered(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return which canaries of `drill` are there, and the newest heartbeat up to `before`; see canary.recovered."""
    before = arguments.number(step, "before")
    with Client.from_arguments(step) as client:
        client.wait(arguments.number(step, "settle", 0.0))
        (found,) = client.rows(_SEQS, drill=arguments.text(step, "drill"))
        (beat,) = client.rows(_HEARTBEAT, before=int(before * 1000))
    beaten = None if beat["last"] is None else float(beat["last"]) / 1000
    last = None if found["last"] is None else float(found["last"])
    return canary.recovered([int(seq) for seq in found["seqs"]], last, beaten)


def held(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many nodes the graph holds that are somebody's data: rows, kinds {label or type: how many}."""
    with Client.from_arguments(step) as client:
        client.wait(arguments.number(step, "settle", 0.0))
        found = counts(client)
    versions = found.pop(f":{VERSION_LABEL}", 0)
    nodes = found.pop(NODES)
    del found[RELATIONSHIPS]
    return {"rows": nodes - versions, "kinds": found}


def destroy(step: Mapping[str, Any]) -> dict[str, Any]:
    """Delete all nodes and relationships, constraints and indexes. Result: dropped."""
    with Client.from_arguments(step) as client:
        client.wait(arguments.number(step, "settle", 0.0))
        relationships, nodes = (_delete(client, query) for query in (_DELETE_RELATIONSHIPS, _DELETE_NODES))
        constraints = [str(row["name"]) for row in client.rows("SHOW CONSTRAINTS YIELD name")]
        for name in constraints:
            client.rows(f"DROP CONSTRAINT `{name}` IF EXISTS")
        shown = client.rows("SHOW INDEXES YIELD name, type")  # those of constraints went with them
        indexes = [str(row["name"]) for row in shown if row["type"] != LOOKUP]
        for name in indexes:
            client.rows(f"DROP INDEX `{name}` IF EXISTS")
        deleted = [f"{relationships} relationships", f"{nodes} nodes"]
        return {"dropped": [*deleted, *constraints, *indexes]}


def _delete(client: Client, query: str) -> int:
    """Run a query that deletes some until there are none; return how many went."""
    deleted = 0
    while now := int(client.rows(query)[0]["n"]):
        deleted += now
    return deleted
