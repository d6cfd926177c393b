"""Backups of Neo4j that are killed or fail, in a real region: nothing is lost, the server runs, and it is told why.

What is done to a Job is done to one of the schedule's. Each test ends with the newest good backup of before intact.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from images.tools.kontrol_tools import backups, neo4j_backup, neo4j_bolt, s3
from images.tools.kontrol_tools.errors import ToolError
from tests.e2e.backup_jobs import BackupJobs, arguments, other_secret, small
from tests.e2e.conftest import Say
from tests.e2e.database_lab import Relay, docker, relaying, start_store, wait_until
from tests.e2e.harness import Region
from tests.e2e.test_decommission import declare
from tests.e2e.test_neo4j_dump import local

pytestmark = pytest.mark.life
NAME = "graphs"
NUMBER = 15  # of its networks, see declare
NETWORK = "kind"
CANARY = "CANARY-wrong"
PHASES = ["stop", "dump", "carry", "load"]
ACCOUNTS = 500
FILL = f"""UNWIND range(1, {ACCOUNTS}) AS i MERGE (a:Account {{id: i}}) SET a.name = toString(rand())
MERGE (b:Account {{id: i % {ACCOUNTS} + 1}}) MERGE (a)-[:PAYS]->(b)"""
HELD = "MATCH (a:Account) RETURN count(a)"
SERVES_SECONDS = 300
LOCK_SECONDS = backups.LOCK_SECONDS + 30
"""Until the lock of a dead one has ended, and somebody has seen it."""


@dataclass
class Graphs:
    """The region, its backups, and a relay by which a Job may be sent to their store."""

    region: Region
    jobs: BackupJobs
    relay: Relay
    endpoint: str

    def cypher(self, query: str) -> list[bytes]:
        """Run a query as the administrator, by a port forwarded to behind the sidecar; answer its rows as sent."""
        password = base64.b64decode(self.jobs.get("secret", "neo4j-login-neo4j")["data"]["password"]).decode()
        login = {"scheme": "basic", "principal": "neo4j", "credentials": password}
        steps: list[tuple[Any, ...]] = [
            (0x01, {"user_agent": "test/1", "bolt_agent": {"product": "test/1"}}),
            (0x6A, login),
            (0x10, query, {}, {}),
        ]
        with self.region.forwarded("neo4j", "neo4j-0", 7687) as address:
            host, _, port = address.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                connection.sendall(neo4j_bolt._HANDSHAKE)
                if connection.recv(4) != neo4j_bolt._VERSION:
                    raise OSError("nobody listens behind the forwarded port")
                answers = neo4j_bolt._messages(connection)
                for step in steps:
                    connection.sendall(neo4j_bolt._message(*step))
                    neo4j_bolt._judge(next(answers))
                connection.sendall(neo4j_bolt._message(0x3F, {"n": -1}))
                rows = []
                while (answer := next(answers))[1] == 0x71:
                    rows.append(answer[3:])
                neo4j_bolt._judge(answer)
        return rows

    def pod(self) -> str:
        """The uid of the server's pod: another one when it was stopped."""
        return str(self.jobs.get("pod", "neo4j-0")["metadata"]["uid"])

    def serves(self) -> float:
        """Wait until the server runs again with all that it held; answer how many seconds that took."""
        began = time.monotonic()
        wait_until(self.holds, SERVES_SECONDS)
        return time.monotonic() - began

    def holds(self) -> bool:
        """Whether the server is asked for and answers; it must have lost nothing then."""
        if self.jobs.get("statefulset", "neo4j")["spec"].get("replicas", 0) == 0:
            return False
        try:
            (row,) = self.cypher(HELD)
        except (OSError, IndexError, ToolError):  # there is no pod, it goes, or it does not listen yet
            return False
        assert neo4j_bolt.number(row, 0)[0] == ACCOUNTS
        return True

    def unlocked(self, within: float) -> None:
        """Wait until nobody holds the lock: it was given back, or has ended."""
        place = self.jobs.place

        def free() -> bool:
            held = s3.get(place.store, place.locks, place.lock)
            return held is None or json.loads(held)["until"] < time.time()

        wait_until(free, within)


