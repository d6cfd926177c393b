from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import process, secrets
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretError, SecretStore
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeTools


def store(folder: Path, tools: FakeTools | None = None) -> SecretStore:
    return SecretStore(
        folder, tools or FakeTools(), lambda: ("AGE-SECRET-KEY-CANARY", "age1public"), lambda: "/bin/sops"
    )


def test_secrets_are_made_once_and_come_back(tmp_path: Path) -> None:
    mine = store(tmp_path)
    assert not mine.exists()
    assert mine.create()
    assert not mine.create()
    assert mine.ensure("clickhouse/admin")
    value = mine.get("clickhouse/admin")
    assert len(value) == 32
    assert not mine.ensure("clickhouse/admin")
    assert mine.ensure_all(["clickhouse/admin", "neo4j/admin"]) == ["neo4j/admin"]
    assert mine.names() == ["clickhouse/admin", "neo4j/admin"]
    assert mine.get("clickhouse/admin") == value


def test_files_are_private_and_values_go_by_pipe_only(tmp_path: Path) -> None:
    tools = FakeTools()
    mine = store(tmp_path, tools)
    mine.create()
    mine.ensure("a/b")
    value = mine.get("a/b")
    assert all(value not in " ".join(call) and "CANARY" not in " ".join(call) for call in tools.calls)
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())
    assert "CANARY" not in (tmp_path / secrets.STORE_FILE).read_text()


def test_what_a_person_gives_is_kept_and_can_be_replaced(tmp_path: Path) -> None:
    tools = FakeTools()
    mine = store(tmp_path, tools)
    with pytest.raises(SecretError, match="run the playbook bootstrap first"):
        mine.give("second-store/access-key", "CANARY")
    mine.create()
    mine.ensure("clickhouse/admin")
    made = mine.get("clickhouse/admin")
    assert not mine.give("second-store/access-key", "CANARY-old")
    assert mine.give("second-store/access-key", "CANARY-new")
    assert not mine.ensure("second-store/access-key")
    assert mine.values() == {"clickhouse/admin": made, "second-store/access-key": "CANARY-new"}
    assert "CANARY-new" not in " ".join(word for call in tools.calls for word in call)


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    store(tmp_path).create()
    (tmp_path / secrets.KEY_FILE).unlink()
    with pytest.raises(SecretError, match="put the key back from a copy"):
        store(tmp_path).create()


def test_a_run_killed_between_key_and_file_goes_on(tmp_path: Path) -> None:
    store(tmp_path).create()
    key = (tmp_path / secrets.KEY_FILE).read_text()
    (tmp_path / secrets.STORE_FILE).unlink()
    assert store(tmp_path).create()
    assert (tmp_path / secrets.KEY_FILE).read_text() == key


def test_what_is_asked_for_too_early_is_refused(tmp_path: Path) -> None:
    mine = store(tmp_path)
    for ask in (lambda: mine.get("a/b"), lambda: mine.ensure("a/b")):
        with pytest.raises(SecretError, match="run the playbook bootstrap first"):
            ask()
    mine.create()
    with pytest.raises(SecretError, match='Secret "a/b" is not in the store'):
        mine.get("a/b")
    with pytest.raises(SecretError, match='kind "certificate" is not known'):
        mine.ensure("a/b", "certificate")


def test_all_values_cost_one_decryption(tmp_path: Path) -> None:
    tools = FakeTools()
    mine = store(tmp_path, tools)
    mine.create()
    mine.ensure_all(["a/b", "c/d"])
    before = len(tools.calls)
    assert mine.values() == {"a/b": mine.get("a/b"), "c/d": mine.get("c/d")}
    assert len(tools.calls) - before == 3


def test_a_failed_or_odd_encryption_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    tools = FakeTools()
    mine = store(tmp_path, tools)
    mine.create()
    mine.ensure("a/b")
    before = (tmp_path / secrets.STORE_FILE).read_text()
    tools.fail["encrypt"] = "no room"
    with pytest.raises(process.ToolError, match="Encrypting the secret store failed with exit code 1: no room"):
        mine.ensure("c/d")
    tools.fail.clear()
    tools._sops___config = lambda *_: process.Completed(0, "{}", "")  # type: ignore[method-assign]
    with pytest.raises(SecretError, match="left as it was"):
        mine._save({"x": "y"})
    assert (tmp_path / secrets.STORE_FILE).read_text() == before


def test_a_key_file_without_its_public_key(tmp_path: Path) -> None:
    mine = store(tmp_path)
    mine.create()
    (tmp_path / secrets.KEY_FILE).write_text("AGE-SECRET-KEY-CANARY\n")
    with pytest.raises(SecretError, match="does not tell its public key") as caught:
        mine.ensure("a/b")
    assert "CANARY" not in str(caught.value)


def test_with_the_real_programs(tmp_path: Path) -> None:
    (tmp_path / ".sops.yaml").write_text("creation_rules: [{age: nobody}]\n")  # another project's rules do not count
    mine = SecretStore(tmp_path, process.run)
    mine.create()
    mine.ensure_all(["a/b", "c/d"])
    again = SecretStore(tmp_path, process.run)
    assert again.get("a/b") != again.get("c/d")
    assert again.get("a/b") not in (tmp_path / secrets.STORE_FILE).read_text()


def test_a_seal_is_that_of_one_region_and_tells_nothing_else(tmp_path: Path) -> None:
    stores = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "age.key").write_text(f"key {name}", encoding="utf-8")
        stores.append(SecretStore(tmp_path / name, lambda *_args, **_more: None))  # type: ignore[arg-type]
    one, other = stores
    assert one.seal("hunter2") == one.seal("hunter2")
    assert one.seal("hunter2") != one.seal("hunter3")
    assert one.seal("hunter2") != other.seal("hunter2")
    assert "hunter2" not in one.seal("hunter2")
