"""Copies in a second store: whole or not offered, made up for later, and never at the cost of the first store."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import backups, s3, second_store
from images.tools.kontrol_tools.errors import ToolError
from tests.tools.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
NOW = time.time()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())


@pytest.fixture
def here() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


@pytest.fixture
def there() -> Iterator[Bucket]:
    with serving(Bucket()) as one:
        yield one


def place(bucket: Bucket, name: str) -> backups.Place:
    return backups.Place(s3.Store(bucket.endpoint, "us-east-1", "key", "CANARY-key"), name, "shop")


@pytest.fixture
def first(here: Bucket) -> backups.Place:
    return place(here, "own")


@pytest.fixture
def second(there: Bucket) -> backups.Place:
    return place(there, "copies")


@pytest.fixture
def step(there: Bucket, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "key").write_text("CANARY-key\n", encoding="utf-8")
    keys = {name: str(tmp_path / "key") for name in ("access_key_file", "secret_key_file")}
    (tmp_path / "scratch").mkdir()
    where = {"endpoint": there.endpoint, "bucket": "copies", **keys}
    return {"second": where, "keep": 3, "scratch": str(tmp_path / "scratch")}


def store(where: backups.Place, name: str, age_days: float = 0.0, base: str = "", **more: Any) -> backups.Manifest:
    """Store a backup of two objects."""
    for number in range(2):
        s3.put(where.store, where.bucket, where.key("data", name, f"a b/{number}"), f"{name}{number}".encode())
    made = NOW - age_days * DAY
    size = 2 * len(f"{name}0")
    told = backups.Manifest(name, base, made - 10, made, size, 2, {"schema": "3"}, {"orders": {"rows": 1}}, more)
    return backups.publish(where, told)


def names(where: backups.Place) -> list[str]:
    return [one.backup for one in backups.good(where)]


def objects(bucket: Bucket) -> dict[str, bytes]:
    """What is stored, without the name of the bucket."""
    return {path.partition("/")[2].partition("/")[2]: body for path, body in bucket.objects.items()}


def test_a_backup_comes_with_those_that_it_builds_on_and_is_the_same(
    first: backups.Place, second: backups.Place, here: Bucket, there: Bucket, step: dict[str, Any], tmp_path: Path
) -> None:
    for name, age, base in (("full", 3, ""), ("more", 2, "full"), ("most", 1, "more")):
        store(first, name, age, base)
    assert second_store.copy(step, first, "most") == second_store.Outcome(["full", "more", "most"])
    assert backups.good(second) == backups.good(first)
    assert objects(here) == objects(there)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_without_a_second_store_nothing_is_done(first: backups.Place, there: Bucket) -> None:
    store(first, "a")
    steps: tuple[dict[str, Any], ...] = ({}, {"second": {}})
    for step in steps:
        assert second_store.copy(step, first, "a") == second_store.Outcome()
    assert there.objects == {}


def test_a_second_store_that_is_down_is_told_and_made_up_for(
    first: backups.Place, second: backups.Place, there: Bucket, step: dict[str, Any]
) -> None:
    store(first, "a", 3)
    assert second_store.copy(step, first, "a").problem == ""
    for name, age in (("b", 2), ("c", 1)):
        store(first, name, age)
        there.broken = 1
        outcome = second_store.copy(step, first, name)
        assert outcome.copied == []
        assert outcome.problem.startswith("not in the second store: ")
        assert "500" in outcome.problem
    assert names(second) == ["a"]
    store(first, "d", 0)
    assert second_store.copy(step, first, "d") == second_store.Outcome(["d", "c", "b"])
    assert names(second) == ["d", "c", "b"], "as many as are kept"


def test_an_address_where_nobody_listens_is_told(first: backups.Place, step: dict[str, Any], unused_port: int) -> None:
    store(first, "a")
    step["second"]["endpoint"] = f"http://127.0.0.1:{unused_port}"
    problem = second_store.copy(step, first, "a").problem
    assert f"not in the second store: Backup store 'http://127.0.0.1:{unused_port}' does not answer" in problem
    assert "CANARY" not in problem


def test_keys_that_are_not_there_harm_nobody(first: backups.Place, step: dict[str, Any], tmp_path: Path) -> None:
    store(first, "a")
    step["second"]["secret_key_file"] = str(tmp_path / "none")
    assert "not in the second store: Cannot read the secret file" in second_store.copy(step, first, "a").problem
    step["second"] = "there"
    assert "'second' must be an object" in second_store.copy(step, first, "a").problem
    assert names(first) == ["a"]


@pytest.mark.parametrize("requests", range(1, 6))
def test_what_was_copied_half_is_not_offered_and_gone_on_with(
    first: backups.Place,
    second: backups.Place,
    there: Bucket,
    step: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    requests: int,
) -> None:
    """The second store fails from some request that writes on."""
    store(first, "a")
    real, written = s3._Request.send, []

    def send(self: s3._Request, where: s3.Store, connection: Any) -> Any:
        if where.endpoint == there.endpoint and self.method == "PUT":
            written.append(self.path)
            there.broken = int(len(written) >= requests)
        return real(self, where, connection)

    with monkeypatch.context() as patch:
        patch.setattr(s3._Request, "send", send)
        outcome = second_store.copy(step, first, "a")
    there.broken = 0
    assert (outcome.problem == "") is (requests > 3), "two objects and the manifest"
    assert names(second) == (["a"] if requests > 3 else [])
    assert second_store.copy(step, first, "a").problem == ""
    assert names(second) == ["a"]


def test_what_lies_there_already_is_not_carried_again(
    first: backups.Place, second: backups.Place, there: Bucket, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(first, "a")
    second_store.copy(step, first, "a")
    del there.objects["/copies/shop/manifests/a.json"]
    there.objects["/copies/shop/data/a/a%20b/1"] = b"a"
    carried: list[str] = []
    real = s3.put_file

    def put_file(where: s3.Store, name: str, key: str, file: Path) -> str:
        carried.append(key)
        return real(where, name, key, file)

    monkeypatch.setattr(s3, "put_file", put_file)
    assert second_store.copy(step, first, "a").problem == ""
    assert carried == ["shop/data/a/a b/1"]
    assert names(second) == ["a"]


def test_a_copy_that_was_damaged_there_is_made_again(
    first: backups.Place, second: backups.Place, there: Bucket, step: dict[str, Any]
) -> None:
    store(first, "a", 1)
    second_store.copy(step, first, "a")
    del there.objects["/copies/shop/data/a/a%20b/0"]
    assert names(second) == []
    store(first, "b")
    assert second_store.copy(step, first, "b") == second_store.Outcome(["b", "a"])
    assert names(second) == ["b", "a"]


def test_an_older_one_that_cannot_be_copied_leaves_the_newest_there(
    first: backups.Place, second: backups.Place, step: dict[str, Any]
) -> None:
    store(first, "a", 1, sha256="of something else")
    store(first, "b")
    outcome = second_store.copy(step, first, "b")
    assert outcome.copied == ["b"]
    assert outcome.problem.startswith("older ones are not all in the second store as they should be: ")
    assert "is not the one of its manifest: the checksums differ" in outcome.problem
    assert names(second) == ["b"]


def test_a_dump_is_compared_with_the_checksum_of_its_manifest(
    first: backups.Place, second: backups.Place, step: dict[str, Any]
) -> None:
    s3.put(first.store, first.bucket, first.key("data", "g.dump"), b"graph")
    digest = hashlib.sha256(b"graph").hexdigest()
    told = backups.Manifest("g", "", NOW - 10, NOW, 5, 1, {}, {"nodes": {"rows": 1}}, {"sha256": digest})
    backups.publish(first, told)
    assert second_store.copy(step, first, "g").problem == ""
    s3.put(first.store, first.bucket, first.key("data", "g.dump"), b"grabh")
    for key in ("manifests/g.json", "data/g.dump"):
        s3.delete(second.store, second.bucket, second.key(key))
    assert "the checksums differ" in second_store.copy(step, first, "g").problem
    assert second.sizes("data/") == {}, "what is wrong is not stored"


def test_one_that_was_made_again_under_its_name_is_copied_again(
    first: backups.Place, second: backups.Place, step: dict[str, Any]
) -> None:
    for body in (b"graph", b"grabh"):
        s3.put(first.store, first.bucket, first.key("data", "g.dump"), body)
        more = {"sha256": hashlib.sha256(body).hexdigest()}
        told = backups.Manifest("g", "", NOW - 10, NOW, 5, 1, {}, {"nodes": {"rows": 1}}, more)
        backups.publish(first, told)
        assert second_store.copy(step, first, "g") == second_store.Outcome(["g"])
        assert (backups.good(second), second.read("data", "g.dump")) == ([told], body)


def test_less_than_the_store_said_is_not_taken_for_the_whole(
    first: backups.Place, second: backups.Place, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(first, "a")
    monkeypatch.setattr(s3, "get_file", lambda _store, _bucket, _key, path: path.write_bytes(b"a"))
    assert "came 1 bytes instead of 2" in second_store.copy(step, first, "a").problem
    assert names(second) == []


def test_backups_of_a_lost_first_store_are_kept_and_not_copied_in_circles(
    first: backups.Place, second: backups.Place, here: Bucket, step: dict[str, Any]
) -> None:
    for name, age in (("a", 5), ("b", 4), ("c", 3)):
        store(first, name, age)
        second_store.copy(step, first, name)
    here.objects.clear()
    store(first, "d", 2)
    assert second_store.copy(step, first, "d") == second_store.Outcome(["d"])
    assert names(second) == ["d", "c", "b"]
    store(first, "a", 5)
    assert second_store.copy(step, first, "d") == second_store.Outcome(), "it would be deleted there at once"


def test_a_backup_that_is_not_in_the_first_store_is_told(first: backups.Place, step: dict[str, Any]) -> None:
    assert "no good backup 'a'" in second_store.copy(step, first, "a").problem


def test_a_bucket_is_made_only_where_there_is_none(
    first: backups.Place, step: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(s3, "ensure_bucket", lambda _store, bucket: made.append(bucket))
    monkeypatch.setattr(s3, "has_bucket", lambda _store, bucket: bool(made))
    store(first, "a")
    for _ in range(2):
        second_store.copy(step, first, "a")
    assert made == ["copies"], "and no bucket of locks"


def test_whether_there_is_a_bucket_needs_an_answer(there: Bucket) -> None:
    where = s3.Store(there.endpoint, "us-east-1", "key", "key")
    assert s3.has_bucket(where, "copies")
    there.broken = 1
    with pytest.raises(ToolError, match="Bucket 'copies' cannot be listed: the backup store answers 500"):
        s3.has_bucket(where, "copies")
