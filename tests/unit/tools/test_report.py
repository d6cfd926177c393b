"""Reports of older runs, rendered again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import state
from tools import report


def test_an_old_report_is_rendered_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.write_json(tmp_path / "report.json", {"run": "1", "region": "r", "playbook": "verify", "status": "ok"})
    assert report.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/report.html\n"
    assert "verify of region r succeeded" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "junit.xml").is_file()


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path), str(tmp_path / "none")]) == 1
    assert capsys.readouterr().out.count("holds neither report nor journal") == 2
    assert list(tmp_path.iterdir()) == []
