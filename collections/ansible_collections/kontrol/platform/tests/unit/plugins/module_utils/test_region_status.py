from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import (
    backup_store,
    drill,
    identity,
    lease,
    process,
    region_status,
    state,
    warden,
)
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import ClusterSpec
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.drill_evidence import evidence
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi, FakeTools

HOLDER = lease.Holder("run-1", "r", "bootstrap", os.getpid(), "host", "2026-01-01T00:00:00Z")


@pytest.fixture
def tools() -> FakeTools:
    return FakeTools()


@pytest.fixture
def region(tmp_path: Path, tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> RegionRun:
    monkeypatch.setattr(process, "find_tool", lambda name, known=None: f"/bin/{name}")
    monkeypatch.setattr(backup_store, "_answers_s3", lambda address: True)
    return RegionRun("r", "", tmp_path, runner=tools)


def bootstrap(region: RegionRun) -> None:
    state.make_private_dir(region.folder)
    identity.ensure(region.folder, "r", "run-1")
    SecretStore(region.folder, region.runner, lambda: ("key", "age1x"), lambda: "/bin/sops").create()
    driver = region.driver()
    driver.complete(driver.create(ClusterSpec("a", "b"), "run-1"), "run-1", "uid")


def test_the_bucket_is_told_when_somebody_asks(region: RegionRun) -> None:
    assert region_status.read(region, "", [], bucket="b")["backup bucket"] == "b does not answer"
    assert "backup bucket" not in region_status.read(region, "", [])


def opened(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    monkeypatch.setattr(region_status, "_open", lambda region: api)


def test_before_the_first_run(region: RegionRun) -> None:
    found = region_status.read(region, "gw:1", ["mesh"])
    assert found["identity"] == found["secret store"] == "not made yet"
    assert found["backup store"] == "container kontrol-r-backup-store is not there"
    assert found["cluster"] == "kontrol-r is absent"
    assert found["writer"] == "nobody"
    assert found["mesh"] == "cannot be seen without the cluster"
    assert found["last run"] == "none"
    assert not region.folder.exists(), "status writes nothing"


def test_with_all_of_it(region: RegionRun, tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap(region)
    tools.add("kontrol-r-backup-store", {})
    api = FakeApi()
    api.put(f"{region_status.INVENTORIES}/kontrol-inventory-mesh", {"data": {"objects": "A a\nB b\n"}})
    opened(monkeypatch, api)
    found = region_status.read(region, "gw:1", ["mesh", "clickhouse"])
    assert "made" in found["identity"]
    assert found["secret store"].startswith("0 secrets in")
    assert found["backup store"].startswith("answers on http://127.0.0.1:17070")
    assert "is running" in found["cluster"]
    assert "identity proven" in found["cluster"]
    assert found["mesh"] == "deployed, 2 objects"
    assert found["clickhouse"] == "not deployed"


def test_a_writer_is_known_by_the_lock_and_by_the_lease(region: RegionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap(region)
    api = FakeApi()
    opened(monkeypatch, api)
    assert region_status.read(region, "", [])["writer"] == "nobody"
    lease.Lease(api, HOLDER).acquire()
    assert region_status.read(region, "", [])["writer"].startswith('Lease held by run "run-1" of bootstrap')
    file, _ = warden.take_lock(region.lock_file, HOLDER.to_json())
    assert file is not None
    with file:
        assert region_status.read(region, "", [])["writer"].startswith('run "run-1" of bootstrap')
        file.truncate(0)
        assert region_status.read(region, "", [])["writer"] == "a run that just starts"


def test_what_cannot_be_read_does_not_hide_the_rest(region: RegionRun, tools: FakeTools) -> None:
    bootstrap(region)
    tools.fail["docker"] = "Cannot connect to the Docker daemon"
    found = region_status.read(region, "gw:1", ["mesh"])
    assert "Cannot connect" in found["cluster"]
    assert "Cannot connect" in found["backup store"]
    assert "made" in found["identity"]


def test_a_cluster_that_is_not_proven_says_why(region: RegionRun, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap(region)

    def refuse(region: RegionRun) -> Any:
        raise KontrolError("It carries another identity")

    monkeypatch.setattr(region_status, "_open", refuse)
    assert region_status.read(region, "", [])["cluster"].endswith("; It carries another identity")


def test_the_story_of_the_last_run(region: RegionRun) -> None:
    folder = state.make_private_dir(region.folder / "runs" / "20261125T030000Z-0001")
    state.append_line(folder / "journal.jsonl", {"event": "run", "playbook": "bootstrap", "at": "T0"})
    assert "was killed before its first phase" in region_status.read(region, "", [])["last run"]
    holder = lease.Holder(folder.name, "r", "bootstrap", os.getpid(), "host", "2026-01-01T00:00:00Z")
    file, _ = warden.take_lock(region.lock_file, json.dumps(holder.__dict__))
    assert file is not None
    with file:
        assert "is going on" in region_status.read(region, "", [])["last run"]


def test_a_run_that_was_killed_gets_its_report_by_status(region: RegionRun) -> None:
    assert region_status.read(region, "", [], write=True)["its report"] == "none"
    folder = state.make_private_dir(region.folder / "runs" / "20261125T030000Z-0001")
    state.append_line(folder / "journal.jsonl", {"event": "run", "playbook": "bootstrap", "at": "2026-11-25T03:00:00Z"})
    holder = lease.Holder(folder.name, "r", "bootstrap", os.getpid(), "host", "2026-01-01T00:00:00Z")
    file, _ = warden.take_lock(region.lock_file, json.dumps(holder.__dict__))
    assert file is not None
    with file:
        assert region_status.read(region, "", [], write=True)["its report"] == "written when it ends"
    assert "without --check" in region_status.read(region, "", [])["its report"]
    assert [one.name for one in folder.iterdir()] == ["journal.jsonl"]
    assert region_status.read(region, "", [], write=True)["its report"] == str(folder / "report.html")
    assert "was killed" in (folder / "report.html").read_text()
    assert region_status.read(region, "", [])["its report"] == str(folder / "report.html")


def test_of_drills_it_tells_what_one_has_left_or_how_the_last_one_ended(
    region: RegionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        return region_status.read(region, "", [])["drill"]

    assert told() == "none yet"
    state.make_private_dir(region.folder / "runs")
    line = {"run": "run-0", "ended": "then", "mode": "prove", "fault": "", "verdict": "green"}
    figures = {"rto_seconds": 42.0, "rpo_seconds": None}
    state.append_line(region.folder / drill.HISTORY, {**line, **figures})
    assert told() == "run-0 of then, prove: green, RTO 42 s, RPO not proven"
    state.write_json(region.folder / drill.STATE_FILE, {**evidence(), "run": HOLDER.run, "phase": "restore"})
    assert told().startswith("drill run-1 (database) was in phase restore; its data may be gone")
    monkeypatch.setattr(region_status, "lock_holder", lambda _path: HOLDER.to_json())
    assert told() == "drill run-1 is going on, in phase restore"
