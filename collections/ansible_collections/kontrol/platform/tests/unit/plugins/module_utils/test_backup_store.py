from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import backup_store
from ansible_collections.kontrol.platform.plugins.module_utils.backup_store import BackupStore, BackupStoreError
from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeClock, FakeTools

KEYS = ("ACCESS-CANARY", "SECRET-CANARY")
NAME = "kontrol-r-backup-store"


@pytest.fixture
def tools() -> FakeTools:
    return FakeTools()


@pytest.fixture
def store(tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackupStore:
    monkeypatch.setattr(backup_store, "_answers_s3", lambda address: True)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    clock = FakeClock()
    return BackupStore("r", tmp_path, tmp_path, "gw:1", Docker("/bin/docker", tools), clock.sleep, clock)


def test_it_is_made_once(store: BackupStore, tools: FakeTools) -> None:
    assert store.verdict(None) == "create"
    assert store.ensure(*KEYS) == "create"
    assert store.ensure(*KEYS) == "none"
    assert store.verdict(lambda: KEYS) == "none"
    assert store.verdict(None) == "update", "its credentials are unknown, so it cannot be as declared"
    assert tools.images == {"gw:1"}
    assert tools.networks == {"kind"}


def test_credentials_go_by_a_file_that_is_removed(store: BackupStore, tools: FakeTools) -> None:
    store.ensure(*KEYS)
    assert tools.env_files == ["ROOT_ACCESS_KEY=ACCESS-CANARY\nROOT_SECRET_KEY=SECRET-CANARY\n"]
    assert not list(store.scratch.glob("*.env"))
    assert "CANARY" not in str(tools.calls)


def test_it_has_few_rights(store: BackupStore, tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, user in ((0, "65532:65532"), (1000, "1000:1000")):
        monkeypatch.setattr(os, "getuid", lambda uid=uid: uid)
        monkeypatch.setattr(os, "getgid", lambda uid=uid: uid)
        store.ensure(*KEYS)
        [call] = [call for call in tools.calls if call[:2] == ["docker", "create"]]
        assert call[call.index("--user") + 1] == user
        assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(call)
        assert call[call.index("--publish") + 1] == "127.0.0.1::7070"
        tools.calls.clear()
        tools.containers.clear()


def test_a_stopped_one_is_started_and_a_changed_one_is_replaced(store: BackupStore, tools: FakeTools) -> None:
    store.ensure(*KEYS)
    tools.containers[NAME]["State"]["Running"] = False
    assert store.ensure(*KEYS) == "update"
    assert tools.did("docker", "create") == 1
    assert store.ensure(KEYS[0], "OTHER") == "update"
    assert tools.did("docker", "create") == 2
    store.image = "gw:2"
    assert store.ensure(KEYS[0], "OTHER") == "update"
    assert tools.did("docker", "create") == 3


def test_a_container_of_someone_else_is_left_alone(store: BackupStore, tools: FakeTools) -> None:
    tools.add(NAME, {})
    for attempt in (lambda: store.ensure(*KEYS), lambda: store.verdict(None), store.remove):
        with pytest.raises(BackupStoreError, match='was not made by region "r"'):
            attempt()


def test_one_that_does_not_answer_shows_its_log(store: BackupStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_store, "_answers_s3", lambda address: False)
    with pytest.raises(BackupStoreError, match="does not answer after 20 s: it says why"):
        store.ensure(*KEYS)


def test_removal_leaves_the_data(store: BackupStore) -> None:
    assert not store.remove()
    store.ensure(*KEYS)
    (store.folder / "backups" / "data" / "file").write_bytes(b"x" * 100_000)
    assert store.hits() == [f"container {NAME}", f"1 backup files, 0.1 MB, in {store.folder}/backups"]
    assert store.remove()
    assert (store.folder / "backups" / "data" / "file").exists()


def test_a_store_that_is_borrowed_is_mounted_for_reading_and_makes_no_folder(
    store: BackupStore, tools: FakeTools
) -> None:
    store.borrowed = True
    with pytest.raises(BackupStoreError, match="on which machine is that region kept"):
        store.ensure(*KEYS)
    assert not (store.folder / "backups").exists()
    (store.folder / "backups" / "data").mkdir(parents=True)
    store.ensure(*KEYS)
    [call] = [call for call in tools.calls if call[:2] == ["docker", "create"]]
    mounted = [call[at + 1] for at, word in enumerate(call) if word == "--volume"]
    assert [one.rpartition(":")[2] for one in mounted] == ["ro", "ro"]
    assert "kontrol-r-source-store" in tools.containers


def test_a_plan_tells_whether_it_was_stopped_or_is_configured_otherwise(store: BackupStore, tools: FakeTools) -> None:
    store.ensure(*KEYS)
    assert [one["path"] for one in store.changes()] == ["configuration"]
    tools.containers[NAME]["State"] = {"Running": False, "Status": "exited"}
    assert store.changes() == [{"path": "state", "before": "exited", "after": "running"}]


def test_where_it_answers(store: BackupStore, tools: FakeTools) -> None:
    assert store.answering() == ""
    store.ensure(*KEYS)
    assert store.answering() == "http://127.0.0.1:17070"
    assert store.endpoint == f"http://{NAME}:7070"


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_refusal_is_an_answer(server: str) -> None:
    assert backup_store._answers_s3(server)
    assert not backup_store._answers_s3("http://127.0.0.1:1")
