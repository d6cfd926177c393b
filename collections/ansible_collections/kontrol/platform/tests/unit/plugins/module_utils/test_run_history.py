"""A run's record reaches the backup store, what is missing is made up for, and a store that fails stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import backup_bucket, identity, paths, run_history, state
from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import BackupBucket
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeBuckets

BUCKET = BackupBucket("http://127.0.0.1:1", "b", "key", "CANARY-secret")


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> FakeBuckets:
    made = FakeBuckets()
    monkeypatch.setattr(backup_bucket, "tool", made.tool)
    return made


def ran(name: str, **files: str) -> Path:
    folder = paths.region_state("r") / "runs" / name
    state.make_private_dir(folder)
    for file, text in files.items():
        (folder / run_history.FILES[int(file[1:])]).write_text(text, encoding="utf-8")
    return folder


def test_what_is_kept_of_a_run_is_copied_once(buckets: FakeBuckets) -> None:
    folder = ran("20261125T030000Z-aaaa", f0="journal", f1="record")
    (folder / "plan.json").write_text("not history", encoding="utf-8")
    assert run_history.copy(folder.parent, BUCKET, "r") == 2
    assert buckets.objects == {
        "runs/r/20261125T030000Z-aaaa/journal.jsonl": b"journal",
        "runs/r/20261125T030000Z-aaaa/record.json": b"record",
    }
    assert run_history.copy(folder.parent, BUCKET, "r") == 0


def test_a_later_run_makes_up_for_one_that_was_killed(buckets: FakeBuckets) -> None:
    killed = ran("20261125T030000Z-aaaa", f0="jour")
    run_history.copy(killed.parent, BUCKET, "r")
    ran("20261125T030000Z-aaaa", f0="journal, and its end")
    ran("20261126T030000Z-bbbb", f0="journal")
    assert run_history.copy(killed.parent, BUCKET, "r") == 2
    assert buckets.objects["runs/r/20261125T030000Z-aaaa/journal.jsonl"] == b"journal, and its end"


@pytest.mark.parametrize("answer", ["nothing", "an error"])
def test_a_store_that_does_not_answer_is_told_and_stops_nothing(
    buckets: FakeBuckets, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    ran("20261125T030000Z-aaaa", f0="journal")
    assert run_history.keep("r", "b") == "", "without an identity there is no store yet"
    identity.ensure(paths.region_state("r"), "r", "run-1")
    assert run_history.keep("r", "") == ""
    monkeypatch.setattr(RegionRun, "backup_bucket", lambda *_: BUCKET if answer == "an error" else None)
    buckets.problem = "The store answers 500"
    told = run_history.keep("r", "b")
    assert ("answers 500" if answer == "an error" else "does not answer") in told
    assert "CANARY" not in told
    buckets.problem = ""
    monkeypatch.setattr(RegionRun, "backup_bucket", lambda *_: BUCKET)
    assert run_history.keep("r", "b") == ""
    assert list(buckets.objects) == ["runs/r/20261125T030000Z-aaaa/journal.jsonl"]


def test_a_machine_without_docker_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    identity.ensure(state.make_private_dir(paths.region_state("r")), "r", "run-1")

    def missing(*_: object) -> None:
        raise KontrolError("Program docker is not there")

    monkeypatch.setattr(RegionRun, "backup_bucket", missing)
    assert "Program docker is not there" in run_history.keep("r", "b")
