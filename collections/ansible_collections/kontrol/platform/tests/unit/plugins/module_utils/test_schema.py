"""Schemas are as strict as the argument specs are meant; every breach becomes one plain line."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.schema import (
    SchemaError,
    Source,
    closest,
    is_secret,
    judge,
    options_schema,
    path_parts,
    path_text,
)
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import load_marked

OPTIONS: dict[str, Any] = {
    "storage": {"type": "str", "required": True, "description": ["How much.", "A size."]},
    "replicas": {"type": "int", "default": 1},
    "ratio": {"type": "float"},
    "enabled": {"type": "bool"},
    "mode": {"type": "str", "choices": ["fast", "safe"]},
    "file": {"type": "path"},
    "labels": {"type": "dict"},
    "networks": {"type": "list", "elements": "str"},
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "pin": {"type": "int", "no_log": True},
            "password": {"type": "str"},
        },
    },
    "limits": {"type": "dict", "options": {"rows": {"type": "int"}}},
    "vault": {"type": "dict", "no_log": True, "options": {"path": {"type": "str"}}},
}
PATTERNS = {"storage": ("^[0-9]+Gi$", "a size such as 10Gi"), "networks[]": ("^[a-z]+$", "small letters")}


def lines(text: str, *, partial: bool = False) -> list[str]:
    data, positions = load_marked(text, "x.yml")
    schema = options_schema(OPTIONS, PATTERNS, "", partial=partial)
    return [str(problem) for problem in judge(schema, data, Source("x.yml", positions))]


def test_sound() -> None:
    text = """
    storage: 10Gi
    replicas: 3
    ratio: 1
    enabled: false
    mode: safe
    file: /a
    labels: {a: {b: [1]}}
    networks: [a, b]
    users: [{name: x, pin: 1}]
    limits: {}
    vault: {path: x}
    """
    assert lines(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("storage: 10G", ['x.yml:1: storage: Expected a size such as 10Gi, found "10G"']),
        ('storage: "10Gi\\n"', ['x.yml:1: storage: Expected a size such as 10Gi, found "10Gi\\n"']),
        ("storage: 10", ["x.yml:1: storage: Expected a size such as 10Gi, found 10: put it in quotes"]),
        ("storage:", ["x.yml:1: storage: Value is missing: it needs a size such as 10Gi"]),
        ("{}", ["x.yml:1: storage: Option is missing: it needs a size such as 10Gi"]),
        ("storage: {a: b}", ["x.yml:1: storage: Expected a size such as 10Gi, found a map"]),
        (
            "storage: 1Gi\nreplicas: '3'",
            ['x.yml:2: replicas: Expected a whole number, found "3": write it without quotes'],
        ),
        ("storage: 1Gi\nreplicas: many", ['x.yml:2: replicas: Expected a whole number, found "many"']),
        ("storage: 1Gi\nreplicas: 1.0", ["x.yml:2: replicas: Expected a whole number, found 1.0"]),
        ("storage: 1Gi\nreplicas: true", ["x.yml:2: replicas: Expected a whole number, found true"]),
        ("storage: 1Gi\nratio: .inf", ["x.yml:2: ratio: Expected a number, found Infinity"]),
        ("storage: 1Gi\nenabled: yes", ['x.yml:2: enabled: Expected true or false, found "yes": write true']),
        ('storage: 1Gi\nenabled: "Off"', ['x.yml:2: enabled: Expected true or false, found "Off": write false']),
        ("storage: 1Gi\nenabled: 1", ["x.yml:2: enabled: Expected true or false, found 1"]),
        ("storage: 1Gi\nenabled: 'maybe'", ['x.yml:2: enabled: Expected true or false, found "maybe"']),
        ("storage: 1Gi\nmode: quick", ['x.yml:2: mode: Expected one of fast, safe, found "quick"']),
        ("storage: 1Gi\nmode: [fast]", ["x.yml:2: mode: Expected one of fast, safe, found a list"]),
        ("storage: 1Gi\nmode:", ["x.yml:2: mode: Value is missing: it needs one of fast, safe"]),
        ("storage: 1Gi\nnetworks: a", ['x.yml:2: networks: Expected a list, found "a"']),
        ("storage: 1Gi\nnetworks:\n- a\n- A", ['x.yml:4: networks[1]: Expected small letters, found "A"']),
        ("storage: 1Gi\nlimits: [1]", ["x.yml:2: limits: Expected a map, found a list"]),
        ("storage: 1Gi\nlimits:", ["x.yml:2: limits: Value is missing: write {} to take every default"]),
        ("storage: 1Gi\nlimits: {row: 1}", ['x.yml:2: limits.row: Unknown option: did you mean "rows"']),
        ("storage: 1Gi\nlimits: {zzz: 1}", ["x.yml:2: limits.zzz: Unknown option: allowed are rows"]),
        ("storage: 1Gi\nusers: [{}]", ["x.yml:2: users[0].name: Option is missing: it needs text"]),
    ],
)
def test_breaches(text: str, expected: list[str]) -> None:
    assert lines(text) == expected


def test_all_at_once_in_the_order_of_the_file() -> None:
    text = "mode: x\nstorge: 1Gi\nlimits: {rows: x}\nenabled: no\n"
    assert [line.split(": ")[1] for line in lines(text)] == ["storage", "mode", "storge", "limits.rows", "enabled"]


def test_in_a_part_nothing_is_required() -> None:
    assert lines("users: [{pin: 1}]", partial=True) == []
    assert lines("storage:", partial=True) == ["x.yml:1: storage: Value is missing: it needs a size such as 10Gi"]


@pytest.mark.parametrize(
    "text",
    [
        "storage: 1Gi\nusers: [{name: a, pin: CANARY}]",
        "storage: 1Gi\nusers: [{name: a, password: [CANARY]}]",
        "storage: 1Gi\nusers: [{name: a, password: {CANARY: 1}}]",
        "storage: 1Gi\nvault: {path: [CANARY]}",
        "storage: 1Gi\nvault: CANARY",
        "storage: 1Gi\nadmin: {password: CANARY}",
    ],
)
def test_no_secret_is_shown(text: str) -> None:
    assert len(lines(text)) == 1
    assert "CANARY" not in "".join(lines(text))


def test_what_may_be_a_secret() -> None:
    schema = options_schema(OPTIONS, {}, "")
    secret = [("users", 0, "pin"), ("users", 0, "password"), ("vault", "path"), ("x", "api_key"), ("authToken",)]
    assert [is_secret(schema, path) for path in secret] == [True] * len(secret)
    assert not is_secret(schema, ("users", 0, "name"))
    assert not is_secret(schema, ("limits", "rows"))


def test_a_value_is_located_in_the_file_that_it_came_from() -> None:
    _data, own = load_marked("\nmode: x\n", "own.yml")
    _data, shared = load_marked("\n\nreplicas: x\nmode: y\n", "shared.yml")
    sources = Source("own.yml", own), Source("shared.yml", shared)
    schema = options_schema(OPTIONS, PATTERNS, "")
    found = judge(schema, {"mode": "x", "replicas": "x"}, *sources)
    assert [problem.file for problem in found] == ["own.yml:2", "own.yml:2", "shared.yml:3"]
    assert Source("x.yml").locate(("a", "b")) == "x.yml"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"type": "raw"}, "Option x: the judge does not know the type raw"),
        ({"type": "list"}, "Option x: a list names the type of its elements"),
        ({"type": "list", "elements": "json"}, r"Option x\[\]: the judge does not know the type json"),
        ({"aliases": ["y"], "removed": 1}, r"Option x: the judge does not know \['aliases', 'removed'\]"),
        ({"type": "dict", "options": {"y": {"type": "sid"}}}, r"Option x\.y: the judge does not know the type sid"),
    ],
)
def test_an_argument_spec_that_the_judge_cannot_hold_a_spec_to(option: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        options_schema({"x": option}, {}, "")


def test_what_an_editor_shows() -> None:
    found = options_schema(OPTIONS, PATTERNS, "")["properties"]
    assert found["storage"]["description"] == "How much. A size."
    assert found["replicas"]["default"] == 1
    assert found["users"]["items"]["properties"]["pin"]["writeOnly"]


@pytest.mark.parametrize("path", [("a",), ("a", "b"), ("a", 0, "b"), ("a", 0, 12)])
def test_paths(path: tuple[str | int, ...]) -> None:
    assert path_parts(path_text(path)) == path


def test_closest() -> None:
    assert closest("storge", ["storage", "stage"]) == 'did you mean "storage"'
    assert closest("xyz", ["storage"]) == ""
