"""What the exporter tells of backups: as seen last, and whether the store can be seen at all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import backup_watch, backups, exporter, s3
from tests.tools.bucket import Bucket, serving
from tests.tools.test_exporter import Scripted, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REACHABLE = "kontrol_backup_store_reachable"
NEWEST = "kontrol_backup_newest_good_timestamp_seconds"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


@pytest.fixture
def step(bucket: Bucket, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "key").write_text("CANARY-key\n", encoding="utf-8")
    keys = {name: str(tmp_path / "key") for name in ("access_key_file", "secret_key_file")}
    return {"endpoint": bucket.endpoint, "bucket": "b", "component": "shop", "rpo_seconds": 90000, **keys}


def store(bucket: Bucket, name: str, made: float, base: str = "", body: bytes = b"data") -> None:
    place = backups.Place(s3.Store(bucket.endpoint, "us-east-1", "key", "key"), "b", "shop")
    s3.put(place.store, "b", place.key("data", name, "file"), body)
    backups.publish(place, backups.Manifest(name, base, made - 10, made, len(body), 1, {}, {"orders": {"rows": 1}}))


def test_full_backups_are_compared_with_full_ones(bucket: Bucket, step: dict[str, Any]) -> None:
    store(bucket, "a", 1000.0, body=b"a full one")
    store(bucket, "b", 2000.0, body=b"a larger full one")
    store(bucket, "c", 3000.0, base="b", body=b"more")
    watch = backup_watch.Watch(step)
    watch.look()
    told = watch.gauges()
    assert (told["kontrol_backup_newest_full_bytes"], told["kontrol_backup_previous_full_bytes"]) == (17.0, 10.0)
    assert (told[NEWEST], told[REACHABLE], told["kontrol_backup_rpo_target_seconds"]) == (2990.0, 1.0, 90000.0)


def test_what_was_seen_last_stays_while_the_store_does_not_answer(
    bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())
    store(bucket, "a", 1000.0)
    watch = backup_watch.Watch(step)
    watch.look()
    bucket.broken = 2
    for _ in range(2):
        watch.look()
        assert (watch.gauges()[REACHABLE], watch.gauges()[NEWEST]) == (0.0, 990.0)
    watch.look()
    assert watch.gauges()[REACHABLE] == 1.0
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["backups"] * 2, "one line when it changes"
    assert "500" in told[0]
    assert "CANARY" not in "".join(told)


def test_a_store_that_takes_nothing_more_counts_as_one_that_cannot_be_reached(
    bucket: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", (1e9,))  # a full disk is not asked again
    store(bucket, "a", 1000.0)
    watch = backup_watch.Watch(step)
    bucket.full = True
    watch.look()
    assert (watch.gauges()[REACHABLE], watch.gauges()[NEWEST]) == (0.0, 990.0)
    assert "'shop-written' cannot be stored: the backup store answers 507" in capsys.readouterr().err
    bucket.full = False
    watch.look()
    assert watch.gauges()[REACHABLE] == 1.0


def test_a_store_of_another_region_is_not_written_to(bucket: Bucket, step: dict[str, Any]) -> None:
    watch = backup_watch.Watch(step | {"foreign": True})
    watch.look()
    assert (watch.gauges()[REACHABLE], bucket.objects) == (1.0, {})


def test_a_store_that_was_never_seen_tells_no_age(step: dict[str, Any], tmp_path: Path) -> None:
    watch = backup_watch.Watch(step | {"access_key_file": str(tmp_path / "missing")})
    watch.look()
    assert watch.gauges() == {REACHABLE: 0.0, "kontrol_backup_rpo_target_seconds": 90000.0}


def test_a_look_that_hangs_makes_the_store_one_that_does_not_answer(bucket: Bucket, step: dict[str, Any]) -> None:
    now = [0.0]
    watch = backup_watch.Watch(step, lambda: now[0])
    watch.look()
    now[0] = backup_watch.STALE_SECONDS - 1
    assert watch.gauges()[REACHABLE] == 1.0
    now[0] = backup_watch.STALE_SECONDS
    assert watch.gauges()[REACHABLE] == 0.0


SECOND_REACHABLE = "kontrol_backup_second_store_reachable"
SECOND_NEWEST = "kontrol_backup_second_store_newest_good_timestamp_seconds"


def test_the_copies_in_a_second_store_are_told_beside_those_of_the_first(
    step: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())
    with serving(Bucket()) as there:
        keys = {name: step[name] for name in ("access_key_file", "secret_key_file")}
        watch = backup_watch.SecondWatch(step | {"second": {"endpoint": there.endpoint, "bucket": "b", **keys}})
        watch.look()
        assert watch.gauges() == {SECOND_REACHABLE: 1.0, SECOND_NEWEST: 0.0}
        store(there, "a", 1000.0)
        before = dict(there.objects)
        watch.look()
        assert watch.gauges() == {SECOND_REACHABLE: 1.0, SECOND_NEWEST: 990.0}
        assert there.objects == before, "it is only read"
        there.broken = 1
        watch.look()
        assert watch.gauges() == {SECOND_REACHABLE: 0.0, SECOND_NEWEST: 990.0}
    told = capsys.readouterr().err
    assert told.startswith("second store: ")
    assert "CANARY" not in told


def test_only_a_store_that_is_declared_is_told(bucket: Bucket, step: dict[str, Any]) -> None:
    with serving(Bucket()) as there:
        keys = {name: step[name] for name in ("access_key_file", "secret_key_file")}
        gauges = backup_watch.start(step | {"second": {"endpoint": there.endpoint, "bucket": "b", **keys}})
        for _ in range(100):
            if gauges().get(SECOND_NEWEST) == 0.0 and gauges().get("kontrol_backup_good") == 0.0:
                break
            time.sleep(0.05)
        assert (gauges()[SECOND_REACHABLE], gauges()[REACHABLE]) == (1.0, 1.0)
    none = backup_watch.start(step | {"second": {}})()
    assert [str(none[name]) for name in (SECOND_REACHABLE, SECOND_NEWEST)] == ["nan", "nan"], "told, and never an alert"


def test_the_end_of_an_attempt_that_nobody_can_read_is_no_success(bucket: Bucket, step: dict[str, Any]) -> None:
    watch = backup_watch.Watch(step)
    for text, failed in ((b"{", 1.0), (b"[]", 1.0), (b'{"ok": true}', 0.0)):
        bucket.objects["/b/shop/attempts/last.json"] = text
        watch.look()
        assert watch.gauges()["kontrol_backup_last_attempt_failed"] == failed


def test_the_exporter_tells_both_and_tries_on_while_the_store_hangs(bucket: Bucket, step: dict[str, Any]) -> None:
    """The lock of the server's answers is held by the test: a look that has begun does not end."""
    held, entered = threading.Event(), threading.Event()

    class Hanging(dict[str, bytes]):
        def items(self) -> Any:
            entered.set()
            held.wait(10)
            return super().items()

    bucket.objects = Hanging()
    gauges = backup_watch.start(step)
    assert entered.wait(5)
    loop = exporter.Loop(Scripted(), more=gauges)
    started = time.monotonic()
    loop.round()
    assert time.monotonic() - started < 1
    found = values(loop)
    assert found['kontrol_probe_success{database="some",operation="query"}'] == 1
    assert found[f'{REACHABLE}{{database="some"}}'] == 0
    held.set()
    for _ in range(100):
        if values(loop)[f'{REACHABLE}{{database="some"}}'] == 1:
            break
        time.sleep(0.05)
    assert values(loop)['kontrol_backup_good{database="some"}'] == 0
