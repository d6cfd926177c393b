from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import memory

MIB = 1024
EATER = "import sys, time; held = bytearray(64 << 20); print('ready', flush=True); time.sleep(60)"
NESTED = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {EATER!r}])"


def test_the_peak_is_that_of_the_whole_tree_and_stays() -> None:
    peak = memory.Peak(os.getpid())
    peak.sample()
    alone = peak.kib
    assert alone > 5 * MIB
    children: set[int] = set()
    with subprocess.Popen([sys.executable, "-c", NESTED], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            peak.sample()
            children = memory.tree(process.pid)
        finally:
            for pid in children or {process.pid}:
                os.kill(pid, 9)
    assert len(children) == 2, "the child and its own child"
    assert peak.kib >= alone + 60 * MIB
    assert peak.processes >= 3
    highest = peak.kib
    peak.sample()
    assert peak.kib == highest


def test_a_process_that_is_gone_counts_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert memory.tree(process.pid) == set()
    assert memory.kib_of(process.pid) == 0


def test_pages_that_a_fork_shares_count_once() -> None:
    held = bytearray(b"x" * (64 << 20))
    before = memory.Peak(os.getpid())
    before.sample()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(len(held) and 0)
    try:
        both = memory.Peak(os.getpid())
        both.sample()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert both.processes == before.processes + 1
    assert both.kib < before.kib + 32 * MIB


def test_without_a_proc_there_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path / "none")
    peak = memory.Peak(os.getpid())
    peak.sample()
    assert peak.kib == peak.processes == 0
