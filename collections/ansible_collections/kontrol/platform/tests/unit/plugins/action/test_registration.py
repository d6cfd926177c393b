"""The register keeps what was decided, once; and status tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.action import registration as plugin
from ansible_collections.kontrol.platform.plugins.module_utils import identity, register, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

ARGS = {
    "region": "r",
    "spec": "/i/r/region.yml",
    "market": "ES",
    "driver": "kind",
    "location": "local",
    "reasons": ["x"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(plugin, "current_run", lambda: "run-1")
    return state.make_private_dir(tmp_path / "kontrol" / "r")


def registered(*, check: bool = False, **args: Any) -> str:
    action = object.__new__(plugin.ActionModule)
    action._task = type("Task", (), {"check_mode": check})()
    (told,) = action.execute({**ARGS, **args}, {})["kontrol_objects"]
    return str(told["verb"])


def test_an_entry_is_made_once_and_follows_the_spec(folder: Path) -> None:
    identity.ensure(folder, "r", "run-1")
    assert register.told(folder).startswith("no")
    assert [registered(), registered(), registered(market="DE"), registered(market="DE")] == [
        *("create", "none", "update", "none")
    ]
    assert register.told(folder).startswith("market DE, kind local, since ")


def test_check_mode_writes_no_entry(folder: Path) -> None:
    assert registered(check=True) == "create"
    assert register.read(folder) is None


def test_a_region_without_identity_is_refused(folder: Path) -> None:
    with pytest.raises(KontrolError, match="no identity"):
        registered()
