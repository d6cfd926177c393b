"""What counts as a backup, what is deleted, and who may write: against a small S3 server that remembers."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from images.tools.kontrol_tools import backups, s3
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from tests.tools.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


@pytest.fixture
def place(bucket: Bucket) -> backups.Place:
    return backups.Place(s3.Store(bucket.endpoint, "us-east-1", "key", "CANARY-secret"), "kontrol", "shop")


def manifest(name: str, age_days: float = 0.0, base: str = "", body: bytes = b"data") -> backups.Manifest:
    made = NOW - age_days * DAY
    return backups.Manifest(name, base, made - 10, made, len(body), 1, {"schema": "3"}, {"orders": {"rows": 1}})


def store(place: backups.Place, name: str, age_days: float = 0.0, base: str = "") -> None:
    s3.put(place.store, place.bucket, place.key("data", name, "file"), b"data")
    backups.publish(place, manifest(name, age_days, base))


def names(place: backups.Place) -> list[str]:
    return [one.backup for one in backups.good(place)]


def test_a_backup_counts_once_its_manifest_is_there(place: backups.Place) -> None:
    s3.put(place.store, place.bucket, place.key("data", "b1", "file"), b"data")
    (half,) = backups.found(place)
    assert "no manifest" in half.problem
    with pytest.raises(ToolError, match=r"no good backup of shop .'b1': it has no manifest"):
        backups.chosen(place)
    backups.publish(place, manifest("b1"))
    assert backups.chosen(place).versions == {"schema": "3"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "1 objects, 0 bytes"),
        (b"dat", "1 objects, 3 bytes"),
        (None, "0 objects, 0 bytes"),
    ],
)
def test_data_that_is_not_as_the_manifest_says_is_no_backup(
    place: backups.Place, bucket: Bucket, body: bytes | None, why: str
) -> None:
    store(place, "b1", 2)
    store(place, "b2", 1)
    key = "/kontrol/shop/data/b2/file"
    if body is None:
        del bucket.objects[key]
    else:
        bucket.objects[key] = body
    assert names(place) == ["b1"]
    assert backups.chosen(place).backup == "b1"
    with pytest.raises(ToolError, match=f"no good backup 'b2' of shop .*{why}"):
        backups.chosen(place, "b2")


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"{}",
        json.dumps({**asdict(manifest("other"))}).encode(),
        json.dumps({**asdict(manifest("b1")), "proof": {}}).encode(),
        json.dumps({**asdict(manifest("b1")), "started": NOW + 1}).encode(),
    ],
)
def test_a_manifest_that_tells_nothing_is_none(place: backups.Place, bucket: Bucket, text: bytes) -> None:
    store(place, "b1")
    bucket.objects["/kontrol/shop/manifests/b1.json"] = text
    assert names(place) == []


def test_what_builds_on_a_damaged_backup_is_damaged(place: backups.Place, bucket: Bucket) -> None:
    store(place, "full", 3)
    store(place, "more", 2, base="full")
    store(place, "most", 1, base="more")
    bucket.objects["/kontrol/shop/data/full/file"] = b""
    assert names(place) == []
    (newest, *_) = backups.found(place)
    assert newest.problem.startswith("it builds on 'full', but the store holds")


def test_the_newest_good_ones_are_kept_with_what_they_build_on(place: backups.Place, bucket: Bucket) -> None:
    for name, age, base in (("a", 5, ""), ("b", 4, ""), ("c", 3, "b"), ("d", 2, "c"), ("e", 1, "")):
        store(place, name, age, base)
    bucket.objects["/kontrol/shop/data/e/file"] = b""  # damaged: it is no reason to delete a good one
    assert backups.expire(place, 1, NOW) == ["a"]
    assert names(place) == ["d", "c", "b"]
    assert backups.expire(place, 1, NOW) == []


def test_nothing_is_deleted_where_nothing_is_good(place: backups.Place, bucket: Bucket) -> None:
    store(place, "a", 9)
    bucket.objects["/kontrol/shop/data/a/file"] = b""
    before = dict(bucket.objects)
    assert backups.expire(place, 1, NOW) == []
    assert bucket.objects == before


def test_what_a_dead_backup_has_left_goes_after_a_day(place: backups.Place, bucket: Bucket) -> None:
    old, young, nameless = (backups.new_identity(NOW - age * DAY) for age in (2, 0.5, 3))
    for name in (old, young, "nobody-knows"):
        s3.put(place.store, place.bucket, place.key("data", name, "file"), b"data")
    store(place, nameless, 0)
    assert backups.expire(place, 5, NOW) == [old]


def test_zero_keeps_one(place: backups.Place) -> None:
    store(place, "a", 2)
    store(place, "b", 1)
    assert backups.expire(place, 0, NOW) == ["a"]


def test_one_object_by_itself_is_data_too(place: backups.Place) -> None:
    s3.put(place.store, place.bucket, place.key("data", "g1.dump"), b"data")
    s3.put(place.store, place.bucket, place.key("data", "g10.dump"), b"more data")
    assert backups.own_objects(place, "g1") == (1, 4)
    backups.publish(place, manifest("g1"))
    assert names(place) == ["g1"]


def test_two_at_once_is_one_too_many(place: backups.Place) -> None:
    with backups.held(place, "first"):
        with pytest.raises(ToolError, match=r"'first' of shop is going on.*ends by itself in (89|90) s"):
            backups.take(place, "second")
        backups.take(place, "first", 60)  # its next step
    backups.take(place, "second")


def test_the_lock_of_a_dead_one_is_taken_over(place: backups.Place) -> None:
    backups.take(place, "dead", 0.01)
    time.sleep(0.05)
    backups.take(place, "second")
    backups.release(place, "dead")  # too late: it is not its any more
    with pytest.raises(ToolError, match="'second' of shop is going on"):
        backups.take(place, "third")


def test_a_store_that_fails_now_and_then_is_asked_again(
    place: backups.Place, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", (0.0, 0.0))
    bucket.broken = 2
    store(place, "a")
    assert names(place) == ["a"]
    bucket.broken = 3
    with pytest.raises(ToolError, match="the backup store answers 500"):
        backups.good(place)


def test_how_an_attempt_ended_is_told_to_the_alert(place: backups.Place) -> None:
    with pytest.raises(ToolError, match="disk full"), backups.attempt(place, "b1"):
        raise ToolError("disk full")
    assert backups.gauges(place)["kontrol_backup_last_attempt_failed"] == 1.0
    with backups.attempt(place, "b2"):
        store(place, "b2")
    told = backups.gauges(place)
    assert (told["kontrol_backup_last_attempt_failed"], told["kontrol_backup_good"]) == (0.0, 1.0)
    assert told["kontrol_backup_newest_good_timestamp_seconds"] == manifest("b2").started


def failed(place: backups.Place) -> bool:
    return backups.gauges(place)["kontrol_backup_last_attempt_failed"] == 1.0


def test_an_attempt_that_was_killed_has_failed_once_its_lock_has_ended(place: backups.Place) -> None:
    backups.take(place, "dead", 0.3)
    backups.begin(place, "dead")
    assert not failed(place), "its lock is held: it goes on"
    time.sleep(0.4)
    assert failed(place)
    assert backups.last_attempt(place)["backup"] == "dead"
    with backups.attempt(place, "after"):
        assert failed(place), "the one before has failed, and this one has not ended"
        assert "began and never ended" in backups.last_attempt(place)["error"]
    assert not failed(place)


def test_what_ends_in_another_way_than_an_error_of_ours_has_failed(place: backups.Place) -> None:
    with pytest.raises(ZeroDivisionError), backups.attempt(place, "b1"):
        raise ZeroDivisionError
    assert failed(place)


def test_a_store_that_fails_from_then_on_does_not_hide_why(
    place: backups.Place, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())

    def work() -> None:
        bucket.broken = 9
        raise ToolError("disk full")

    with pytest.raises(ToolError, match="disk full"), backups.attempt(place, "b1"):
        work()
    bucket.broken = 0
    assert not failed(place), "its lock could not be given back"
    backups.release(place, "b1")
    assert failed(place)


def test_an_attempt_that_another_one_has_pushed_aside_has_failed(place: backups.Place) -> None:
    backups.take(place, "dead", 0.01)
    backups.begin(place, "dead")
    time.sleep(0.05)
    with backups.held(place, "a restore"):
        assert failed(place)
    assert failed(place)


@pytest.mark.parametrize("text", [b"{", b"[1]", b'{"at": "x"}', b'{"at": []}'])
def test_a_beginning_that_nobody_can_read_counts_as_failed_until_the_next(
    place: backups.Place, bucket: Bucket, text: bytes
) -> None:
    place.ensure()
    bucket.objects["/kontrol/shop/attempts/begun.json"] = text
    assert failed(place)
    with backups.attempt(place, "b1"):
        pass
    assert not failed(place)


def test_the_lock_of_a_dead_one_is_waited_for_and_a_living_one_refuses_at_once(place: backups.Place) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        time.sleep(0.2)

    backups.take(place, "dead", 0.3)
    backups.take_over(place, "second", 0.3, sleep=wait)
    assert waited
    waited.clear()
    with pytest.raises(backups.LockedError, match="'second' of shop is going on"):
        backups.take_over(place, "third", sleep=lambda _: backups.renew(place, "second"))
    backups.renew(place, "second", 900)
    with pytest.raises(backups.LockedError, match=r"ends by itself in (899|900) s"):
        backups.take_over(place, "third", sleep=wait)
    assert waited == []


def test_a_lock_is_not_waited_for_for_ever(place: backups.Place) -> None:
    now = [0.0]
    backups.take(place, "dead", 80)
    with pytest.raises(backups.LockedError):
        backups.take_over(place, "second", clock=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    assert now[0] > backups.LOCK_SECONDS


def test_a_list_tells_what_is_wrong(
    place: backups.Place, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store(place, "a", 1)
    store(place, "b")
    bucket.objects["/kontrol/shop/data/b/file"] = b""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key").write_text("key")
    step = {
        "component": "shop",
        "endpoint": place.store.endpoint,
        "bucket": "kontrol",
        "access_key_file": str(folder / "key"),
        "secret_key_file": str(folder / "key"),
    }
    told = backups.listed(step)
    assert told["newest"] == "a"
    assert [(one["id"], bool(one["problem"]), one["seconds"]) for one in told["backups"]] == [
        ("b", True, 10.0),
        ("a", False, 10.0),
    ]


@pytest.mark.parametrize("name", ["../x", "a b", "-a", "a/b"])
def test_a_name_that_would_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="'id' must be letters, digits and dashes"):
        backups.identity({"id": name})


def test_a_manifest_is_told_as_it_was(place: backups.Place) -> None:
    whole = replace(manifest("b1"), more={"watermark": {"orders": 5}})
    s3.put(place.store, place.bucket, place.key("data", "b1", "file"), b"data")
    assert backups.publish(place, whole) == whole
