"""The benchmark of many regions: its limits can fail, its medians are medians, its specs are sound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import regions, spec
from benchmarks import fleet as benchmark
from benchmarks.fleet import ROOT, Row


def row(count: int, seconds: float, cpu: float) -> Row:
    return Row(count, 1.0, seconds - 1.0, cpu, None, 0.5)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (row(20, 60.0, 62.5), []),
        (row(20, 60.1, 50.0), ["20 regions took 60.1 s, more than 60 s"]),
        (row(20, 30.0, 63.0), ["A region of 20 costs 1.26 times one of 5, more than 1.25"]),
    ],
)
def test_a_limit_that_does_not_hold_is_told(last: Row, told: list[str]) -> None:
    assert benchmark.problems([row(5, 10.0, 12.5), row(10, 99.0, 99.0), last]) == told


def test_the_exit_code_says_whether_the_limits_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmark, "measure", lambda count, *_, **__: row(count, count * 4.0, count * 2.0))
    assert benchmark.main(["--repeat", "1", "--json", str(tmp_path / "rows")]) == 1
    assert benchmark.main(["--repeat", "1", "--regions", "10,5"]) == 0
    assert '"cpu_per_region": 2.0' in (tmp_path / "rows").read_text()


def test_the_middle_is_the_median_of_each_column() -> None:
    found = benchmark.middle([row(5, 3.0, 1.0), row(5, 9.0, 2.0), row(5, 4.0, 9.0)])
    assert (found.regions, found.seconds, found.cpu_seconds, found.peak_mib) == (5, 4.0, 2.0, None)


def test_a_program_is_measured_with_its_children() -> None:
    burn = "for i in range(3_000_000): pass"
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {burn!r}]) + 3)"
    done = benchmark.run([benchmark._program("python"), "-c", child], dict(os.environ))
    idle = benchmark.run([benchmark._program("python"), "-c", "print('said')"], dict(os.environ))
    assert (done.rc, idle.rc, idle.text) == (3, 0, "said\n")
    assert done.cpu > idle.cpu


def test_twenty_specs_are_sound_beside_each_other(tmp_path: Path) -> None:
    benchmark.write_specs(tmp_path / "inventories", 20)
    judged = regions.judge([str(tmp_path / "inventories")], ROOT, spec.load_roles(ROOT), {})
    assert judged.problems == []
    assert len(judged.regions) == 20
    assert len({one.blocks["region"]["market"] for one in judged.regions.values()}) == 10
