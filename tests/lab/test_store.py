from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.recipes import Context
from lab.store import Durations, Store
from lab.table import Part

PART = Part("thing", "go", {}, (), (), 30, "k1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_a_part_is_there_only_after_commit(store: Store) -> None:
    work = store.scratch(PART)
    (work / "out" / "bin").write_text("x")
    (work / "module").mkdir()
    assert store.facts(PART) is None
    store.commit(PART, work, {"seconds": 1})
    assert store.facts(PART) == {"seconds": 1}
    assert sorted(item.name for item in store.place(PART).iterdir()) == ["out", "part.json"]
    assert (store.out(PART) / "bin").read_text() == "x"


def test_scratch_of_a_killed_build_is_not_reused(store: Store) -> None:
    (store.scratch(PART) / "out" / "half").write_text("half")
    assert list((store.scratch(PART) / "out").iterdir()) == []


def test_a_part_without_its_facts_is_not_there(store: Store) -> None:
    work = store.scratch(PART)
    store.commit(PART, work, {"a": 1})
    (store.place(PART) / "part.json").write_text("{")
    assert store.facts(PART) is None
    store.commit(PART, store.scratch(PART), {"a": 2})
    assert store.facts(PART) == {"a": 2}


def test_prune_keeps_what_the_table_has(store: Store) -> None:
    old = Part("thing", "go", {}, (), (), 30, "k0")
    for part in (PART, old):
        store.commit(part, store.scratch(part), {})
    store.scratch(PART)
    assert store.prune({("thing", "k1")}) == ["thing/k0"]
    assert store.facts(PART) == {}
    assert not (store.root / "tmp").exists()


def test_second_run_is_refused_by_name(store: Store) -> None:
    hold = "h=open(sys.argv[1],'a+'); fcntl.flock(h,2); h.write('4711'); h.flush(); print('held',flush=True)"
    script = f"import fcntl,sys,time; {hold}; time.sleep(30)"
    store.root.mkdir(parents=True)
    argv = [sys.executable, "-c", script, str(store.root / "lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(LabError, match="Another run of the lab is under way \\(process 4711\\)"), store.lock():
            pass
        other.kill()
    with store.lock():
        assert (store.root / "lock").read_text() == f"{os.getpid()}\n"


def test_durations_are_measured_over_expected(tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    durations = Durations(path)
    assert durations.expect(PART) == 30
    durations.record(PART, 12.34)
    assert Durations(path).expect(PART) == 12.3
    assert json.loads(path.read_text()) == {"thing": 12.3}


def test_error_names_part_log_and_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(20)))
    text = LabError("It failed", log).render("thing", tail=2)
    assert text == f"Part 'thing': It failed\n  log: {log}\n  | line 18\n  | line 19"
    assert LabError("It failed").render() == "It failed"


def test_context_finds_files_of_parts(context_of: Callable[..., Context]) -> None:
    context = context_of({"kind": {"type": "go", "programs": {}}})
    part = context.table.parts["kind"]
    assert context.path("kind:kind") == context.store.root / "parts" / "kind" / part.key / "out" / "kind"
