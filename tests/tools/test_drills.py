"""What a drill writes into a database, counts, destroys and finds again: ClickHouse and Neo4j in memory."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import clickhouse_drill, neo4j_database, neo4j_drill
from images.tools.kontrol_tools.clickhouse import Client
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from images.tools.kontrol_tools.neo4j_probe import CANARY
from images.tools.kontrol_tools.neo4j_proof import CANARIES
from images.tools.kontrol_tools.neo4j_schema import VERSION_LABEL
from tests.tools.clickhouse_server import Databases, Server, Table
from tests.tools.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.conftest import Database

Row = dict[str, Any]
LONG = {"interval": 0.001, "seconds": 60}
TRIES = 6


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Give SIGTERM back: a writer takes it for itself."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def password(tmp_path: Path) -> str:
    (tmp_path / "password").write_text("right\n")
    return str(tmp_path / "password")


def told(capsys: pytest.CaptureFixture[str]) -> list[Row]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def seqs(lines: list[Row]) -> list[int]:
    return [line["canary"]["seq"] for line in lines if "canary" in line]


@dataclass
class Ending:
    """Tells the writer to end, as the API server does, while it waits for the answer to its last try."""

    tries: int = 0

    def tried(self) -> None:
        self.tries += 1
        if self.tries == TRIES:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def clickhouse(database: Database) -> Server:
    found = Server(inserted=Ending().tried)
    database.answer = found.answer
    return found


@pytest.fixture
def at(database: Database, password: str) -> Row:
    """The login of ClickHouse, and whose canaries are meant."""
    login = {"host": "127.0.0.1", "port": database.port, "user": "verify", "password_file": password}
    return {**login, "drill": "run-1", "databases": ["market", "kontrol"]}


class TestClickHouse:
    """Canaries are rows of a table of their own."""

    def test_each_canary_that_is_told_is_a_row(
        self, clickhouse: Server, at: Row, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done = clickhouse_drill.write({**at, **LONG})
        rows = clickhouse.databases["kontrol_verify"]["drill_canary"].rows
        assert done == {"sent": TRIES, "failed": 0}
        assert [row["seq"] for row in rows] == seqs(told(capsys)) == list(range(1, TRIES + 1))
        assert {row["drill"] for row in rows} == {"run-1"}

    def test_what_the_fault_took_is_not_made_anew(
        self, clickhouse: Server, at: Row, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ending = Ending()

        def lose() -> None:
            ending.tried()
            if ending.tries == 3:
                clickhouse.databases.clear()

        clickhouse.inserted = lose
        done = clickhouse_drill.write({**at, **LONG})
        assert done == {"sent": 3, "failed": TRIES - 3}
        lines = told(capsys)
        assert seqs(lines) == [1, 2, 3]
        assert "Unknown table kontrol_verify.drill_canary" in lines[-1]["failed"]
        assert clickhouse.databases == {}

    def test_what_came_back_is_told_with_its_holes_and_the_newest_heartbeat(
        self, clickhouse: Server, at: Row, database: Database
    ) -> None:
        canaries = [{"seq": seq, "written": 1000.5 + seq} for seq in (1, 2, 4)]
        clickhouse.databases["kontrol_verify"] = {
            "drill_canary": Table(canaries),
            "canary": Table([{"written": 995.0}]),
        }
        found = clickhouse_drill.recovered({**at, "before": 1002.9})
        assert found == {"count": 3, "last_seq": 4, "last_written": 1004.5, "missing": [3], "heartbeat": 995.0}

    def test_only_canaries_of_this_drill_and_heartbeats_before_the_moment_are_asked_for(
        self, clickhouse: Server, at: Row, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        request = Client.query

        def spy(client: Client, query: str, data: bytes = b"", params: Any = None) -> bytes:
            sent.append(f"{query} {params}")
            return request(client, query, data, params)

        monkeypatch.setattr(Client, "query", spy)
        clickhouse_drill.recovered({**at, "before": 1002.9})
        canaries, beats = sent[1:]
        assert "WHERE drill = {drill:String}" in canaries
        assert "{'drill': 'run-1'}" in canaries
        assert "written <= fromUnixTimestamp({before:Int64})" in beats
        assert "{'before': '1002'}" in beats

    @pytest.mark.parametrize(
        "databases",
        [{}, {"kontrol_verify": {}}, {"kontrol_verify": {"drill_canary": Table(), "canary": Table()}}],
    )
    def test_where_nothing_came_back_that_is_told_as_nothing(
        self, clickhouse: Server, at: Row, databases: Databases
    ) -> None:
        clickhouse.databases = databases
        found = clickhouse_drill.recovered({**at, "before": 1000})
        assert found == {"count": 0, "last_seq": 0, "last_written": None, "missing": [], "heartbeat": None}

    def test_a_refusal_is_not_taken_for_nothing(self, clickhouse: Server, at: Row) -> None:
        clickhouse.refused = "SELECT groupArray"
        with pytest.raises(ToolError, match="Not enough privileges"):
            clickhouse_drill.recovered({**at, "before": 1000})

    def test_only_somebodys_data_counts(self, clickhouse: Server, at: Row) -> None:
        clickhouse.databases = {
            "market": {"trades": Table([{}] * 5), "bars": Table([{}] * 2), "empty": Table()},
            "kontrol": {"schema_versions": Table([{}] * 9)},
            "kontrol_verify": {"drill_canary": Table([{}] * 60)},
            "other": {"table": Table([{}])},
        }
        assert clickhouse_drill.held(at) == {"rows": 7, "kinds": {"market.trades": 5, "market.bars": 2}}

    def test_all_is_dropped_with_the_canaries_and_nothing_else(self, clickhouse: Server, at: Row) -> None:
        clickhouse.databases = {name: {} for name in ("market", "kontrol", "kontrol_verify", "system")}
        assert clickhouse_drill.destroy(at) == {"dropped": ["market", "kontrol", "kontrol_verify"]}
        assert list(clickhouse.databases) == ["system"]

    @pytest.mark.parametrize("command", [clickhouse_drill.held, clickhouse_drill.destroy])
    def test_without_names_of_databases_nothing_is_asked_or_dropped(
        self, clickhouse: Server, at: Row, command: Any
    ) -> None:
        with pytest.raises(ArgumentError, match="'databases' must be a list of database names"):
            command({**at, "databases": []})
        assert clickhouse.did("DROP") == []


@dataclass
class DrilledGraph(Ending, Graph):
    """A graph with the place of the canaries; `lose_after` so many of them all nodes are gone."""

    anchors: set[str] = field(default_factory=set)
    canaries: list[Row] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    lose_after: int = 1_000_000

    def answer(self, query: str, given: Row) -> list[Row]:
        if query.startswith("MERGE") and "anchor" in query:
            self.anchors.add(given["drill"])
            return []
        if f"CREATE (n:{CANARIES}" in query:
            return self.written(given)
        if query.endswith("max(n.written) AS last"):
            return [self.found(query, given)]
        if "DELETE" in query:
            return [{"n": self.delete(query, int(re.findall(r"LIMIT (\d+)", query)[0]))}]
        if "CONSTRAINT" in query or "INDEX" in query:
            return self.schema(query)
        return super().answer(query, given)

    def written(self, given: Row) -> list[Row]:
        self.tried()
        if given["drill"] not in self.anchors:
            return []
        self.canaries.append(given)
        if len(self.canaries) >= self.lose_after:
            self.anchors.clear()
        return [{"seq": given["seq"]}]

    def found(self, query: str, given: Row) -> Row:
        if CANARY in query:
            beats = [node["written"] for node in self.nodes.get(CANARY, []) if node["written"] <= given["before"]]
            return {"last": max(beats, default=None)}
        mine = [one for one in self.canaries if one["drill"] == given["drill"]]
        return {"seqs": [one["seq"] for one in mine], "last": max((one["written"] for one in mine), default=None)}

    def delete(self, query: str, most: int) -> int:
        if "-[r]->" in query:
            before, left = sum(self.types.values()), max(0, sum(self.types.values()) - most)
            self.types = {"what is left": left} if left else {}
            return before - left
        assert not self.types, "the relationships of a few nodes may be more than the server's heap holds"
        everything = [(label, node) for label, nodes in self.nodes.items() for node in nodes][:most]
        for label, node in everything:
            self.nodes[label].remove(node)
        return len(everything)

    def schema(self, query: str) -> list[Row]:
        if query.startswith("SHOW CONSTRAINTS"):
            return [{"name": name} for name in self.constraints]
        if query.startswith("SHOW INDEXES"):
            return [{"name": name, "type": kind} for name, kind in self.indexes.items()]
        if drop := re.fullmatch(r"DROP (CONSTRAINT|INDEX) `(.+)` IF EXISTS", query):
            if drop[1] == "CONSTRAINT":
                self.constraints.remove(drop[2])
            self.indexes.pop(drop[2], None)
        return []


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> DrilledGraph:
    found = DrilledGraph({"neo4j": "right"})
    monkeypatch.setitem(sys.modules, "neo4j", found.module())
    monkeypatch.setattr(neo4j_database, "_POLL_SECONDS", 0.001)
    return found


@pytest.fixture
def neo(password: str) -> Row:
    """The login of Neo4j, and whose canaries are meant."""
    return {"host": "neo", "user": "neo4j", "password_file": password, "drill": "run-1"}


class TestNeo4j:
    """Canaries are nodes that hang on an anchor: without it none is written."""

    def test_each_canary_that_is_told_is_a_node(
        self, graph: DrilledGraph, neo: Row, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done = neo4j_drill.write({**neo, **LONG})
        assert done == {"sent": TRIES, "failed": 0}
        assert [one["seq"] for one in graph.canaries] == seqs(told(capsys)) == list(range(1, TRIES + 1))
        assert graph.anchors == {"run-1"}
        assert graph.closed == 1

    def test_what_the_fault_took_is_not_made_anew(
        self, graph: DrilledGraph, neo: Row, capsys: pytest.CaptureFixture[str]
    ) -> None:
        graph.lose_after = 3
        done = neo4j_drill.write({**neo, **LONG})
        assert done == {"sent": 3, "failed": TRIES - 3}
        assert told(capsys)[-1] == {"failed": "The place of the canaries is gone"}
        assert (graph.anchors, len(graph.canaries)) == (set(), 3)

    def test_what_came_back_is_told_with_its_holes_and_the_newest_heartbeat(
        self, graph: DrilledGraph, neo: Row
    ) -> None:
        graph.canaries = [{"drill": "run-1", "seq": seq, "written": 1000.5 + seq} for seq in (1, 2, 4)]
        graph.canaries.append({"drill": "run-0", "seq": 9, "written": 900.0})
        graph.nodes[CANARY] = [{"written": 995_500}, {"written": 1_003_000}]
        found = neo4j_drill.recovered({**neo, "before": 1002.9})
        assert found == {"count": 3, "last_seq": 4, "last_written": 1004.5, "missing": [3], "heartbeat": 995.5}

    def test_where_nothing_came_back_that_is_told_as_nothing(self, graph: DrilledGraph, neo: Row) -> None:
        graph.silent = 2
        found = neo4j_drill.recovered({**neo, "before": 1000, "settle": 60})
        assert found == {"count": 0, "last_seq": 0, "last_written": None, "missing": [], "heartbeat": None}

    def test_only_somebodys_data_counts(self, graph: DrilledGraph, neo: Row) -> None:
        graph.nodes = {"Exchange": [{}, {}], CANARY: [{}], CANARIES: [{}], VERSION_LABEL: [{"version": 4}]}
        assert neo4j_drill.held(neo) == {"rows": 2, "kinds": {":Exchange": 2}}

    def test_all_nodes_constraints_and_indexes_go_but_not_those_of_the_server(
        self, graph: DrilledGraph, neo: Row, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("_DELETE_RELATIONSHIPS", "_DELETE_NODES"):
            monkeypatch.setattr(neo4j_drill, name, getattr(neo4j_drill, name).replace("5000", "2"))
        graph.types = {"LISTED_ON": 5}
        graph.nodes = {"Exchange": [{"n": 1}, {"n": 2}, {"n": 3}], CANARY: [{"n": 4}], VERSION_LABEL: [{"n": 5}]}
        graph.constraints = ["one_each"]
        graph.indexes = {"one_each": "RANGE", "by_name": "TEXT", "labels": "LOOKUP"}
        assert neo4j_drill.destroy(neo) == {"dropped": ["5 relationships", "5 nodes", "one_each", "by_name"]}
        assert [node for nodes in graph.nodes.values() for node in nodes] == []
        assert (graph.constraints, graph.indexes) == ([], {"labels": "LOOKUP"})
