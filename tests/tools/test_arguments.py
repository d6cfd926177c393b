"""Arguments of the tools: a file of steps, values judged where they are used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from images.tools.kontrol_tools import arguments
from images.tools.kontrol_tools.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path


def test_steps_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "args.json"
    path.write_text(json.dumps({"steps": [{"command": "probe"}]}))
    assert arguments.load(path) == [{"command": "probe"}]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"steps": []}', '{"steps": [1]}'])
def test_a_file_without_steps_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "args.json"
    path.write_text(content)
    with pytest.raises(ArgumentError, match=r"args\.json"):
        arguments.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Cannot read arguments"):
        arguments.load(tmp_path / "none.json")


@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
def test_text_must_be_text(value: object) -> None:
    with pytest.raises(ArgumentError, match="'host' must be a text"):
        arguments.text({"host": value}, "host")


@pytest.mark.parametrize("value", [None, "5", True, -1])
def test_number_must_be_a_number(value: object) -> None:
    with pytest.raises(ArgumentError, match="'port' must be a number"):
        arguments.number({"port": value}, "port")


def test_defaults_are_used() -> None:
    assert arguments.text({}, "path", "/") == "/"
    assert arguments.number({}, "timeout", 3) == 3.0


def test_objects_must_be_objects() -> None:
    with pytest.raises(ArgumentError, match="'endpoints' must be a list of objects"):
        arguments.objects({"endpoints": ["x"]}, "endpoints")


def test_a_secret_file_is_read_without_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a b\n")
    assert arguments.secret(str(path)) == "a b"


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Cannot read the secret file"):
        arguments.secret(str(tmp_path / "none"))
