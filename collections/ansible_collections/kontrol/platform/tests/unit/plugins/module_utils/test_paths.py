"""State and cache follow the XDG Base Directory Specification."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import paths


def test_xdg_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert paths.state_root() == Path("/s/kontrol")
    assert paths.cache_root() == Path("/c/kontrol")
    assert paths.region_state("local") == Path("/s/kontrol/local")
    assert paths.lab_file() == Path("/s/kontrol/lab.json")


@pytest.mark.parametrize("setting", [None, "", "relative"])
def test_without_a_usable_variable_the_home_counts(monkeypatch: pytest.MonkeyPatch, setting: str | None) -> None:
    monkeypatch.setenv("HOME", "/h")
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
        if setting is not None:
            monkeypatch.setenv(name, setting)
    assert paths.state_root() == Path("/h/.local/state/kontrol")
    assert paths.cache_root() == Path("/h/.cache/kontrol")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a"])
def test_a_region_never_leads_out_of_the_state_folder(name: str) -> None:
    with pytest.raises(ValueError, match="A region name is one path part"):
        paths.region_state(name)


def test_project_root_holds_the_project() -> None:
    assert (paths.project_root() / "artifacts.yml").is_file()


def test_components_are_chosen_by_a_verb_of_their_role_and_keep_their_order() -> None:
    names = ["neo4j", "mesh", "clickhouse", "nothing"]
    assert paths.components_with("restore", names) == ["neo4j", "clickhouse"]
    assert paths.components_with("celebrate", names) == []


def test_a_path_is_shown_from_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.shown(tmp_path / "a" / "b") == "a/b"
    assert paths.shown(Path("/elsewhere/b")) == "/elsewhere/b"
