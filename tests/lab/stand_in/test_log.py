"""The stand-in's log: the server's text format, as collectors take it apart, rotated by size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import collector_logs
from lab.images.clickhouse.clickhouse_stand_in import config, log

if TYPE_CHECKING:
    from pathlib import Path


def settings(file: Path | None, size: int = 1000) -> config.Logger:
    return config.Logger(console=True, file=file, size=size, count=2)


def test_the_file_is_what_a_collector_expects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.start(settings(tmp_path / "server.log"))
    log.LOG.error("%s", "Code: 62. DB::Exception: Syntax error\n0. frame", extra={"who": "executeQuery"})
    text = (tmp_path / "server.log").read_text()
    assert capsys.readouterr().out == text
    found = re.search(collector_logs.receiver("clickhouse")["operators"][0]["regex"], text)
    assert found is not None
    assert found["severity"] == "Error"
    assert found["message"] == "executeQuery: Code: 62. DB::Exception: Syntax error\n0. frame\n"


def test_the_file_is_rotated_by_size(tmp_path: Path) -> None:
    log.start(settings(tmp_path / "server.log"))
    for _ in range(100):
        log.LOG.info("Fifty bytes and more of something that is worth to tell")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["server.log", "server.log.1", "server.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


@pytest.mark.parametrize(("text", "expected"), [("1000", 1000), ("8M", 8 << 20), ("100K", 102400), ("1G", 1 << 30)])
def test_a_size_may_have_a_unit(text: str, expected: int) -> None:
    assert config.size(text) == expected
