"""What the tests of actions share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import (
    backup_bucket,
    backup_store,
    process,
    region_run,
    secrets,
    state,
    warden,
)
from ansible_collections.kontrol.platform.plugins.module_utils.proof import KUBE_SYSTEM
from ansible_collections.kontrol.platform.tests.unit.plugins.action.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    private = tmp_path / "private"
    private.mkdir()
    made = World(private)

    def start(orders: warden.Orders) -> tuple[int, dict[str, Any]]:
        made.orders.append(orders)
        return 1, made.answer

    monkeypatch.setattr(process, "find_tool", lambda name, known=None: f"/bin/{name}")
    monkeypatch.setattr(secrets, "_age_pair", lambda: ("AGE-SECRET-KEY-1", "age1public"))
    monkeypatch.setattr(secrets.SecretStore.__init__, "__defaults__", (lambda: ("AGE-1", "age1x"), lambda: "/bin/sops"))
    monkeypatch.setattr(process, "run", made.tools)
    monkeypatch.setattr(region_run.RegionRun.__init__, "__defaults__", (lambda line: None, made.tools))
    monkeypatch.setattr(backup_store, "_answers_s3", lambda address: True)
    monkeypatch.setattr(backup_bucket, "tool", made.buckets.tool)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(warden, "start", start)
    monkeypatch.setattr("ansible_collections.kontrol.platform.plugins.module_utils.api.Api.open", lambda *_: made.api)
    monkeypatch.setattr(
        "ansible_collections.kontrol.platform.plugins.module_utils.proof.Proof.__init__.__defaults__",
        ("", "", lambda path: made.api),
        raising=False,
    )
    monkeypatch.setenv(region_run.RUN, "run-1")
    monkeypatch.setenv(region_run.MAIN_PID, str(os.getpid()))
    monkeypatch.setenv(region_run.STARTED, state.now())
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made.api.put(KUBE_SYSTEM, {"metadata": {"uid": "uid"}})
    made.api.writes.clear()
    return made
