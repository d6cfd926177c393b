"""Rules of the block region."""

from __future__ import annotations

import re

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules.region import COUNTRIES, PATTERNS, rules


def block(**changed: str | None) -> dict[str, dict[str, str | None]]:
    return {"region": {"name": "br", "market": None} | changed}


@pytest.mark.parametrize("changed", [{}, {"market": "BR"}, {"market": "NO"}])
def test_sound(changed: dict[str, str]) -> None:
    region = block(**changed)
    assert rules(region["region"], region) == []


def test_everything_that_is_wrong() -> None:
    region = block(name="all", market="UK")
    assert list(map(str, rules(region["region"], region))) == [
        'region.name: The name has a meaning in Ansible, found "all": choose another',
        'region.market: No country has this ISO 3166-1 code, found "UK"',
    ]


def test_countries() -> None:
    assert len(COUNTRIES) == 249
    assert all(re.fullmatch("[A-Z]{2}", code) for code in COUNTRIES)


@pytest.mark.parametrize("name", ["a", "local", "eu-west-1", "a" * 20])
def test_names(name: str) -> None:
    assert re.fullmatch(PATTERNS["name"][0], name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a" * 21, "á"])
def test_what_is_no_name(name: str) -> None:
    assert not re.fullmatch(PATTERNS["name"][0], name)
