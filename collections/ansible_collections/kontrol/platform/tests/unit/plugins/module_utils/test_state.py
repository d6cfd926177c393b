from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import state


def test_json_is_private_and_comes_back(tmp_path: Path) -> None:
    folder = state.make_private_dir(tmp_path / "a" / "b")
    state.write_json(folder / "x.json", {"a": "ä"})
    assert state.read_json(folder / "x.json") == {"a": "ä"}
    assert (folder / "x.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in folder.iterdir()] == ["x.json"]


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    state.write_json(file, {"old": 1})

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        state.write_json(file, {"new": 1})
    assert state.read_json(file) == {"old": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_not_there_or_broken(tmp_path: Path) -> None:
    assert state.read_json(tmp_path / "none.json") is None
    for text, message in [("{", "cannot be read"), ("[]", "is not a mapping")]:
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(state.StateError, match=message):
            state.read_json(tmp_path / "x.json")


def test_a_journal_survives_a_cut_last_line(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    assert state.read_lines(file) == []
    state.append_line(file, {"event": "a"})
    state.append_line(file, {"event": "b"})
    with file.open("a") as cut:
        cut.write('{"event": "c')
    assert [one["event"] for one in state.read_lines(file)] == ["a", "b"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    for name in (".x.json.0123abcd", "x.json", ".keep"):
        (tmp_path / name).touch()
    state.remove_leftovers(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".keep", "x.json"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (119, "119 s"), (600, "10 min"), (7300, "2 h"), (200000, "2 days")]
)
def test_ages_are_told_in_one_unit(seconds: float, text: str) -> None:
    assert state.age_text(seconds) == text


def test_age_of_a_time() -> None:
    at = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert state.age_seconds("2026-01-01T00:00:00Z", at) == 60
    assert state.age_seconds("2026-01-01T01:00:00Z", at) == 0
    assert state.age_seconds(state.now()) < 5
