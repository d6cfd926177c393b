from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import canaries, state, warden
from ansible_collections.kontrol.platform.plugins.module_utils.canaries import Follower, Orders, Writer
from ansible_collections.kontrol.platform.plugins.module_utils.drill import Acknowledged
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

WRITER = Writer("clickhouse", "clickhouse", "clickhouse-canary-1")


def line(seq: int) -> dict[str, Any]:
    return {"canary": {"seq": seq, "written": 1000.0 + seq}}


class FakeClient:
    """Answers with the streams of a pod's log, one after the other."""

    def __init__(self, *streams: list[dict[str, Any]]) -> None:
        self.streams = list(streams)
        self.asked: list[tuple[str, dict[str, str]]] = []

    @contextmanager
    def stream(self, path: str, params: dict[str, str], timeout: float) -> Iterator[list[dict[str, Any]]]:
        del timeout
        self.asked.append((path, params))
        yield self.streams.pop(0)

    def list(self, path: str, params: dict[str, str]) -> Any:
        self.asked.append((path, params))
        return [{"metadata": {"name": "pod-1"}}]


def follower(folder: Path, *streams: list[dict[str, Any]]) -> Follower:
    return Follower(FakeClient(*streams), WRITER, folder)  # type: ignore[arg-type]


def test_what_is_acknowledged_is_kept_and_what_failed_is_not(tmp_path: Path) -> None:
    follower(tmp_path, [line(1), {"failed": "no route"}, line(2)]).once()
    heard = canaries.acknowledged(tmp_path, "clickhouse")
    assert (heard.count, heard.last, heard.last_seq) == (2, 1002.0, 2)


def test_what_is_heard_again_after_a_cut_is_kept_once(tmp_path: Path) -> None:
    one = follower(tmp_path, [line(1), line(2)], [line(1), line(2), line(3)])
    one.once()
    one.once()
    kept = state.read_lines(canaries.file_of(tmp_path, "clickhouse"))
    assert [row["seq"] for row in kept] == [1, 2, 3]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    follower(tmp_path, [line(1)]).once()
    with canaries.file_of(tmp_path, "clickhouse").open("a") as file:
        file.write('{"seq": 2, "writ')
    assert canaries.acknowledged(tmp_path, "clickhouse").last_seq == 1


def test_nothing_heard_is_nothing(tmp_path: Path) -> None:
    assert canaries.acknowledged(tmp_path, "neo4j") == Acknowledged(0, None, 0)


def test_a_silent_writer_stops_the_drill_before_anything_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canaries, "FIRST_SECONDS", 0.0)
    follower(tmp_path, [line(seq) for seq in range(1, 5)]).once()
    canaries.wait_first(tmp_path, ["clickhouse"])
    with pytest.raises(KontrolError, match=r"fewer than 3 canaries of neo4j were acknowledged; nothing was destroyed"):
        canaries.wait_first(tmp_path, ["clickhouse", "neo4j"])


def test_a_follower_lives_on_by_itself_and_is_stopped(tmp_path: Path) -> None:
    with StubApi() as api:
        path = api.kubeconfig(tmp_path)
        pid, started = canaries.start(Orders(path, str(tmp_path), (WRITER,)))
        time.sleep(1.0)
        assert warden.alive(pid, started)
        canaries.stop(pid, "another process of that number")
        assert warden.alive(pid, started)
        canaries.stop(pid, started)
        end = time.monotonic() + 5
        while warden.alive(pid, started) and time.monotonic() < end:
            time.sleep(0.05)
        assert not warden.alive(pid, started)


def test_stopping_nothing_is_fine() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    canaries.stop(done.pid, "1")
    canaries.stop(0, "")


def test_the_program_follows_every_writer_of_its_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Writer("neo4j", "neo4j", "neo4j-canary-1")
    followed: list[tuple[Writer, Path]] = []

    def follow(one: Follower) -> None:
        followed.append((one._writer, one._file))

    monkeypatch.setattr(Follower, "run", follow)
    with StubApi() as api:
        orders = Orders(api.kubeconfig(tmp_path), str(tmp_path), (WRITER, other))
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asdict(orders))))
        assert canaries.main() == 0
    assert sorted(followed, key=str) == sorted(
        ((one, canaries.file_of(tmp_path, one.database)) for one in (WRITER, other)), key=str
    )


def test_a_stream_that_breaks_off_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def once(_follower: Follower) -> None:
        tries.append(len(tries))
        raise [KontrolError("gone"), ValueError("no JSON"), OSError("reset"), KeyboardInterrupt()][len(tries) - 1]

    monkeypatch.setattr(Follower, "once", once)
    monkeypatch.setattr(canaries, "AGAIN_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        follower(tmp_path).run()
    assert len(tries) == 4
