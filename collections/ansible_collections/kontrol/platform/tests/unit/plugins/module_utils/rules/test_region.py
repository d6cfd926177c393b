"""Rules of the block region."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.rules.region import (
    COUNTRIES,
    PATTERNS,
    USUAL_RPO_MINUTES,
    rules,
)
from ansible_collections.kontrol.platform.plugins.module_utils.spec import load_roles


def block(**changed: Any) -> dict[str, dict[str, Any]]:
    return {"region": {"name": "br", "market": None, "rpo_minutes": 1560, "rto_minutes": 60} | changed}


def backed_up(schedule: str, timeout: int = 60, **changed: Any) -> list[str]:
    """The problems of a region with ClickHouse on a schedule, as text."""
    region = block(**changed) | {"clickhouse": {"backup_schedule": schedule, "backup_timeout": timeout}}
    return list(map(str, rules(region["region"], region)))


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


@pytest.mark.parametrize(
    ("schedule", "timeout", "target"),
    [("0 3 * * *", 60, 1500), ("0 3 * * *", 120, 1560), ("", 60, 1560), ("*/30 * * * *", 5, 35)],
)
def test_a_target_that_the_schedule_keeps(schedule: str, timeout: int, target: int) -> None:
    assert backed_up(schedule, timeout, rpo_minutes=target) == []


def test_a_target_that_no_schedule_keeps() -> None:
    (told,) = backed_up("0 3 * * *", rpo_minutes=1499)
    assert told == (
        'region.rpo_minutes: Expected at least 1500 minutes: backups of clickhouse ("0 3 * * *") are up to 1440 '
        "minutes apart, and one may take 60, found 1499"
    )
    (told,) = backed_up("0 3 * * 1", rpo_minutes=1560)
    assert "Expected at least 10140 minutes" in told
    (told,) = backed_up("", rpo_minutes=600)
    assert told.startswith("clickhouse.backup_schedule: Expected a schedule")
    assert "target of 600 minutes" in told


@pytest.mark.parametrize("schedule", ["daily", "61 * * * *", "0 3 * * 7"])
def test_a_schedule_that_is_none(schedule: str) -> None:
    (told,) = backed_up(schedule, rpo_minutes=1)
    assert told.startswith('clickhouse.backup_schedule: Expected five fields of cron in UTC such as "0 3 * * *"')
    assert f'found "{schedule}"' in told


def test_both_databases_are_judged_and_one_without_the_option_is_not() -> None:
    daily = {"backup_schedule": "0 3 * * *", "backup_timeout": 60}
    region = block(rpo_minutes=100) | {"clickhouse": daily, "neo4j": daily}
    assert len(rules(region["region"], region)) == 2
    region = block(rpo_minutes=100) | {"neo4j": {}}
    assert rules(region["region"], region) == []


@pytest.mark.parametrize("name", ["rpo_minutes", "rto_minutes"])
def test_a_target_is_a_year_at_most(name: str) -> None:
    for wrong in (0, 600_000):
        region = block(**{name: wrong})
        assert [one.path for one in rules(region["region"], region)] == [f"region.{name}"]
    assert load_roles(project_root())["region"].options["rpo_minutes"]["default"] == USUAL_RPO_MINUTES


def test_countries() -> None:
    assert len(COUNTRIES) == 249
    assert all(re.fullmatch("[A-Z]{2}", code) for code in COUNTRIES)


@pytest.mark.parametrize("name", ["a", "local", "eu-west-1", "a" * 20])
def test_names(name: str) -> None:
    assert re.fullmatch(PATTERNS["name"][0], name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a" * 21, "á"])
def test_what_is_no_name(name: str) -> None:
    assert not re.fullmatch(PATTERNS["name"][0], name)
