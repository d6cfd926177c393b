"""The parts of the backup store on a real S3 server: the pinned versitygw in a container, no cluster."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import run_history
from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import (
    KEPT,
    BackupBucket,
    BackupBucketError,
    kept,
)
from images.tools.kontrol_tools import backup_watch, backups, s3, second_store
from images.tools.kontrol_tools.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab
IMAGE = "docker.io/versity/versitygw:"
KEYS = ("access", "CANARY-secret-key")
DAY = 86_400.0
SERVER = ("--port", ":7070", "posix", "--versioning-dir", "/versions", "/data")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def serving(lab_facts: Path, *server: str) -> Iterator[str]:
    """Run a server of its own, nothing of it on disk, while the block runs."""
    lab = json.loads(lab_facts.read_text(encoding="utf-8"))
    (pinned,) = (name for name in lab["images"] if name.startswith(IMAGE))
    name = f"kontrol-test-{uuid.uuid4().hex[:8]}"
    keys = ("--env", f"ROOT_ACCESS_KEY={KEYS[0]}", "--env", f"ROOT_SECRET_KEY={KEYS[1]}")
    space = ("--tmpfs", "/data", "--tmpfs", "/versions", "--publish", "127.0.0.1::7070")
    image = f"{lab['registry']}/{pinned.removeprefix('docker.io/')}"
    docker("run", "--detach", "--rm", "--name", name, *space, *keys, image, *server)
    try:
        address = f"http://{docker('port', name, '7070/tcp').splitlines()[0]}"
        wait_answering(address)
        yield address
    finally:
        docker("rm", "--force", name)


@pytest.fixture(scope="module")
def endpoint(lab_facts: Path) -> Iterator[str]:
    """The server of the first store."""
    with serving(lab_facts, *SERVER) as address:
        yield address


@pytest.fixture(scope="module")
def elsewhere(lab_facts: Path) -> Iterator[str]:
    """The server of a second store, which keeps no versions."""
    with serving(lab_facts, *SERVER[:3], SERVER[-1]) as address:
        yield address


def wait_answering(address: str) -> None:
    for _ in range(100):
        try:
            s3.keeps_versions(s3.Store(address, "us-east-1", *KEYS), "none")
        except ToolError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{address} does not answer")


@pytest.fixture
def bucket(endpoint: str) -> BackupBucket:
    made = BackupBucket(endpoint, f"b{uuid.uuid4().hex[:12]}", *KEYS)
    assert made.ensure() == "create"
    return made


@pytest.fixture
def place(endpoint: str, bucket: BackupBucket) -> backups.Place:
    return backups.Place(s3.Store(endpoint, "us-east-1", *KEYS), bucket.name, "shop", 7)


def store(place: backups.Place, name: str, age_days: float) -> None:
    s3.put(place.store, place.bucket, place.key("data", name, "a b&é"), b"data")
    made = time.time() - age_days * DAY
    backups.publish(place, backups.Manifest(name, "", made - 10, made, 4, 1, {}, {"orders": {"rows": 1}}))


def test_the_bucket_keeps_versions_once_it_was_made_so(endpoint: str, bucket: BackupBucket) -> None:
    assert (bucket.verdict(), bucket.ensure(), kept(bucket)) == ("none", "none", KEPT)
    without = BackupBucket(endpoint, f"b{uuid.uuid4().hex[:12]}", *KEYS)
    assert "is not there" in kept(without)
    s3.ensure_bucket(s3.Store(endpoint, "us-east-1", *KEYS), without.name)
    assert "keeps no versions" in kept(without)
    assert (without.ensure(), without.verdict()) == ("update", "none")


@pytest.mark.parametrize("keys", [(KEYS[0], "CANARY-wrong"), ("CANARY-wrong", KEYS[1])])
def test_a_wrong_key_is_told_without_it(endpoint: str, bucket: BackupBucket, keys: tuple[str, str]) -> None:
    """An unknown access key is answered by 404: what is asked so must not look empty."""
    with pytest.raises(BackupBucketError, match="does not know our keys") as error:
        BackupBucket(endpoint, bucket.name, *keys).verdict()
    assert "CANARY" not in str(error.value)
    with pytest.raises(ToolError, match="does not know our keys"):
        backups.gauges(backups.Place(s3.Store(endpoint, "us-east-1", *keys), bucket.name, "shop"))


def test_what_was_deleted_stays_recoverable_and_then_goes_for_good(place: backups.Place) -> None:
    for name, age in (("a", 3), ("b", 2), ("c", 1)):
        store(place, name, age)
    assert backups.expire(place, 1, time.time()) == ["b", "a"]
    key = place.key("data", "a", "a b&é")
    deleted = [one for one in s3.versions(place.store, place.bucket, key) if not one.marker]
    assert len(deleted) == 1
    assert backups.purge(place, time.time() + 6 * DAY) == 0, "not yet"
    assert backups.purge(place, time.time() + 8 * DAY) == 8, "data and manifest of two, and their markers"
    left = s3.versions(place.store, place.bucket, "")
    assert [(one.latest, one.marker) for one in left] == [(True, False)] * 2
    assert [one.backup for one in backups.good(place)] == ["c"]


def test_a_deleted_backup_is_brought_back_by_taking_the_markers_away(place: backups.Place) -> None:
    store(place, "a", 1)
    for key in (place.key("manifests", "a.json"), place.key("data", "a", "a b&é")):
        s3.delete(place.store, place.bucket, key)
    assert backups.good(place) == []
    for one in s3.versions(place.store, place.bucket, place.key()):
        if one.marker:
            s3.delete_version(place.store, place.bucket, one.key, one.version)
    assert [one.backup for one in backups.good(place)] == ["a"]


def test_only_the_component_and_only_what_is_not_current_is_purged(place: backups.Place) -> None:
    for body in (b"1", b"2", b"3"):
        s3.put(place.store, place.bucket, "shop/attempts/last.json", body)
        s3.put(place.store, place.bucket, "shop2/attempts/last.json", body)
    assert backups.purge(place, time.time() + 8 * DAY) == 2
    assert place.read("attempts", "last.json") == b"3"
    assert len(s3.versions(place.store, place.bucket, "shop2/")) == 3


def test_the_exporter_sees_what_is_there(place: backups.Place, tmp_path: Path) -> None:
    store(place, "a", 2)
    store(place, "b", 1)
    step = {"endpoint": place.store.endpoint, "bucket": place.bucket, "component": "shop", "rpo_seconds": 93600}
    for name, key in zip(("access", "secret"), KEYS, strict=True):
        (tmp_path / name).write_text(key, encoding="utf-8")
        step[f"{name}_key_file"] = str(tmp_path / name)
    watch = backup_watch.Watch(step)
    watch.look()
    told = watch.gauges()
    assert (told["kontrol_backup_store_reachable"], told["kontrol_backup_good"]) == (1.0, 2.0)
    assert time.time() - told["kontrol_backup_newest_good_timestamp_seconds"] == pytest.approx(DAY + 10, abs=60)
    (tmp_path / "secret").write_text("CANARY-wrong", encoding="utf-8")
    watch.look()
    assert watch.gauges() == {**told, "kontrol_backup_store_reachable": 0.0}


def test_backups_are_copied_to_a_second_server_and_expire_there(
    place: backups.Place, elsewhere: str, tmp_path: Path
) -> None:
    second: dict[str, str] = {"endpoint": elsewhere, "bucket": f"c{uuid.uuid4().hex[:12]}"}
    for name, key in zip(("access", "secret"), KEYS, strict=True):
        (tmp_path / name).write_text(key, encoding="utf-8")
        second[f"{name}_key_file"] = str(tmp_path / name)
    step = {"second": second, "scratch": str(tmp_path), "keep": 2}
    there = backups.Place(s3.Store(elsewhere, "us-east-1", *KEYS), second["bucket"], "shop")
    store(place, "a", 3)
    assert not s3.has_bucket(there.store, there.bucket)
    assert second_store.copy(step, place, "a") == second_store.Outcome(["a"])
    assert s3.has_bucket(there.store, there.bucket)
    store(place, "b", 2)
    (tmp_path / "secret").write_text("CANARY-wrong", encoding="utf-8")
    problem = second_store.copy(step, place, "b").problem
    assert f"not in the second store: Backup store '{elsewhere}' does not know our keys" in problem
    assert "CANARY" not in problem
    (tmp_path / "secret").write_text(KEYS[1], encoding="utf-8")
    store(place, "c", 1)
    assert second_store.copy(step, place, "c") == second_store.Outcome(["c", "b"])
    assert backups.good(there) == backups.good(place)[:2]
    key = there.key("data", "c", "a b&é")
    assert s3.get(there.store, there.bucket, key) == b"data"
    assert s3.keys(there.store, f"{there.bucket}-locks", "") == []


def test_locks_are_kept_in_a_bucket_without_versions(place: backups.Place) -> None:
    for who in ("first", "second"):
        with backups.held(place, who):
            assert s3.keeps_versions(place.store, place.locks) is False
    assert s3.versions(place.store, place.locks, "") == []


def test_the_history_of_runs_is_copied(bucket: BackupBucket, tmp_path: Path) -> None:
    folder = tmp_path / "20261125T030000Z-aaaa"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "report.html").write_text("<p>ü", encoding="utf-8")
    assert [run_history.copy(tmp_path, bucket, "r") for _ in range(2)] == [2, 0]
    assert bucket.sizes("runs/r/") == {
        "runs/r/20261125T030000Z-aaaa/journal.jsonl": 3,
        "runs/r/20261125T030000Z-aaaa/report.html": 5,
    }