def intact(place: backups.Place, before: backups.Manifest) -> bool:
    """Whether a backup is still a good one, with the bytes of its manifest."""
    body = s3.get(place.store, place.bucket, neo4j_backup.key(before.backup)) or b""
    return before in backups.good(place) and hashlib.sha256(body).hexdigest() == before.more["sha256"]


@pytest.fixture(scope="module")
def graphs(bare: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    """A region with Neo4j alone, a graph in it, and a first backup."""
    folder = tmp_path_factory.mktemp("inventories")
    later = time.gmtime(time.time() + 43_200)
    schedule: dict[str, object] = {
        "backup_schedule": f"{later.tm_min} {later.tm_hour} * * *"
    }  # none by itself while this runs
    declare(folder, NAME, NUMBER, mesh={}, neo4j=schedule)
    region = bare.beside(NAME, folder)
    try:
        region.run("bootstrap").green()
        jobs = BackupJobs(region, "neo4j")
        relay = Relay(jobs.place.store.endpoint.removeprefix("http://"))
        with relaying(relay, NETWORK) as endpoint:
            found = Graphs(region, jobs, relay, endpoint)
            found.cypher(FILL)
            region.run("backup").green()
            yield found
    finally:
        if region.left(set()) and not os.environ.get("E2E_KEEP"):
            region.decommission().green()


@pytest.fixture
def before(graphs: Graphs) -> Iterator[backups.Manifest]:
    """The newest good backup, which is the newest good one afterwards, or another one is that was made meanwhile."""
    newest = backups.chosen(graphs.jobs.place)
    yield newest
    graphs.jobs.clean()
    graphs.serves()
    assert intact(graphs.jobs.place, newest)
    graphs.unlocked(LOCK_SECONDS)


def in_phase(graphs: Graphs, phase: str, name: str) -> tuple[str, str]:
    """Start a Job and wait until it is in a phase for longer than a moment; answer it and its pod."""
    job = graphs.jobs.start(name, arguments(endpoint=graphs.endpoint))
    if phase == "carry":
        graphs.jobs.until(job, "start")
        graphs.relay.trouble = lambda number, method: "3" if method == "PUT" else ""
    pod = graphs.jobs.until(job, phase)
    if phase == "stop":
        wait_until(lambda: graphs.jobs.get("statefulset", "neo4j")["spec"].get("replicas", 0) == 0, 60)
    graphs.relay.trouble = lambda number, method: ""
    return job, pod


@pytest.mark.parametrize("phase", PHASES)
def test_a_job_that_is_deleted_leaves_a_running_server_and_no_lock(
    graphs: Graphs, before: backups.Manifest, phase: str, say: Say
) -> None:
    began = time.time()
    job, _pod = in_phase(graphs, phase, f"deleted-in-{phase}")
    graphs.jobs.delete(job)
    graphs.unlocked(15)
    assert graphs.jobs.failed(began, 15)["error"] == "It was ended before it was complete"
    say(f"deleted in {phase}: the server answered {graphs.serves():.0f} s later")
    assert backups.chosen(graphs.jobs.place) == before


@pytest.mark.parametrize(
    ("how", "phase"), [*(("removed", phase) for phase in PHASES), ("killed", "stop"), ("killed", "dump")]
)
def test_a_pod_that_is_lost_is_replaced_by_one_that_starts_the_server_and_makes_the_backup(
    graphs: Graphs, before: backups.Manifest, how: str, phase: str, say: Say
) -> None:
    job, pod = in_phase(graphs, phase, f"{how}-in-{phase}")
    (graphs.jobs.remove if how == "removed" else graphs.jobs.kill)(pod)
    began = time.monotonic()
    served = graphs.serves()
    assert graphs.jobs.end_of(job) == "Complete"
    assert graphs.jobs.pods(job)[-1]["metadata"]["name"] != pod
    assert backups.chosen(graphs.jobs.place).made > before.made
    assert backups.last_attempt(graphs.jobs.place)["ok"] is True
    complete = time.monotonic() - began
    say(f"{how} in {phase}: the server answered {served:.0f} s later, the backup complete after {complete:.0f} s")


def test_one_that_is_killed_with_nobody_in_its_place_is_a_failed_attempt(
    graphs: Graphs, before: backups.Manifest
) -> None:
    began = time.time()
    job, pod = in_phase(graphs, "carry", "killed-alone")
    graphs.jobs.delete(job, "--cascade=orphan")
    graphs.jobs.kill(pod)
    graphs.jobs.kubectl("delete", "pod", pod)
    told = graphs.jobs.failed(began, LOCK_SECONDS)
    assert (told["error"], backups.chosen(graphs.jobs.place)) == (backups.KILLED, before)


def test_a_run_whose_job_is_deleted_says_so_at_once(graphs: Graphs, before: backups.Manifest) -> None:
    there = graphs.jobs.all()
    started = graphs.region.start("backup")
    started.until(lambda: bool(graphs.jobs.all() - there))
    (job,) = graphs.jobs.all() - there
    graphs.jobs.until(job, "dump")
    graphs.jobs.delete(job)
    deleted = time.monotonic()
    run = started.wait()
    assert run.rc != 0
    assert "it was deleted before it was done" in " ".join(run.stdout.split())
    assert time.monotonic() - deleted < 60
    graphs.serves()
    assert backups.chosen(graphs.jobs.place) == before


def test_of_two_at_once_the_second_is_refused(graphs: Graphs, before: backups.Manifest) -> None:
    first, _pod = in_phase(graphs, "carry", "first")
    graphs.relay.trouble = lambda number, method: "10" if method == "PUT" else ""
    server = graphs.pod()
    second = graphs.jobs.start("second")
    assert graphs.jobs.end_of(second) == "Failed"
    assert "of neo4j is going on; wait until it has ended" in graphs.jobs.error(second)
    graphs.relay.trouble = lambda number, method: ""
    assert graphs.jobs.end_of(first) == "Complete"
    assert graphs.pod() == server
    assert backups.chosen(graphs.jobs.place).made > before.made
    assert backups.last_attempt(graphs.jobs.place)["ok"] is True


WRONG = {
    "password": ("neo4j", "Neo4j refuses the password of user 'neo4j'"),
    "access_key": ("store", "does not know our keys: it answers 404 XAdminUserNotFound"),
    "secret_key": ("store", "does not know our keys: it answers 403 SignatureDoesNotMatch"),
}


@pytest.mark.parametrize("which", WRONG)
def test_a_wrong_password_or_key_is_told_before_the_server_stops(
    graphs: Graphs, before: backups.Manifest, which: str
) -> None:
    folder, why = WRONG[which]
    access, secret = graphs.jobs.keys
    right = {"password": "", "access_key": access, "secret_key": secret}
    values = {name: value for name, value in right.items() if (name == "password") == (folder == "neo4j")}
    wrong = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}}
    graphs.jobs.kubectl("apply", "--filename", "-", text=json.dumps({**wrong, "stringData": {**values, which: CANARY}}))
    began, server = time.time(), graphs.pod()
    job = graphs.jobs.start(f"wrong-{which}", other_secret(folder, "wrong"))
    assert graphs.jobs.end_of(job) == "Failed"
    assert why in graphs.jobs.error(job)
    assert (graphs.pod(), backups.chosen(graphs.jobs.place)) == (server, before)
    if folder == "neo4j":  # a wrong key can write nothing down; whose key is wrong cannot be reached, says the probe
        assert why in graphs.jobs.failed(began, 5)["error"]


