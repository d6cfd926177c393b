"""What the record of applied schema files says, and when it does not count."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.schema_record import Record, SchemaPlan

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

CLAIM = "/api/v1/namespaces/db/persistentvolumeclaims/data-db-0"
RECORD = "/api/v1/namespaces/db/configmaps/db-schema-record"


class Cluster:
    def __init__(self, **objects: dict[str, Any]) -> None:
        self.objects = objects
        self.applied: list[dict[str, Any]] = []

    def find(self, path: str) -> dict[str, Any] | None:
        return self.objects.get({CLAIM: "claim", RECORD: "record"}[path])

    def apply(self, path: str, body: dict[str, Any]) -> None:
        assert path == RECORD
        self.applied.append(body)


def read(**objects: dict[str, Any]) -> Record:
    return Record.read(cast("Client", Cluster(**objects)), "db", "db", "data-db-0")


def uid(value: str) -> dict[str, Any]:
    return {"metadata": {"uid": value}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("0002_b.sql", "0001_a.sql"):
        (tmp_path / name).write_text(name)
    (tmp_path / "README.md").write_text("no schema")
    return tmp_path


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_a_record_of_the_same_volume_counts() -> None:
    assert read(claim=uid("u1"), record={"data": {"claim": "u1", "0001_a.sql": "x"}}).files == {"0001_a.sql": "x"}


@pytest.mark.parametrize(
    "objects",
    [
        {},
        {"claim": uid("u1")},
        {"record": {"data": {"claim": "u1", "0001_a.sql": "x"}}},
        {"claim": uid("u2"), "record": {"data": {"claim": "u1", "0001_a.sql": "x"}}},
        {"claim": uid("u1"), "record": {"data": {"0001_a.sql": "x"}}},
    ],
)
def test_anything_else_does_not_count(objects: dict[str, Any]) -> None:
    assert read(**objects).files == {}


def test_what_is_missing_is_planned_in_order(folder: Path) -> None:
    plan = SchemaPlan.of_folder("db", str(folder), Record(files={"0001_a.sql": digest("0001_a.sql")}))
    assert plan.missing == ["0002_b.sql"]
    assert plan.objects() == [("Schema db/0001_a", "none"), ("Schema db/0002_b", "create")]


def test_a_changed_file_is_refused(folder: Path) -> None:
    with pytest.raises(KontrolError, match=r"'0001_a\.sql' differs from what was applied"):
        SchemaPlan.of_folder("db", str(folder), Record(files={"0001_a.sql": "other"}))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KontrolError, match="No schema files"):
        SchemaPlan.of_folder("db", str(tmp_path), Record())


def test_the_record_names_the_volume() -> None:
    cluster = Cluster(claim=uid("u1"))
    record = Record.read(cast("Client", cluster), "db", "db", "data-db-0")
    record.write(cast("Client", cluster), {"0001_a.sql": "x"})
    (body,) = cluster.applied
    assert body["data"] == {"claim": "u1", "0001_a.sql": "x"}
    assert body["metadata"]["name"] == "db-schema-record"


def test_without_a_volume_there_is_no_record() -> None:
    with pytest.raises(KontrolError, match="is gone; run again"):
        Record(name="r", namespace="db", component="db").write(cast("Client", Cluster()), {})


def test_files_of_a_graph_count_and_others_do_not(tmp_path: Path) -> None:
    for name in ("0001_graph.cypher", "README.md"):
        (tmp_path / name).write_text(name)
    plan = SchemaPlan.of_folder("neo4j", str(tmp_path), Record())
    assert plan.objects() == [("Schema neo4j/0001_graph", "create")]
