"""Schema, round trip and logins of Neo4j over a small graph in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from images.tools.kontrol_tools import neo4j_database, neo4j_roundtrip, neo4j_schema, schema
from images.tools.kontrol_tools.errors import ToolError
from images.tools.kontrol_tools.neo4j_database import UNAUTHORIZED, Client, Neo4jError
from images.tools.kontrol_tools.neo4j_probe import CANARY, Neo4jProber
from tests.tools.graph import Graph

SHIPPED = Path(__file__).parents[2] / "roles" / "neo4j" / "files" / "schema"
SECRET = "Very-Secret_1"


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = Graph({"neo4j": SECRET})
    monkeypatch.setitem(sys.modules, "neo4j", found.module())
    monkeypatch.setattr(neo4j_database, "_POLL_SECONDS", 0.001)
    return found


@pytest.fixture
def step(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    (tmp_path / "other").write_text("Other-Secret_2")
    (tmp_path / "0001_first.cypher").write_text("// a word; here\nCREATE CONSTRAINT a;\nCREATE INDEX b\nFOR (n:N);\n")
    (tmp_path / "0002_second.cypher").write_text("CREATE INDEX c;")
    return {
        "host": "neo",
        "user": "neo4j",
        "password_file": str(tmp_path / "password"),
        "folder": str(tmp_path),
        "users": [{"user": "verify", "password_file": str(tmp_path / "other")}],
    }


def test_a_second_run_applies_nothing(graph: Graph, step: dict[str, Any]) -> None:
    assert neo4j_schema.run(step) == {"applied": ["0001_first.cypher", "0002_second.cypher"], "version": 2}
    assert neo4j_schema.run(step) == {"applied": [], "version": 2}
    assert graph.queries("CREATE INDEX") == ["CREATE INDEX b\nFOR (n:N)", "CREATE INDEX c"]
    assert [node["version"] for node in graph.nodes[neo4j_schema.VERSION_LABEL]] == [1, 2]
    assert graph.closed == 2


def test_users_are_made_in_the_system_database_and_keep_their_password(graph: Graph, step: dict[str, Any]) -> None:
    neo4j_schema.run(step)
    assert graph.passwords["verify"] == "Other-Secret_2"
    assert [database for database, query in graph.asked if query.startswith("CREATE USER")] == ["system"]
    assert not any("Secret" in query for query in graph.queries())


def test_a_file_that_was_applied_must_not_change(graph: Graph, step: dict[str, Any]) -> None:
    neo4j_schema.run(step)
    (Path(step["folder"]) / "0001_first.cypher").write_text("CREATE INDEX other;")
    with pytest.raises(ToolError, match=r"'0001_first\.cypher' differs from what was applied"):
        neo4j_schema.run(step)


def test_a_look_at_the_schema_names_what_is_not_there_and_changes_nothing(graph: Graph, step: dict[str, Any]) -> None:
    before = neo4j_schema.check(step)
    assert before["ok"] is False
    assert "was not applied" in before["seen"]
    assert not graph.nodes.get(neo4j_schema.VERSION_LABEL)
    neo4j_schema.run(step)
    assert neo4j_schema.check(step)["ok"] is True


def test_a_statement_that_fails_leaves_no_version_behind(graph: Graph, step: dict[str, Any]) -> None:
    graph.broken = "INDEX c"
    with pytest.raises(ToolError, match="SyntaxError"):
        neo4j_schema.run(step)
    assert [node["version"] for node in graph.nodes[neo4j_schema.VERSION_LABEL]] == [1]


def test_a_volume_with_another_password_stops_with_what_to_do(graph: Graph, step: dict[str, Any]) -> None:
    graph.passwords["neo4j"] = "older"
    with pytest.raises(ToolError, match=r"counts only at the first start.*Put the old password back") as caught:
        neo4j_schema.run({**step, "settle": 60})
    assert SECRET not in str(caught.value)
    assert graph.asked == []


def test_the_first_schema_holds_the_graph_of_the_platform() -> None:
    found = [statement for file in schema.files(SHIPPED, schema.CYPHER) for statement in file.statements]
    for label in ("Exchange", "Instrument", "Account", "Route"):
        assert any(f"(n:{label}) REQUIRE" in statement for statement in found)
        assert any(f"(n:{label}) ON" in statement for statement in found)
    assert all("IF NOT EXISTS" in statement for statement in found)


def test_the_server_is_waited_for(graph: Graph, step: dict[str, Any]) -> None:
    graph.silent = 3
    assert neo4j_roundtrip.run({**step, "settle": 60})["ok"]


def test_without_an_answer_the_round_trip_is_red(graph: Graph, step: dict[str, Any]) -> None:
    graph.silent = 1
    found = neo4j_roundtrip.run(step)
    assert not found["ok"]
    assert found["seen"] == "Neo4j at 'neo:7687' does not answer: UnavailableError no route"


def test_nodes_are_read_back_and_leave_no_trace(graph: Graph, step: dict[str, Any]) -> None:
    found = neo4j_roundtrip.run({**step, "rows": 7})
    assert found["seen"] == "7 nodes written, 7 read back with 6 relationships, equal"
    assert found["ok"]
    assert graph.nodes[neo4j_roundtrip.LABEL] == []


def test_a_lost_node_is_red_and_leaves_no_trace(graph: Graph, step: dict[str, Any]) -> None:
    graph.lossy = True
    found = neo4j_roundtrip.run({**step, "rows": 7})
    assert not found["ok"]
    assert found["read"] == 6
    assert graph.nodes[neo4j_roundtrip.LABEL] == []


def test_what_was_written_is_deleted_also_after_a_failure(graph: Graph, step: dict[str, Any]) -> None:
    graph.broken = "RETURN n.n AS n"
    assert "SyntaxError" in neo4j_roundtrip.run(step)["seen"]
    assert graph.nodes[neo4j_roundtrip.LABEL] == []


def test_logins_tell_accepted_refused_and_unknown(graph: Graph, step: dict[str, Any]) -> None:
    logins = [
        {"user": "neo4j", "password_file": step["password_file"]},
        {"user": "neo4j", "called": "image", "password": "neo4j"},
    ]
    found = neo4j_roundtrip.logins({"host": "neo", "logins": logins})["logins"]
    assert [(one["user"], one["outcome"]) for one in found] == [("neo4j", "accepted"), ("image", "refused")]
    graph.silent = 1
    assert neo4j_roundtrip.logins({"host": "neo", "logins": logins[:1]})["logins"][0]["outcome"] == "unknown"


def test_a_refused_login_is_not_tried_again(graph: Graph, step: dict[str, Any]) -> None:
    """Three wrong logins in a row would lock the user out for seconds."""
    graph.passwords["neo4j"] = "older"
    with Client("neo", 7687, "neo4j", "wrong") as client, pytest.raises(Neo4jError) as caught:
        client.wait(60)
    assert caught.value.code == UNAUTHORIZED
    assert graph.refused == 1


def test_a_defect_of_ours_is_no_answer_of_the_server(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("label")

    monkeypatch.setattr(graph, "answer", fail)
    with Client("neo", 7687, "neo4j", SECRET) as client, pytest.raises(KeyError):
        client.rows("RETURN 1 AS one")


def test_the_probe_reads_back_what_it_wrote_and_leaves_one_node(graph: Graph, step: dict[str, Any]) -> None:
    prober = Neo4jProber(step)
    prober.prepare()
    for _ in range(3):
        prober.insert()
        prober.query()
    assert len(graph.nodes[CANARY]) == 1
    graph.nodes[CANARY][0]["id"] = "other"
    with pytest.raises(ToolError, match="read 0 times"):
        prober.query()


def test_the_probe_tells_what_the_graph_holds_and_what_java_uses(graph: Graph, step: dict[str, Any]) -> None:
    def value(given: Any) -> dict[str, Any]:
        return {"description": "x", "value": given}

    heap = {"properties": {"init": 1, "committed": 2, "max": 400, "used": 50}}
    graph.nodes, graph.types = {"Exchange": [{}, {}]}, {"LISTED_ON": 5}
    graph.beans = {
        "java.lang:type=Memory": [{"HeapMemoryUsage": value(heap)}],
        "java.lang:type=Threading": [{"ThreadCount": value(38)}],
        "java.lang:type=GarbageCollector,name=*": [{"CollectionTime": value(183)}, {"CollectionTime": value(187)}],
    }
    prober = Neo4jProber(step)
    prober.prepare()
    assert prober.gauges() == {
        "kontrol_neo4j_nodes": 2.0,
        "kontrol_neo4j_relationships": 5.0,
        "kontrol_java_heap_used_bytes": 50.0,
        "kontrol_java_heap_max_bytes": 400.0,
        "kontrol_java_threads": 38.0,
        "kontrol_java_garbage_seconds": 0.37,
    }