def test_a_store_that_answers_500_now_and_then_costs_nothing(graphs: Graphs, before: backups.Manifest) -> None:
    with graphs.relay.troubled(lambda number, method: "500" if number % 4 == 0 else ""):
        job = graphs.jobs.start("now-and-then", arguments(endpoint=graphs.endpoint))
        assert graphs.jobs.end_of(job) == "Complete"
        assert graphs.relay.failed > 3
    made = backups.chosen(graphs.jobs.place)
    assert made.made > before.made
    assert intact(graphs.jobs.place, made)


def test_a_store_that_only_answers_500_is_an_error_and_a_failed_attempt(
    graphs: Graphs, before: backups.Manifest
) -> None:
    began = time.time()
    job, _pod = in_phase(graphs, "carry", "always")
    graphs.relay.trouble = lambda number, method: "500"
    try:
        assert graphs.jobs.end_of(job) == "Failed"
    finally:
        graphs.relay.trouble = lambda number, method: ""
    assert "the backup store answers 500" in graphs.jobs.error(job)
    graphs.jobs.failed(began, LOCK_SECONDS)
    assert backups.chosen(graphs.jobs.place) == before


def test_a_full_store_keeps_what_was_good_and_says_that_it_is_full(graphs: Graphs, before: backups.Manifest) -> None:
    """In a store of four megabytes beside the region's, which has the same keys."""
    name = f"{graphs.region.cluster}-small-{secrets.token_hex(3)}"
    image = local(graphs.region, next(ref for ref in graphs.region.lab["images"] if "versitygw" in ref))
    port = start_store(name, NETWORK, image, "--tmpfs", "/data:mode=1777,size=4m", keys=graphs.jobs.keys)
    stored = BackupJobs(graphs.region, "neo4j", f"127.0.0.1:{port}")
    there = arguments(endpoint=f"http://{name}:7070")
    try:
        assert stored.end_of(stored.start("with-room", there)) == "Complete"
        good = backups.chosen(stored.place)
        fill_up(stored.place)
        began = time.time()
        job = stored.start("without-room", there)
        assert stored.end_of(job) == "Failed"
        assert "cannot be stored: the backup store answers 507" in stored.error(job)
        stored.failed(began, LOCK_SECONDS)
        assert backups.chosen(stored.place) == good
        assert intact(stored.place, good)
    finally:
        stored.clean()
        docker("rm", "--force", "--volumes", name)


