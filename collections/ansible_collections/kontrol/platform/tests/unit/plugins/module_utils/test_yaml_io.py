"""YAML is read as data, as the clients of the Kubernetes API read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import (
    YamlError,
    load,
    load_all,
    load_marked,
    read_text,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("=", "="),
        ("2026-11-25", "2026-11-25"),
        ("1:30", "1:30"),
        ("0644", 0o644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("0b101", 5),
        ("-12_000", -12000),
        ("0", 0),
        ("0899", 899.0),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("", None),
        ("~", None),
        ("Null", None),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("'5'", "5"),
        ("10.244.0.0/16", "10.244.0.0/16"),
        ("1.2.3", "1.2.3"),
        ("<<", "<<"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    found = load(f"key: {text}", "x.yml")["key"]
    assert (type(found), found) == (type(value), value)


def test_not_a_number() -> None:
    assert math.isnan(load("key: .nan", "x.yml")["key"])


def test_a_crd_with_a_bare_equals_sign_in_an_enum() -> None:
    assert load("enum: [=, '!=', =~, !!str =]", "x.yml") == {"enum": ["=", "!=", "=~", "="]}


def test_keys_are_text_with_their_spelling_kept() -> None:
    assert load("{8443: a, true: b, yes: c, 1.10: d}", "x.yml") == {"8443": "a", "true": "b", "yes": "c", "1.10": "d"}


def test_documents() -> None:
    assert load_all("a: 1\n---\n---\nb: 2\n", "x.yml") == [{"a": 1}, None, {"b": 2}]
    assert load_all("# nothing\n", "x.yml") == []
    assert load_all("---\n", "x.yml") == [None]
    assert load("", "x.yml") is None


def test_anchors_and_merge_keys_with_the_map_itself_winning() -> None:
    text = "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\nmany: {<<: [{a: 8}, *base]}\n"
    assert load(text, "x.yml") == {"base": {"a": 1, "b": 2}, "one": {"a": 1, "b": 3}, "many": {"a": 8, "b": 2}}


def test_positions() -> None:
    _data, positions = load_marked("# first\na:\n  b: [1,\n    {c: 2}]\n", "x.yml")
    assert positions == {
        (): (2, 1),
        ("a",): (2, 1),
        ("a", "b"): (3, 3),
        ("a", "b", 0): (3, 7),
        ("a", "b", 1): (4, 5),
        ("a", "b", 1, "c"): (4, 6),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", '3:1: Key "a" stands twice in one map'),
        ('a: 1\n"a": 3\n', '2:1: Key "a" stands twice in one map'),
        ("a: 1\n---\nb: 2\n", '3:1: One document is wanted, a second one follows: remove the "---"'),
        ("a: !vault x\n", '1:4: Tag "!vault" is not allowed: only plain data is read'),
        ("a: !!set {x}\n", '1:4: Tag "!!set" is not allowed: only plain data is read'),
        ("a: !own [x]\n", '1:4: Tag "!own" is not allowed: only plain data is read'),
        ("a: !!int x\n", '1:4: Tag "!!int" does not fit its text'),
        ("a: !!bool 1\n", '1:4: Tag "!!bool" does not fit its text'),
        ("a: &a [*a]\n", "1:4: An anchor must not contain itself"),
        ("<<: 5\n", '1:5: The merge key "<<" wants a map or a list of maps'),
        ("{[1]: 2}\n", "1:2: A key must be text"),
        ("? \n: 2\n", "1:2: A key must be text"),
        ("a: b: c\n", "1:5: Cannot be read as YAML: mapping values are not allowed in this context"),
        ("a: *b\n", "1:4: Cannot be read as YAML: found undefined alias"),
        (
            "a: [1\nb: 2\n",
            "2:2: Cannot be read as YAML: did not find expected ',' or ']' while parsing a flow sequence",
        ),
        (
            "a:\n\tb: 1\n",
            (
                "2:1: Cannot be read as YAML: "
                "found character that cannot start any token while scanning for the next token"
            ),
        ),
        ("a: 1\nb: \x07\n", "2:4: Character U+0007 is not allowed in YAML"),
        ("[" * 900 + "]" * 900, "1:1: Cannot be read as YAML: nested too deeply"),
        ("[" * 20000, "1:1001: Cannot be read as YAML: exceeded maximum nesting depth while increasing flow level"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(YamlError) as error:
        load(text, "x.yml")
    assert str(error.value) == f"x.yml:{message}"


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load(read_text(file), "x.yml") == {"a": 1}


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_bytes(b"a: 1\nb: Espa\xf1a\n")
    with pytest.raises(YamlError) as error:
        read_text(file)
    assert str(error.value) == f"{file}:2:8: Byte 0xf1 is not UTF-8: save the file as UTF-8"
