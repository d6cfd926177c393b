"""Backups of Neo4j: what counts, what is refused, and that a wrong dump is never loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import neo4j_backup, s3
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from tests.tools.bucket import Bucket, serving
from tests.tools.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator

Objects = dict[str, bytes]


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    """A small S3 server; gives what it holds by path."""
    with serving(Bucket()) as bucket:
        monkeypatch.setattr(sys.modules[__name__], "ENDPOINT", bucket.endpoint)
        yield bucket.objects


ENDPOINT = ""


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = Graph(
        {"neo4j": "p"},
        {"Exchange": [{}, {}], "KontrolSchemaVersion": [{}], "KontrolVerify": [{}], "KontrolCanary": [{}]},
    )
    monkeypatch.setitem(sys.modules, "neo4j", found.module())
    return found


@pytest.fixture
def step(objects: Objects, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text("p")
    (tmp_path / "key").write_text("k")
    (tmp_path / "neo4j.dump").write_bytes(b"graph")
    keys = {"access_key_file": str(tmp_path / "key"), "secret_key_file": str(tmp_path / "key")}
    login = {"host": "neo", "user": "neo4j", "password_file": str(tmp_path / "password")}
    return {**login, **keys, "endpoint": ENDPOINT, "bucket": "b", "id": "one", "file": str(tmp_path / "neo4j.dump")}


def made(step: dict[str, Any], identity: str = "one") -> dict[str, Any]:
    step = {**step, "id": identity}
    counts = neo4j_backup.count(step)["counts"]
    uploaded = neo4j_backup.upload(step)
    return neo4j_backup.finish({**step, "counts": counts, **uploaded})


def test_counts_are_of_every_label_and_relationship_but_not_of_proofs(graph: Graph, step: dict[str, Any]) -> None:
    graph.types = {"LISTED_ON": 5, "GONE": 0}
    assert neo4j_backup.count(step)["counts"] == {
        ":Exchange": 2,
        ":KontrolSchemaVersion": 1,
        "[:LISTED_ON]": 5,
        "nodes": 3,
    }


def test_a_backup_is_complete_with_its_manifest(graph: Graph, objects: Objects, step: dict[str, Any]) -> None:
    counts = neo4j_backup.count(step)["counts"]
    uploaded = neo4j_backup.upload(step)
    assert list(objects) == ["/b/neo4j/data/one.dump"]
    with pytest.raises(ToolError, match="no complete backup"):
        neo4j_backup.choose({**step, "replace": True})
    graph.nodes["Exchange"].append({})
    assert neo4j_backup.finish({**step, "counts": counts, **uploaded}) == {
        "id": "one",
        "bytes": 5,
        "nodes": 3,
        "kinds": 2,
    }
    assert json.loads(objects["/b/neo4j/manifests/one.json"])["counts"][":Exchange"] == [2, 3]


def test_an_empty_dump_is_no_backup(graph: Graph, objects: Objects, step: dict[str, Any]) -> None:
    Path(step["file"]).write_bytes(b"")
    with pytest.raises(ToolError, match="is empty or not there"):
        neo4j_backup.upload(step)
    assert objects == {}


def test_nodes_are_not_lost_unless_that_was_asked_for(graph: Graph, step: dict[str, Any]) -> None:
    made(step)
    with pytest.raises(ToolError, match="holds 2 nodes that would be lost"):
        neo4j_backup.choose(step)
    assert neo4j_backup.choose({**step, "replace": True})["id"] == "one"
    graph.nodes["Exchange"].clear()
    assert neo4j_backup.choose(step)["id"] == "one"


def test_the_newest_backup_is_chosen(
    graph: Graph, objects: Objects, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment, identity in ((100, "c"), (300, "a"), (200, "b")):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        made(step, identity)
    assert len(s3.keys(s3.Store(ENDPOINT, "r", "k", "k"), "b", "neo4j/manifests/")) == 3
    assert neo4j_backup.choose({**step, "id": "", "replace": True}) == {"id": "a", "bytes": 5, "made": 300}
    assert neo4j_backup.choose({**step, "id": "c", "replace": True})["id"] == "c"


def test_a_dump_comes_back_and_is_compared_twice(graph: Graph, step: dict[str, Any]) -> None:
    made(step)
    file = Path(step["file"])
    file.unlink()
    assert neo4j_backup.download(step) == {"id": "one", "bytes": 5}
    assert file.read_bytes() == b"graph"
    file.write_bytes(b"other")
    with pytest.raises(ToolError, match="the checksums differ"):
        neo4j_backup.download(step)


def test_a_dump_that_changed_in_the_store_is_refused(graph: Graph, objects: Objects, step: dict[str, Any]) -> None:
    made(step)
    Path(step["file"]).unlink()
    objects["/b/neo4j/data/one.dump"] = b"worse"
    with pytest.raises(ToolError, match="the checksums differ"):
        neo4j_backup.download(step)


def test_what_came_back_is_compared_with_the_manifest(graph: Graph, step: dict[str, Any]) -> None:
    made(step)
    assert neo4j_backup.compare(step)["nodes"] == 3
    graph.nodes["Exchange"].pop()
    with pytest.raises(ToolError, match="Exchange has 1, expected 2 to 2"):
        neo4j_backup.compare(step)


@pytest.mark.parametrize(
    ("work", "changed"),
    [(neo4j_backup.upload, {"id": "../x"}), (neo4j_backup.finish, {"bytes": 1, "sha256": "x", "counts": {}})],
)
def test_wrong_arguments(step: dict[str, Any], work: Any, changed: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        work({**step, **changed})


def test_a_full_disk_is_told_as_that(graph: Graph, step: dict[str, Any]) -> None:
    made(step)
    with pytest.raises(ToolError, match="cannot be written: No space left on device"):
        s3.get_file(s3.Store(ENDPOINT, "r", "k", "k"), "b", "neo4j/data/one.dump", Path("/dev/full"))
