from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    Outputs,
    Record,
    drop_record,
    load_record,
    save_record,
)

RECORD = Record("ready", "kind", "kontrol-r", "run-1", "2026-01-01T00:00:00Z", "https://x", "ca", "v1", ("a", "b"))


def test_a_record_comes_back_and_can_be_dropped(tmp_path: Path) -> None:
    assert load_record(tmp_path) is None
    save_record(tmp_path, RECORD)
    assert load_record(tmp_path) == RECORD
    drop_record(tmp_path)
    drop_record(tmp_path)
    assert load_record(tmp_path) is None


def test_unknown_content_is_refused(tmp_path: Path) -> None:
    state.write_json(tmp_path / "cluster.json", {"phase": "ready", "colour": "red"})
    with pytest.raises(state.StateError, match="unknown content"):
        load_record(tmp_path)


def test_outputs_are_json_and_compared_with_the_record() -> None:
    outputs = Outputs("kind", "kontrol-r", "https://x", "ca", "v1", ("a", "b"))
    assert '"api_server": "https://x"' in outputs.to_json()
    assert RECORD.matches(outputs)
    assert not RECORD.matches(Outputs("kind", "kontrol-r", "https://x", "other", "v1", ("a", "b")))