def fill_up(place: backups.Place) -> None:
    """Store ballast until there is room for little things only."""
    piece = 1 << 20
    number = 0
    while piece > 1 << 14:
        try:
            s3.put(place.store, place.bucket, f"ballast/{number}", bytes(piece))
            number += 1
        except ToolError:
            piece >>= 1
    s3.delete(place.store, place.bucket, f"ballast/{number - 1}")


FULL = {
    "job": ("48Ki", "The server's database could not be dumped"),
    "scratch": ("128Ki", "The dump could not be loaded into an empty database"),
}


@pytest.mark.parametrize("folder", FULL)
def test_a_full_disk_of_the_job_is_told_and_the_server_runs(
    graphs: Graphs, before: backups.Manifest, folder: str
) -> None:
    size, why = FULL[folder]
    began = time.time()
    job = graphs.jobs.start(f"full-{folder}", small(folder, size))
    assert graphs.jobs.end_of(job) == "Failed"
    error = graphs.jobs.error(job)
    assert why in error
    assert "No space left on device" in error
    assert error[:100] in graphs.jobs.failed(began, 5)["error"]
    assert backups.chosen(graphs.jobs.place) == before


def test_afterwards_a_backup_is_made_and_restored(graphs: Graphs, before: backups.Manifest) -> None:
    graphs.region.run("backup").green()
    assert backups.gauges(graphs.jobs.place)["kontrol_backup_last_attempt_failed"] == 0.0
    graphs.cypher("MATCH (a:Account) WHERE a.id <= 100 DETACH DELETE a")
    graphs.region.run("restore", "-e", f"confirm={NAME}").green()
    graphs.serves()
    graphs.region.run("verify").green()
