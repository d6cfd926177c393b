"""The benchmark of a restore: its parts add up, its limit can fail, a playbook is read, its region is sound."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import regions, spec
from benchmarks import recovery as benchmark
from benchmarks import recovery_region
from benchmarks.recovery import ROOT, Row, Task

GREEN = {"verdict": "green", "reasons": [], "rto_seconds": 50.0, "rpo_seconds": 900.0, "load": 0.5}
RED = {**GREEN, "verdict": "red", "reasons": ["nothing came back"]}


def row(database: str, bare: float, compare: float, number: int = 1) -> Row:
    return Row(number, database, bare, {"load": 10.0, "compare": compare}, {"whole Job": compare}, 0.5)


def test_the_engine_takes_what_its_parts_take() -> None:
    one = row("neo4j", 8.0, 4.0)
    assert (one.engine, one.ratio) == (14.0, 1.75)
    assert benchmark.told(one)["ratio"] == 1.75
    assert "load 10.0 s, compare 4.0 s" in benchmark.show(one)


MISSED = (
    "neo4j: the engine takes 21 % more than the bare command (12.0 s and not 9.9 s), the limit is 20 %; "
    "it goes to: load 10.0 s, compare 2.0 s"
)


@pytest.mark.parametrize(
    ("bare", "drill", "limit", "wrong"),
    [
        (10.0, GREEN, 20.0, []),
        (9.9, GREEN, 20.0, [MISSED]),
        (9.9, GREEN, 22.0, []),
        (99.0, RED, 20.0, ["The drill is red: nothing came back"]),
    ],
)
def test_what_is_not_as_it_should_be_is_told(
    bare: float, drill: dict[str, Any], limit: float, wrong: list[str]
) -> None:
    assert benchmark.problems([row("neo4j", bare, 2.0)], drill, limit) == wrong


def test_the_middle_is_the_round_with_the_median_ratio() -> None:
    found = benchmark.middle([row("neo4j", 10.0, 9.0), row("neo4j", 10.0, 2.0, 2), row("neo4j", 10.0, 4.0, 3)])
    assert (found.round, found.engine, found.beside) == (0, 14.0, {"whole Job": 4.0})
    assert benchmark.show(found).startswith("median neo4j")


def test_the_parts_of_clickhouse_add_up_to_what_its_job_told() -> None:
    restores: list[dict[str, Any]] = [{"began": 100.0, "ended": 105.0}, {"began": "105.5", "ended": "105.75"}]
    parts = benchmark.parts_of_clickhouse({"seconds": 6.5, "compare_seconds": 2.0}, restores)
    assert parts == {"RESTORE": 5.0, "canaries": 0.25, "drop, looks": 1.25, "compare": 2.0}
    with pytest.raises(SystemExit, match="tells of no RESTORE"):
        benchmark.parts_of_clickhouse({"seconds": 6.5, "compare_seconds": 2.0}, [])


def test_the_parts_of_neo4j_reach_from_the_first_write_to_the_end_of_the_comparison() -> None:
    parts = benchmark.parts_of_neo4j(100.0, 110.0, Task(90.0, 112.0), Task(130.0, 140.0), 7.0)
    assert parts == {"load": 10.0, "Job ends": 2.0, "server starts": 18.0, "Job starts": 3.0, "compare": 7.0}
    assert sum(parts.values()) == 140.0 - 100.0


def test_the_last_look_at_the_container_counts() -> None:
    seen = " \n \n2026-01-02T03:04:05Z 2026-01-02T03:04:15Z\n2026-01-02T03:04:05Z 2026-01-02T03:04:15Z\n"
    began, ended = benchmark.load_times(seen)
    assert ended - began == 10.0
    with pytest.raises(SystemExit, match="Nothing was seen"):
        benchmark.load_times(" \n")


def printed() -> str:
    times = {"start": "2026-01-02T03:04:05.500000Z", "end": "2026-01-02T03:04:07.000000Z"}
    job = {"jobs": {"neo4j-compare": {"results": {"compare": {"seconds": 1.25}}, "seconds": 1.4}}}
    tasks = [
        {"task": {"name": "a", "duration": {"start": times["start"]}}, "hosts": {}},
        {"task": {"name": "b", "duration": times}, "hosts": {"bench": job}},
        {"task": {"name": "c", "duration": times}, "hosts": {"bench": {"ansible_facts": {"out": "3.5"}}}},
        {"task": {"name": "d", "duration": times}, "hosts": {"bench": {"failed": True, "msg": "no"}}},
    ]
    return "said before\n" + json.dumps({"plays": [{"tasks": tasks}]}) + "\n"


def test_what_a_playbook_printed_is_read() -> None:
    tasks, failures = benchmark.tasks_of(printed())
    played = benchmark.Played(0, 3.0, tasks, "said")
    compared = played.task("neo4j-compare")
    assert compared.ended - compared.began == 1.5
    assert played.result("neo4j-compare") == {"seconds": 1.25}
    assert played.fact("out") == 3.5
    assert failures == ["d: no"]
    with pytest.raises(SystemExit, match="no Job 'other'"):
        played.task("other")
    with pytest.raises(SystemExit, match="no fact 'other'"):
        played.fact("other")
    assert benchmark.tasks_of("") == ([], [])


@pytest.mark.parametrize(("nodes", "relationships"), [(20, 50), (5_000, 12_345), (200_000, 500_000)])
def test_the_graph_has_as_many_as_asked_for(nodes: int, relationships: int) -> None:
    found = recovery_region.graph(nodes, relationships)
    assert sum(count for statement, count, _ in found if "MATCH" not in statement) == nodes
    assert sum(count for statement, count, _ in found if "MATCH" in statement) == relationships
    assert all(count > 0 for _, count, numbers in found for count in (count, *numbers.values()))


def test_the_region_is_sound_beside_those_of_this_project(tmp_path: Path) -> None:
    for known in (ROOT / "inventories" / "local", *(ROOT / "tests" / "inventories").iterdir()):
        shutil.copytree(known, tmp_path / known.name)
    (tmp_path / recovery_region.NAME).mkdir()
    (tmp_path / recovery_region.NAME / "region.yml").write_text(recovery_region.SPEC, encoding="utf-8")
    judged = regions.judge([str(tmp_path)], ROOT, spec.load_roles(ROOT), {})
    assert judged.problems == []


def test_the_exit_code_says_whether_the_limit_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def made(_keep: bool) -> Iterator[None]:
        yield

    rows = [row("clickhouse", 10.0, 1.0), row("neo4j", 10.0, 2.0)]
    monkeypatch.setattr(recovery_region, "made", made)
    monkeypatch.setattr(benchmark, "play", lambda *_: benchmark.Played(0, 60.0, [], ""))
    monkeypatch.setattr(benchmark, "measure", lambda *_: ({"id": "b"}, rows, GREEN))
    assert benchmark.main(["--json", str(tmp_path / "result")]) == 0
    assert benchmark.main(["--limit", "15"]) == 1
    result = json.loads((tmp_path / "result").read_text(encoding="utf-8"))
    assert [one["ratio"] for one in result["medians"]] == [1.1, 1.2]
    assert result["drill"]["rto_seconds"] == 50.0
