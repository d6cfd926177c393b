"""Backup and restore of Neo4j: what counts, what is refused, and that the server runs again whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import (
    backups,
    neo4j_backup,
    neo4j_drill,
    neo4j_job,
    neo4j_proof,
    neo4j_restore,
    s3,
    stateful_set,
)
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from images.tools.kontrol_tools.neo4j_database import Client
from images.tools.kontrol_tools.neo4j_job import Work
from images.tools.kontrol_tools.stateful_set import StatefulSet
from tests.tools import api as fake_api
from tests.tools.bucket import Bucket, serving
from tests.tools.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Give SIGTERM back: the containers of a Job take it for themselves."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_api.Api]:
    monkeypatch.setattr(stateful_set, "_PAUSES", (0.0, 0.0))
    with fake_api.serving(fake_api.Api(), monkeypatch) as one:
        yield one


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    found = Graph(
        {"neo4j": "p"},
        {
            "Exchange": [{}, {}],
            "KontrolSchemaVersion": [{"version": 4, "sha256": "s"}],
            "KontrolVerify": [{}],
            "KontrolCanary": [{}],
        },
        types={"LISTED_ON": 5, "GONE": 0, "NEXT": 1},
        own_types={"NEXT": 1},
    )
    monkeypatch.setitem(sys.modules, "neo4j", found.module())
    monkeypatch.setattr(neo4j_proof, "proof", proof_of_counts)
    return found


def proof_of_counts(client: Client) -> neo4j_proof.Proof:
    """Stand in for the hash of a graph, which is tested on a real one: tests/e2e/test_neo4j_dump.py."""
    return {name: {"rows": count, "sum": f"{count:016x}"} for name, count in neo4j_proof.counts(client).items()}


@pytest.fixture
def step(bucket: Bucket, tmp_path: Path) -> dict[str, Any]:
    for name in ("password", "token", "key"):
        (tmp_path / name).write_text("p")
    (tmp_path / "work").mkdir()
    keys = {"access_key_file": str(tmp_path / "key"), "secret_key_file": str(tmp_path / "key")}
    login = {"host": "neo", "user": "neo4j", "password_file": str(tmp_path / "password")}
    server = {"namespace": "neo4j", "stateful_set": "neo4j", "account": str(tmp_path), "image": "neo4j:1", "ready": 0}
    here = {"work": str(tmp_path / "work"), "file": str(tmp_path / "restored.dump")}
    return {**login, **keys, **server, **here, "endpoint": bucket.endpoint, "bucket": "b", "id": "one"}


def program(step: dict[str, Any], name: str, code: int = 0, said: str = "") -> None:
    """Do what a program of Neo4j's own does, where it is allowed to."""
    folder = Path(step["work"])
    if (folder / f"{name}.allowed").exists():
        (folder / f"{name}.code").write_text(f"{code}\n")
        (folder / f"{name}.log").write_text(said)
        if name == "dump" and not code:
            (folder / "neo4j.dump").write_bytes(b"graph")


def job(step: dict[str, Any], dumped: int = 0, loaded: int = 0) -> dict[str, Any]:
    """Run the containers of a backup's Job."""
    for file in Path(step["work"]).iterdir():
        file.unlink()
    neo4j_backup.stop(step)
    program(step, "dump", dumped, "Reading\n\nThe disk is full\n")
    neo4j_backup.start(step)
    neo4j_backup.carry(step)
    program(step, "load", loaded, "Not an archive")
    return neo4j_backup.finish(step)


def place(step: dict[str, Any]) -> backups.Place:
    return backups.Place.from_arguments(step, "neo4j")


def locked(bucket: Bucket) -> bool:
    return "/b-locks/neo4j.json" in bucket.objects


def test_counts_are_of_every_label_and_relationship_but_not_of_proofs(graph: Graph, step: dict[str, Any]) -> None:
    with Client.from_arguments(step) as client:
        assert neo4j_proof.counts(client) == {
            "nodes": 3,
            "relationships": 5,
            ":Exchange": 2,
            ":KontrolSchemaVersion": 1,
            "[:LISTED_ON]": 5,
        }
    assert neo4j_drill.held(step) == {"rows": 2, "kinds": {":Exchange": 2, "[:LISTED_ON]": 5}}


