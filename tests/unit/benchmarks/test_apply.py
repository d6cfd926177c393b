"""The benchmark's own parts: the mix, the proxy, the sums."""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.kube import objects
from benchmarks import apply as benchmark


def test_the_mix_is_as_stated_and_can_be_applied() -> None:
    items = objects.prepare(benchmark._one(number) for number in range(200))
    kinds = Counter(item.id.kind for item in items)
    assert kinds == {"ConfigMap": 60, "Secret": 40, "ServiceAccount": 30, "Service": 30, "Role": 20, "Deployment": 20}


def test_the_proxy_adds_its_latency_and_nothing_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def echo() -> None:
            conn, _ = listener.accept()
            with conn:
                while data := conn.recv(65536):
                    conn.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        port = benchmark.start_proxy(listener.getsockname()[1], 40)
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            began = time.perf_counter()
            sock.sendall(b"ping")
            assert sock.recv(10) == b"ping"
            assert 0.04 <= time.perf_counter() - began < 2


def test_a_program_is_timed_and_its_failure_told() -> None:
    sample, text = benchmark.timed(["/bin/echo", "said"], {})
    assert text == "said\n"
    assert sample.seconds > 0
    with pytest.raises(SystemExit, match=r"(?s)/bin/sh failed with 3:.*broken"):
        benchmark.timed(["/bin/sh", "-c", "echo broken; exit 3"], {})


def test_medians_and_ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    taken = {"kubectl": [1.0, 5.0, 2.0], "kontrol": [1.0, 1.5, 9.0], "kontrol-engine": [0.5, 0.5, 0.5]}
    calls: Counter[str] = Counter()

    class Fake:
        def namespace(self) -> object:
            return __import__("contextlib").nullcontext()

        def write_objects(self, _count: int) -> Path:
            return tmp_path

        def run(self, tool: str, _kubeconfig: Path, _objects: Path) -> benchmark.Sample:
            each = 1 if tool == "kontrol-engine" else 2
            number = calls[tool] // each
            calls[tool] += 1
            return benchmark.Sample(taken[tool][number], 0.1, None)

    options = argparse.Namespace(repeat=3, tools=["kubectl", "kontrol"])
    rows = benchmark.measure(Fake(), options, 200, 10, tmp_path)  # type: ignore[arg-type] # a fake
    found = {(row.case, row.tool): (row.seconds, row.ratio_to_kubectl) for row in rows}
    assert found["create", "kubectl"] == (2.0, 1.0)
    assert found["create", "kontrol"] == (1.5, 0.75)
    assert found["noop", "kontrol-engine"] == (0.5, 0.25)


def test_the_result_is_written_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = benchmark.Row(1, 0, "create", "kontrol", 1.0, 0.5, None, 0.8)

    class Fake:
        def __init__(self, *_args: object) -> None:
            pass

        def kubeconfig(self, _latency: int) -> Path:
            return tmp_path

        def namespace(self) -> object:
            return __import__("contextlib").nullcontext()

        write_objects = kubeconfig

        def run(self, *_args: object) -> None:
            pass

    monkeypatch.setattr(benchmark, "Bench", Fake)
    monkeypatch.setattr(benchmark, "measure", lambda *_args: [row])
    target = tmp_path / "out.json"
    argv = ["apply.py", "--kubeconfig", "k", "--json", str(target), "--objects", "1,2", "--latency", "0"]
    monkeypatch.setattr("sys.argv", argv)
    benchmark.main()
    rows = json.loads(target.read_text())
    assert len(rows) == 2
    assert set(rows[0]) >= {"objects", "latency_ms", "case", "tool", "seconds", "cpu_seconds", "ratio_to_kubectl"}
