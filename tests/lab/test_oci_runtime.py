from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import oci_runtime
from lab.oci_runtime import CAPABILITIES, bounding, missing, option, trim

FULL = (1 << len(CAPABILITIES)) - 1
NO_RESOURCE = FULL & ~(1 << CAPABILITIES.index("SYS_RESOURCE"))


def test_numbers_of_capabilities() -> None:
    numbers = {"CHOWN": 0, "NET_ADMIN": 12, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "CHECKPOINT_RESTORE": 40}
    assert {name: CAPABILITIES.index(name) for name in numbers} == numbers


def test_bounding_set_of_a_status_file() -> None:
    assert bounding("CapEff:\t0\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n") == NO_RESOURCE


def test_missing_names_only_what_the_kernel_has() -> None:
    assert missing(FULL, 40) == []
    assert missing(NO_RESOURCE, 40) == ["CAP_SYS_RESOURCE"]
    assert missing(FULL >> 1, 39) == []


def test_trim_keeps_the_granted_and_lifts_the_score() -> None:
    process = {
        "args": ["x"],
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": []},
        "oomScoreAdj": -500,
    }
    assert trim(process, NO_RESOURCE) == {
        "args": ["x"],
        "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []},
        "oomScoreAdj": 0,
    }
    assert process["oomScoreAdj"] == -500
    assert trim({"oomScoreAdj": 7}, FULL) == {"oomScoreAdj": 7}


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["create", "--bundle", "/b", "id"], "/b"),
        (["create", "--bundle=/b", "id"], "/b"),
        (["create", "-b", "/b"], "/b"),
        (["create", "--bundle"], None),
        (["start", "id"], None),
    ],
)
def test_option(argv: list[str], value: str | None) -> None:
    assert option(argv, "--bundle", "-b") == value


class BecameError(Exception):
    """The shim became runc."""


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []

    def execv(path: str, argv: list[str]) -> None:
        seen.append((path, argv))
        raise BecameError

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(oci_runtime, "bounding", lambda status: NO_RESOURCE)
    return seen


def test_create_edits_the_bundle(tmp_path: Path, become: list[Any]) -> None:
    config = tmp_path / "config.json"
    process = {"capabilities": {"effective": ["CAP_SYS_RESOURCE", "CAP_KILL"]}}
    config.write_text(json.dumps({"ociVersion": "1", "process": process}))
    argv = ["--log", "x", "create", "--bundle", str(tmp_path), "id"]
    with pytest.raises(BecameError):
        oci_runtime.main(argv)
    edited = json.loads(config.read_text())
    assert edited == {"ociVersion": "1", "process": {"capabilities": {"effective": ["CAP_KILL"]}}}
    assert become[0][1] == ["runc", *argv]


def test_exec_edits_the_process_file(tmp_path: Path, become: list[Any]) -> None:
    process = tmp_path / "process.json"
    process.write_text(json.dumps({"capabilities": {"effective": ["CAP_SYS_RESOURCE"]}}))
    with pytest.raises(BecameError):
        oci_runtime.main(["exec", "--process", str(process), "id"])
    assert json.loads(process.read_text()) == {"capabilities": {"effective": []}}


def test_other_commands_edit_nothing(become: list[Any]) -> None:
    with pytest.raises(BecameError):
        oci_runtime.main(["delete", "id"])
    assert become[0][1] == ["runc", "delete", "id"]