def test_a_backup_stops_the_server_and_counts_with_its_proof(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    made = job(step)
    assert api.scaled == [0, 1]
    assert (made["id"], made["nodes"], made["relationships"], made["kinds"], made["bytes"]) == ("one", 3, 5, 3, 5)
    assert made["outage"] >= 0
    found = backups.chosen(place(step))
    assert found.versions == {"neo4j": "5.26.30", "schema": "4"}
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 0.0
    assert not locked(bucket)
    assert api.tokens == {"Bearer p"}


@pytest.mark.parametrize(
    ("dumped", "loaded", "why"),
    [
        (1, 0, "could not be dumped: it ended with 1; it said: Reading | The disk is full"),
        (0, 1, "could not be loaded into an empty database: it ended with 1; it said: Not an archive"),
    ],
)
def test_what_fails_leaves_no_backup_and_a_running_server(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], dumped: int, loaded: int, why: str
) -> None:
    with pytest.raises(ToolError, match=why.replace("|", "[|]")):
        job(step, dumped, loaded)
    assert (api.replicas, backups.good(place(step)), locked(bucket)) == (1, [], False)
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 1.0


def test_a_dump_that_holds_less_than_the_server_does_not_count(
    graph: Graph, api: fake_api.Api, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {":Exchange": {"rows": 1, "sum": ""}, "nodes": {"rows": 2, "sum": ""}}
    monkeypatch.setattr(neo4j_proof, "proof", lambda client: proof_of_counts(client) | lost)
    with pytest.raises(ToolError, match=r"holds less than the server held: :Exchange 1 of 2, nodes 2 of 3"):
        job(step)
    assert backups.good(place(step)) == []


def test_what_was_written_while_it_was_made_is_no_lack() -> None:
    proof = {"nodes": {"rows": 5, "sum": ""}}
    neo4j_backup.refuse_lack(proof, {"nodes": 5}, {"nodes": 9})
    neo4j_backup.refuse_lack(proof, {"nodes": 6}, {"nodes": 4})
    with pytest.raises(ToolError, match="nodes 5 of 6"):
        neo4j_backup.refuse_lack(proof, {"nodes": 6}, {"nodes": 7})


def test_a_backup_that_lost_most_of_the_one_before_does_not_count(
    graph: Graph, api: fake_api.Api, step: dict[str, Any]
) -> None:
    job(step)
    graph.types.clear()
    graph.own_types.clear()
    with pytest.raises(ToolError, match="holds 3 nodes and relationships, the one before, 'one', 8"):
        job({**step, "id": "two"})
    assert backups.chosen(place(step)).backup == "one"
    assert job({**step, "id": "three", "smaller": True})["id"] == "three"


def test_a_server_that_is_stopped_is_started_for_a_backup(
    graph: Graph, api: fake_api.Api, step: dict[str, Any]
) -> None:
    api.replicas = api.pods = 0
    job(step)
    assert api.scaled == [1, 0, 1]


def test_a_second_backup_at_once_touches_nothing(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(backups, "POLL_SECONDS", 0.2)
    with backups.held(place(step), "other"):
        with pytest.raises(ToolError, match="'other' of neo4j is going on"):
            job(step)
        assert (api.scaled, locked(bucket)) == ([], True)
    assert [key for key in bucket.objects if "attempts" in key] == []


def test_the_pod_that_takes_the_place_of_a_killed_one_starts_the_server_and_makes_the_backup(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "POLL_SECONDS", 0.1)
    neo4j_backup.stop(step)
    backups.renew(place(step), "one", 0.3)  # and then all of its pod is killed
    assert (api.replicas, locked(bucket)) == (0, True)
    assert job({**step, "id": "two"})["id"] == "two"
    assert api.scaled == [0, 1, 0, 1]
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 0.0


def test_a_store_that_fails_from_then_on_does_not_hide_why(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())
    neo4j_backup.stop(step)
    program(step, "dump")
    neo4j_backup.start(step)
    bucket.broken = 9
    neo4j_backup.carry(step)
    with pytest.raises(ToolError, match=r"'neo4j/data/one[.]dump' cannot be stored: the backup store answers 500"):
        neo4j_backup.finish(step)


def test_what_a_killed_job_has_left_is_a_failed_attempt(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    job(step)
    neo4j_backup.stop({**step, "id": "two"})
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 0.0
    backups.release(place(step), "two")
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 1.0
    assert backups.chosen(place(step)).backup == "one"


def test_half_of_a_dump_that_could_not_be_read_back_does_not_stay(
    graph: Graph, api: fake_api.Api, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: s3.Store, bucket: str, key: str, path: Path) -> None:
        path.write_bytes(b"half")
        raise ToolError(f"'{path}' cannot be written: No space left on device")

    monkeypatch.setattr(s3, "get_file", full)
    with pytest.raises(ToolError, match="No space left on device"):
        job(step)
    assert not (Path(step["work"]) / neo4j_backup.DUMP).exists()


def test_another_image_is_refused_before_the_server_stops(
    graph: Graph, api: fake_api.Api, step: dict[str, Any]
) -> None:
    api.image = "neo4j:2"
    with pytest.raises(ToolError, match="Image 'neo4j:2' runs and not 'neo4j:1'"):
        job(step)
    assert api.scaled == []


def test_a_server_that_does_not_come_back_is_told_although_the_backup_is_good(
    graph: Graph, api: fake_api.Api, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = StatefulSet.wait
    monkeypatch.setattr(StatefulSet, "wait", lambda *given: wait(*given) if api.scaled[-1:] != [1] else stuck())

    def stuck() -> None:
        raise ToolError("it is not ready")

    with pytest.raises(ToolError, match="'one' is complete, but the server did not come back: it is not ready"):
        job(step)
    assert backups.chosen(place(step)).backup == "one"


@pytest.fixture
def second(step: dict[str, Any]) -> Iterator[Bucket]:
    with serving(Bucket()) as there:
        keys = {name: step[name] for name in ("access_key_file", "secret_key_file")}
        step |= {"second": {"endpoint": there.endpoint, "bucket": "copies", **keys}, "scratch": step["work"]}
        yield there


def test_a_backup_is_copied_to_the_second_store(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], second: Bucket
) -> None:
    assert job(step)["copied"] == ["one"]
    there = backups.Place.from_arguments(step["second"], "neo4j")
    assert backups.good(there) == backups.good(place(step))
    assert second.objects["/copies/neo4j/data/one.dump"] == b"graph"
    assert sorted(file.name for file in Path(step["work"]).glob("*")) == sorted(
        ["state.json", *(f"{name}.{end}" for name in ("dump", "load") for end in ("allowed", "code", "log"))]
    )
    assert not locked(bucket)


def test_a_job_that_is_ended_while_it_copies_says_so(
    graph: Graph,
    api: fake_api.Api,
    bucket: Bucket,
    step: dict[str, Any],
    second: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class EndedError(Exception):
        pass

    def end(*_: Any) -> None:
        assert locked(bucket)
        neo4j_job.leave(StatefulSet.from_arguments(step), place(step), Work.from_arguments(step), lambda _: None)
        raise EndedError

    real = s3.get_file
    monkeypatch.setattr(s3, "get_file", lambda *words: end() if words[3].name == "carried" else real(*words))
    with pytest.raises(EndedError):
        job(step)
    assert backups.last_attempt(place(step))["error"] == "It was ended before it was copied to the second store"
    assert (backups.chosen(place(step)).backup, api.replicas) == ("one", 1)


def test_a_second_store_that_is_down_makes_the_job_red_and_nothing_worse(
    graph: Graph,
    api: fake_api.Api,
    bucket: Bucket,
    step: dict[str, Any],
    second: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())
    second.broken = 1
    with pytest.raises(ToolError, match=r"^Backup 'one' is complete, but not in the second store: .* 500"):
        job(step)
    assert (api.replicas, backups.chosen(place(step)).backup, locked(bucket)) == (1, "one", False)
    told = backups.last_attempt(place(step))
    assert (told["ok"], told["error"][:53]) == (False, "Backup 'one' is complete, but not in the second store")
    assert job(step | {"id": "two"})["copied"] == ["two", "one"]


@pytest.mark.parametrize("before", ["nothing", "the stop", "the dump", "the start"])
def test_a_job_that_is_ended_leaves_a_running_server_and_no_lock(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], before: str
) -> None:
    work, server = Work.from_arguments(step), StatefulSet.from_arguments(step)
    if before != "nothing":
        neo4j_backup.stop(step)
    if before == "the start":
        program(step, "dump")
        neo4j_backup.start(step)
    waited: list[float] = []
    neo4j_job.leave(server, place(step), work, waited.append)
    assert (api.replicas, locked(bucket)) == (1, False)
    assert api.scaled == ([] if before == "nothing" else [0, 1])
    assert sum(waited) >= (neo4j_job.DYING_SECONDS if before in ("the stop", "the dump") else 0)
    failed = backups.gauges(place(step))["kontrol_backup_last_attempt_failed"]
    assert failed == float(before != "nothing")


def test_what_has_ended_well_is_left_alone(graph: Graph, api: fake_api.Api, step: dict[str, Any]) -> None:
    job(step)
    neo4j_job.leave(StatefulSet.from_arguments(step), place(step), Work.from_arguments(step), lambda _: None)
    assert api.scaled == [0, 1]
    assert backups.gauges(place(step))["kontrol_backup_last_attempt_failed"] == 0.0


def test_a_name_that_leads_elsewhere_is_refused(graph: Graph, api: fake_api.Api, step: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match=r"must be letters, digits and dashes, not '[.][.]/x'"):
        job({**step, "id": "../x"})
    with pytest.raises(ArgumentError):
        neo4j_backup.stop({**step, "work": 1})


def test_nodes_are_not_lost_unless_that_was_asked_for(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    job(step)
    with pytest.raises(ToolError, match="holds 2 nodes that would be lost"):
        neo4j_restore.choose(step)
    assert not locked(bucket)
    assert neo4j_restore.choose({**step, "replace": True})["id"] == "one"
    assert locked(bucket)
    graph.nodes["Exchange"].clear()
    assert neo4j_restore.choose({**step, "id": ""})["id"] == "one"


def test_a_graph_that_cannot_be_read_is_replaced_only_when_that_was_asked_for(
    graph: Graph, api: fake_api.Api, step: dict[str, Any]
) -> None:
    job(step)
    graph.broken = "count("
    with pytest.raises(ToolError, match="cannot be told what the graph holds; ask for replace"):
        neo4j_restore.choose(step)
    assert neo4j_restore.choose({**step, "replace": True})["id"] == "one"


def test_a_restore_starts_a_stopped_server_and_waits_for_the_lock_of_a_dead_backup(
    graph: Graph, api: fake_api.Api, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job(step)
    api.replicas = api.pods = 0
    backups.take(place(step), "dead", 0.2)
    monkeypatch.setattr(backups, "POLL_SECONDS", 0.1)
    assert neo4j_restore.choose({**step, "replace": True})["id"] == "one"
    assert api.replicas == 1


def test_a_store_of_another_region_is_only_read(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    job(step)
    before = dict(bucket.objects)
    foreign = {**step, "foreign": True, "replace": True}
    neo4j_restore.choose(foreign)
    neo4j_restore.download(foreign)
    neo4j_restore.compare({**foreign, "ends": True})
    assert bucket.objects == before


@pytest.mark.parametrize("foreign", [False, True])
def test_the_lock_of_a_restore_lasts_as_long_as_its_load(
    bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, foreign: bool
) -> None:
    monkeypatch.setattr(backups, "RENEW_SECONDS", 0.05)
    backups.take(place(step), neo4j_job.RESTORE, 0.1)
    before = bucket.objects["/b-locks/neo4j.json"]
    end = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    end.start()
    assert neo4j_job.hold({**step, "foreign": foreign}) == {}
    assert (bucket.objects["/b-locks/neo4j.json"] == before) is foreign


def test_what_keeps_the_server_alive_renews_the_lock_of_a_backup_and_ends_it(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "RENEW_SECONDS", 0.05)
    neo4j_backup.stop(step)
    program(step, "dump")
    bodies = set()
    ends = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGTERM))
    looks = [threading.Timer(at, lambda: bodies.add(bucket.objects["/b-locks/neo4j.json"])) for at in (0.0, 0.4)]
    for one in (*looks, ends):
        one.start()
    neo4j_job.keep(step)
    assert len(bodies) == 2
    assert (api.scaled, locked(bucket)) == ([0, 1], False)


def test_a_dump_comes_back_by_its_checksum(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    job(step)
    assert neo4j_restore.download(step) == {"id": "one", "bytes": 5}
    assert Path(step["file"]).read_bytes() == b"graph"
    bucket.objects["/b/neo4j/data/one.dump"] = b"worse"
    with pytest.raises(ToolError, match="the checksums differ"):
        neo4j_restore.download(step)
    assert not Path(step["file"]).exists()
    bucket.objects["/b/neo4j/data/one.dump"] = b"short"[:-1]
    with pytest.raises(ToolError, match="holds 1 objects, 4 bytes of it"):
        neo4j_restore.download(step)


def test_what_came_back_is_compared_and_the_lock_given_back(
    graph: Graph, api: fake_api.Api, bucket: Bucket, step: dict[str, Any]
) -> None:
    job(step)
    neo4j_restore.choose({**step, "replace": True})
    seen = neo4j_restore.compare({**step, "ends": True})
    assert (seen["rows"], seen["compared"], locked(bucket)) == (8, 3, False)
    graph.nodes["Exchange"].pop()
    with pytest.raises(
        ToolError, match=r"differs from the proof of backup 'one': :Exchange has 1 and not 2; nodes has"
    ):
        neo4j_restore.compare(step)


def test_other_content_is_a_difference() -> None:
    proof = {":A": {"rows": 1, "sum": "a"}, "nodes": {"rows": 1, "sum": "a"}}
    assert neo4j_restore.differences(proof, proof) == []
    assert neo4j_restore.differences(proof, {**proof, ":A": {"rows": 1, "sum": "b"}}) == [":A has other content"]
    assert neo4j_restore.differences(proof, {"nodes": proof["nodes"]}) == [":A has 0 and not 1"]


def test_what_was_loaded_belongs_to_the_server(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no database 'neo4j' below"):
        neo4j_restore.loaded({"folder": str(tmp_path), "owner": os.getuid()})
    (tmp_path / "databases" / "neo4j").mkdir(parents=True)
    (tmp_path / "databases" / "neo4j" / "store").touch()
    assert neo4j_restore.loaded({"folder": str(tmp_path), "owner": os.getuid()}) == {"files": 1}
    with pytest.raises(ToolError, match="do not belong to user 7474"):
        neo4j_restore.loaded({"folder": str(tmp_path), "owner": 7474})


def test_an_api_server_that_fails_now_and_then_is_asked_again(api: fake_api.Api, step: dict[str, Any]) -> None:
    server = StatefulSet.from_arguments(step)
    api.broken = 2
    server.scale(0)
    assert api.scaled == [0]
    api.broken = 9
    with pytest.raises(ToolError, match="API server does not answer: ConnectionError it answers 503"):
        server.scale(1)


def test_a_pod_that_does_not_go_is_told(api: fake_api.Api, step: dict[str, Any]) -> None:
    api.stuck = True
    server = StatefulSet.from_arguments(step)
    server.scale(0)
    with pytest.raises(ToolError, match="'neo4j/neo4j' is not stopped after 0 s"):
        server.wait(0, 0)


def test_a_right_that_is_missing_is_told(api: fake_api.Api, step: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="answers 403 to PATCH of 'other/neo4j'"):
        StatefulSet.from_arguments({**step, "namespace": "other"}).scale(0)


def test_a_full_disk_is_told_as_that(graph: Graph, api: fake_api.Api, step: dict[str, Any]) -> None:
    job(step)
    with pytest.raises(ToolError, match="cannot be written: No space left on device"):
        s3.get_file(place(step).store, "b", "neo4j/data/one.dump", Path("/dev/full"))
