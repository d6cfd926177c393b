"""What was made is kept by the content of what went in: never a damaged one, never a secret, never without bound."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import object_cache
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import SENTINEL
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache

MADE = [{"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "é", "a": 1.5, "n": None}}]
INPUT: dict[str, Any] = {"chart": "c1", "values": {"replicas": 1, "image": "istiod:1"}}


class Maker:
    """Makes objects, and counts how often."""

    def __init__(self, made: list[dict[str, Any]] | None = None) -> None:
        self.made, self.times = made or MADE, 0

    def __call__(self) -> list[dict[str, Any]]:
        self.times += 1
        return self.made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "objects"


def entries(place: Path) -> list[Path]:
    return sorted(place.glob("*.json"))


def test_the_same_input_is_made_once_and_comes_back_as_it_was(place: Path) -> None:
    make = Maker()
    found = [ObjectCache(place).objects(dict(reversed(INPUT.items())), make), ObjectCache(place).objects(INPUT, make)]
    assert found == [MADE, MADE]
    assert list(found[1][0]["data"]) == ["b", "a", "n"], "the order of fields was lost"
    assert make.times == 1


@pytest.mark.parametrize(
    "other",
    [
        {**INPUT, "chart": "c2"},
        {**INPUT, "values": {**INPUT["values"], "replicas": 2}},
        {**INPUT, "values": {**INPUT["values"], "replicas": "1"}},
        {**INPUT, "values": {**INPUT["values"], "replicas": True}},
        {**INPUT, "namespace": ""},
    ],
)
def test_other_input_has_an_entry_of_its_own(place: Path, other: dict[str, Any]) -> None:
    ObjectCache(place).objects(INPUT, Maker())
    theirs = Maker([{"kind": "Other"}])
    assert ObjectCache(place).objects(other, theirs) == [{"kind": "Other"}]
    assert theirs.times == 1
    assert len(entries(place)) == 2


def test_only_its_owner_reads_it(place: Path) -> None:
    ObjectCache(place).objects(INPUT, Maker())
    assert place.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in entries(place)] == [0o600]


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def one_byte(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"ConfigMap", b"ConfigMad"))


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def not_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")


def open_to_all(file: Path) -> None:
    file.chmod(0o606)


@pytest.mark.parametrize("damage", [cut_off, one_byte, emptied, not_text, open_to_all])
def test_a_damaged_entry_is_made_anew(place: Path, damage: Callable[[Path], None]) -> None:
    make = Maker()
    ObjectCache(place).objects(INPUT, make)
    (file,) = entries(place)
    damage(file)
    for times in (2, 2):
        assert ObjectCache(place).objects(INPUT, make) == MADE
        assert make.times == times, "what was damaged was not put right"
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_entry_under_the_name_of_another_is_not_taken(place: Path) -> None:
    cache = ObjectCache(place)
    cache.objects(INPUT, Maker())
    (mine,) = entries(place)
    cache.objects({**INPUT, "chart": "c2"}, Maker([{"kind": "Other"}]))
    (other,) = set(entries(place)) - {mine}
    shutil.copy2(other, mine)
    assert cache.objects(INPUT, Maker()) == MADE


@pytest.mark.parametrize(
    "values",
    [{"db": {"adminPassword": "x"}}, {"env": [{"apiKey": "x"}]}, {"tokens": ["x"]}, {"url": f"http://{SENTINEL}/"}],
)
def test_what_may_be_secret_is_never_kept(place: Path, values: dict[str, Any]) -> None:
    make = Maker()
    for _time in range(2):
        assert ObjectCache(place).objects({"values": values}, make) == MADE
    assert make.times == 2
    assert not place.exists()


def test_an_option_named_like_a_secret_without_a_value_is_none(place: Path) -> None:
    ObjectCache(place).objects({"values": {"imagePullSecrets": [], "token": ""}}, Maker())
    assert len(entries(place)) == 1


def test_a_secret_that_comes_out_is_never_kept(place: Path) -> None:
    make = Maker([{"kind": "Secret", "stringData": {"a": "CANARY"}}])
    for _time in range(2):
        assert ObjectCache(place).objects(INPUT, make) == make.made
    assert make.times == 2
    assert entries(place) == []


def test_what_would_not_come_back_the_same_is_not_kept(place: Path) -> None:
    make = Maker([{"kind": "A", "data": {1: "a key that JSON would turn into text"}}])
    for _time in range(2):
        assert ObjectCache(place).objects(INPUT, make) == make.made
    assert make.times == 2


def test_what_was_not_used_for_longest_is_dropped(place: Path) -> None:
    cache = ObjectCache(place, most=3)
    for number in range(3):
        cache.objects({"n": number}, Maker())
        for file in entries(place):
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 10))
    first = Maker()
    cache.objects({"n": 0}, first)  # used again
    cache.objects({"n": 3}, Maker())
    assert len(entries(place)) == 3
    cache.objects({"n": 0}, first)
    assert first.times == 0
    second = Maker()
    cache.objects({"n": 1}, second)
    assert second.times == 1


def test_what_a_killed_writer_left_is_removed_and_that_of_a_living_one_is_not(place: Path) -> None:
    place.mkdir(parents=True)
    dead, living = place / ".x.json.00000000", place / ".y.json.00000000"
    for file in (dead, living):
        file.write_text("half")
    os.utime(dead, (0, 0))
    ObjectCache(place).objects(INPUT, Maker())
    assert (dead.exists(), living.exists()) == (False, True)


def test_without_a_folder_to_write_to_all_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    make = Maker()
    for _time in range(2):
        assert ObjectCache(tmp_path / "file" / "objects").objects(INPUT, make) == MADE
    assert make.times == 2


def _slow(place: Path, log: Path, results: Any) -> None:
    def make() -> list[dict[str, Any]]:
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.2)
        return MADE

    results.put(ObjectCache(place).objects(INPUT, make))


def test_of_eight_processes_at_once_one_makes_it_and_all_have_it(place: Path, tmp_path: Path) -> None:
    forks = multiprocessing.get_context("fork")
    results, log = forks.Queue(), tmp_path / "log"
    children = [forks.Process(target=_slow, args=(place, log, results)) for _number in range(8)]
    for child in children:
        child.start()
    assert [results.get(timeout=30) for _child in children] == [MADE] * 8
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert log.read_text() == "made\n"


def test_other_code_makes_other_entries() -> None:
    assert object_cache.made_by(object_cache) == object_cache.made_by(object_cache)
    assert object_cache.made_by(object_cache) != object_cache.made_by(object_cache, object_cache)
