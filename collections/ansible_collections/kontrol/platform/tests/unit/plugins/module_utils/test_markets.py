"""A market is decided by residency, distance and preference; every contradiction of a spec or of the file is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kontrol.platform.plugins.module_utils.markets import (
    Candidate,
    Decision,
    Point,
    Policy,
    decide,
    distance_km,
    explain,
    load_policy,
)
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import ProblemsError, render
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import YamlError

ROOT = project_root()
CLOUDS = ("aws", "gcp")
ALL = ("kind", *CLOUDS)
COUNTRY = "Expected an ISO 3166-1 country code, such as BR"
MARKETS = ("AU", "BR", "CA", "DE", "ES", "GB", "IN", "JP", "MX", "SG")
OWN = load_policy(ROOT / "markets.yml")
"""The project's policy: judged here as it is."""
TEXT = """\
locations:
  aws:
    near-2: {country: ES, city: Near, latitude: 0, longitude: 1}
    far-1: {country: ES, city: Far, latitude: 0, longitude: 20}
    abroad-1: {country: FR, city: Abroad, latitude: 0, longitude: 0}
    shared-1: {country: FR, city: Shared, latitude: 0, longitude: 0}
  gcp:
    there1: {country: ES, city: There, latitude: 0, longitude: 0}
    near2: {country: ES, city: Near, latitude: 0, longitude: 1}
    near1: {country: ES, city: Near, latitude: 0, longitude: 1}
    shared-1: {country: FR, city: Shared, latitude: 0, longitude: 0}
markets:
  ES:
    name: Spain
    exchange: {name: BME, city: Madrid, latitude: 0, longitude: 0}
    residency: {countries: [ES], reason: the law}
    max_distance: {km: 1500, reason: the budget}
    prefer: {drivers: [aws, gcp], reason: the habit}
  FR:
    name: France
    exchange: {name: Euronext, city: Paris, latitude: 0, longitude: 0}
    residency: {countries: [FR], reason: the law}
    max_distance: {km: 1500, reason: the budget}
    prefer: {drivers: [aws], reason: no other}
"""


def load(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "markets.yml"
    file.write_text(text, encoding="utf-8")
    return load_policy(file)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(tmp_path, TEXT)


def decided(answer: Any) -> Decision:
    assert isinstance(answer, Decision), [str(one) for one in answer]
    return answer


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [f"{one.location.driver} {one.location.code}" for one in candidates]


# --- the project's own policy


def test_the_policy_has_ten_markets_and_two_clouds() -> None:
    assert tuple(OWN.markets) == MARKETS
    assert OWN.drivers == CLOUDS


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("driver", [None, *CLOUDS])
def test_every_market_has_a_sound_location_on_every_cloud(market: str, driver: str | None) -> None:
    decision, rule = decided(decide(OWN, market, driver, None, CLOUDS)), OWN.markets[market]
    chosen = next(one for one in OWN.locations if (one.driver, one.code) == (decision.driver, decision.location))
    assert chosen.driver in ((driver,) if driver else rule.drivers[:1])
    assert chosen.country in rule.countries
    assert distance_km(rule.point, chosen.point) <= rule.max_distance_km


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("driver", [None, *CLOUDS])
def test_each_location_is_the_choice_or_an_alternative_or_refused(market: str, driver: str | None) -> None:
    decision = decided(decide(OWN, market, driver, None, CLOUDS))
    told = [
        f"{decision.driver} {decision.location}",
        *names(decision.alternatives),
        *names(decision.refused),
    ]
    assert sorted(told) == sorted(f"{one.driver} {one.code}" for one in OWN.locations)
    assert all(one.refusal for one in decision.refused)
    assert not any(one.refusal for one in decision.alternatives)
    assert names(decision.refused) == sorted(names(decision.refused))


@pytest.mark.parametrize("market", MARKETS)
def test_without_the_choice_the_next_alternative_is_chosen_to_the_last(market: str) -> None:
    policy = OWN
    decision = decided(decide(policy, market, None, None, CLOUDS))
    while decision.alternatives:
        gone, after = (decision.driver, decision.location), decision.alternatives
        left = tuple(one for one in policy.locations if (one.driver, one.code) != gone)
        policy = replace(policy, locations=left)
        decision = decided(decide(policy, market, None, None, CLOUDS))
        assert [f"{decision.driver} {decision.location}", *names(decision.alternatives)] == names(after)
    assert len(policy.locations) < len(OWN.locations)


@pytest.mark.parametrize("market", MARKETS)
def test_what_was_decided_may_be_written_into_the_spec(market: str) -> None:
    decision = decided(decide(OWN, market, None, None, CLOUDS))
    for driver in (None, decision.driver):
        again = decided(decide(OWN, market, driver, decision.location, CLOUDS))
        assert (again.driver, again.location) == (decision.driver, decision.location)


@pytest.mark.parametrize("market", MARKETS)
def test_whatever_a_spec_names_is_accepted_just_when_the_policy_allows_it(market: str) -> None:
    free = decided(decide(OWN, market, None, None, CLOUDS))
    allowed = {f"{free.driver} {free.location}", *names(free.alternatives)}
    for one in OWN.locations:
        accepted = isinstance(decide(OWN, market, one.driver, one.code, CLOUDS), Decision)
        assert accepted == (f"{one.driver} {one.code}" in allowed), one


def reordered(data: Any) -> Any:
    """Return data with the entries of every map in the other order."""
    if not isinstance(data, dict):
        return data
    return {key: reordered(data[key]) for key in reversed(data)}


def test_the_order_of_the_file_decides_nothing(tmp_path: Path) -> None:
    text = (ROOT / "markets.yml").read_text(encoding="utf-8")
    other = load(tmp_path, yaml.safe_dump(reordered(yaml.safe_load(text)), sort_keys=False, allow_unicode=True))
    assert list(yaml.safe_load(text)["markets"]) != list(reversed(yaml.safe_load(text)["markets"]))
    assert other == OWN
    for market in MARKETS:
        assert decide(other, market, None, None, CLOUDS) == decide(OWN, market, None, None, CLOUDS)
        assert list(other.markets) == list(OWN.markets)


def test_the_order_of_the_locations_decides_nothing(policy: Policy) -> None:
    other = replace(policy, locations=policy.locations[::-1])
    assert decide(other, "ES", None, None, CLOUDS) == decide(policy, "ES", None, None, CLOUDS)


def table(policy: Policy) -> Iterator[str]:
    """The rows of the guide's table."""
    yield "| market | exchange | chosen | aws | gcp |"
    yield "|---|---|---|---|---|"
    for code, market in policy.markets.items():
        row = [f"{code} {market.name}", f"{market.exchange}, {market.city}"]
        row.append(decided(decide(policy, code, None, None, CLOUDS)).driver)
        for driver in CLOUDS:
            answer = decide(policy, code, driver, None, CLOUDS)
            if isinstance(answer, Decision):
                (chosen,) = (one for one in policy.locations if (one.driver, one.code) == (driver, answer.location))
                row.append(f"`{chosen.code}` {chosen.city}, {distance_km(market.point, chosen.point):,} km")
            else:
                row.append("none")
        yield f"| {' | '.join(row)} |"


def test_the_table_in_the_guide_is_what_the_policy_decides() -> None:
    guide = (ROOT / "docs" / "guides" / "adding_a_market.md").read_text(encoding="utf-8")
    shown = [line for line in guide.splitlines() if re.match(r"\| ([A-Z]{2} |market \| exchange)", line)]
    wanted = [line for line in table(OWN) if not line.startswith("|---")]
    assert shown == wanted, "the table in the guide is stale, it should be\n" + "\n".join(table(OWN))


# --- distance


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        (Point(0, 0), Point(0, 0), 0),
        (Point(0, 0), Point(0, 90), 10008),  # a quarter of the equator: pi / 2 x 6371.0088
        (Point(0, 0), Point(0, 180), 20015),
        (Point(90, 0), Point(-90, 0), 20015),
        (Point(0, 179.5), Point(0, -179.5), 111),  # over the date line
        (Point(51.51, -0.13), Point(48.86, 2.35), 343),  # London, Paris
        (Point(40.42, -3.70), Point(-33.87, 151.21), 17684),  # Madrid, Sydney
    ],
)
def test_distances_are_great_circles(one: Point, other: Point, km: int) -> None:
    assert [distance_km(*pair) for pair in ((one, other), (other, one))] == [km, km]


def test_opposite_places_have_a_distance_though_numbers_are_rounded() -> None:
    assert {distance_km(Point(at / 100, 0), Point(-at / 100, 180)) for at in range(9001)} == {20015}


# --- decisions


def test_the_preferred_driver_wins_then_distance_then_code(policy: Policy) -> None:
    decision = decided(decide(policy, "ES", None, None, CLOUDS))
    assert (decision.driver, decision.location) == ("aws", "near-2")
    assert names(decision.alternatives) == ["gcp there1", "gcp near1", "gcp near2"]
    assert [one.distance_km for one in decision.alternatives] == [0, 111, 111]


def test_each_refused_location_has_one_reason(policy: Policy) -> None:
    decision = decided(decide(policy, "ES", None, None, ["gcp"]))
    assert decision.driver == "gcp"
    assert {f"{one.location.driver} {one.location.code}": one.refusal for one in decision.refused} == {
        "aws abroad-1": "another country",
        "aws far-1": "2,224 km from the exchange, more than 1,500 allowed",
        "aws near-2": "driver aws not available here",
        "aws shared-1": "another country",
        "gcp shared-1": "another country",
    }


def test_a_driver_may_be_kept_from_a_market(policy: Policy) -> None:
    refused = {one.location.driver: one.refusal for one in decided(decide(policy, "FR", None, None, CLOUDS)).refused}
    assert refused["gcp"] == "another country"  # the last of gcp; the one in France comes before
    decision = decided(decide(policy, "FR", None, "abroad-1", CLOUDS))
    assert "driver gcp is not among those of this market: aws" in [one.refusal for one in decision.refused]


def test_a_decision_tells_its_reasons(policy: Policy) -> None:
    assert decided(decide(policy, "ES", None, None, CLOUDS)).reasons == (
        "residency: ES is the own country where data may be kept: the law",
        "distance: 111 km from BME in Madrid, 1,500 allowed: the budget",
        "preference: aws, then gcp: the habit",
        "given by the spec: market ES",
    )
    assert decided(decide(policy, "ES", None, None, ["gcp"])).reasons[2] == (
        "preference: aws, then gcp: the habit; driver aws not available here"
    )
    assert decided(decide(policy, "ES", "gcp", None, CLOUDS)).reasons[2:] == (
        "preference: not asked, the spec decides on the driver",
        "given by the spec: market ES, driver gcp",
    )
    assert decided(decide(policy, "ES", None, "near2", CLOUDS)).reasons[3] == (
        "given by the spec: market ES, location near2; the driver follows from the location"
    )


def test_a_driver_of_the_spec_limits_the_alternatives(policy: Policy) -> None:
    decision = decided(decide(policy, "ES", "gcp", None, CLOUDS))
    assert (decision.location, names(decision.alternatives)) == ("there1", ["gcp near1", "gcp near2"])
    assert "the spec names the driver gcp" in [one.refusal for one in decision.refused]


@pytest.mark.parametrize("market", [None, "ES"])
@pytest.mark.parametrize(("driver", "location"), [("kind", None), ("kind", "local"), (None, "local")])
def test_this_machine_is_accepted_when_the_spec_names_it(
    policy: Policy, market: str | None, driver: str | None, location: str | None
) -> None:
    decision = decided(decide(policy, market, driver, location, ["kind"]))
    assert (decision.driver, decision.location) == ("kind", "local")
    assert "preference: this machine; for development, never chosen by the policy" in decision.reasons
    assert (decision.alternatives, decision.refused) == ((), ())


@pytest.mark.parametrize("market", MARKETS)
def test_this_machine_is_never_chosen(market: str) -> None:
    assert decided(decide(OWN, market, None, None, ALL)).driver != "kind"
    assert isinstance(decide(OWN, market, None, None, ["kind"]), list)


def test_without_a_market_a_driver_and_a_location_are_taken_as_they_are(policy: Policy) -> None:
    decision = decided(decide(policy, None, None, "far-1", CLOUDS))
    assert (decision.driver, decision.location) == ("aws", "far-1")
    assert decision.reasons == (
        "residency: not judged, the spec names no market",
        "distance: not judged, the spec names no market",
        "preference: not asked, the spec decides on the driver",
        "given by the spec: location far-1; the driver follows from the location",
    )


def test_a_decision_is_explained_in_lines_for_a_terminal(policy: Policy) -> None:
    assert explain(decided(decide(policy, "ES", "aws", None, CLOUDS))) == [
        "driver aws, location near-2",
        "because:",
        "  residency: ES is the own country where data may be kept: the law",
        "  distance: 111 km from BME in Madrid, 1,500 allowed: the budget",
        "  preference: not asked, the spec decides on the driver",
        "  given by the spec: market ES, driver aws",
        "refused:",
        "  another country: aws abroad-1 (Abroad, FR), aws shared-1 (Shared, FR), gcp shared-1 (Shared, FR)",
        "  2,224 km from the exchange, more than 1,500 allowed: aws far-1 (Far, ES)",
        "  the spec names the driver aws: gcp near1 (Near, ES), gcp near2 (Near, ES), gcp there1 (There, ES)",
    ]
    assert "alternatives:" in explain(decided(decide(policy, "ES", None, None, CLOUDS)))
    assert "  gcp near1 (Near, ES): 111 km" in explain(decided(decide(policy, "ES", None, None, CLOUDS)))


@pytest.mark.parametrize("market", MARKETS)
def test_no_line_of_an_explanation_is_too_wide(market: str) -> None:
    lines = explain(decided(decide(OWN, market, None, None, CLOUDS)))
    assert max(map(len, lines)) <= 100


# --- contradictions

CONTRADICTIONS: dict[tuple[str | None, str | None, str | None, Sequence[str]], str] = {
    (None, None, None, ALL): (
        "region.market: There is nothing to decide a driver and a location by: "
        "give region.market, one of ES, FR; or region.driver and region.location"
    ),
    (None, "aws", None, ALL): (
        "region.location: Without a market no location of aws can be chosen: give region.market or region.location"
    ),
    ("EX", None, None, ALL): (
        'region.market: The policy knows no such market: known are ES, FR, found "EX": did you mean "ES"'
    ),
    ("Frence", None, None, ALL): (
        'region.market: The policy knows no such market: known are ES, FR, found "Frence": did you mean "FR"'
    ),
    ("es", None, None, ALL): (
        'region.market: The policy knows no such market: known are ES, FR, found "es": did you mean "ES"'
    ),
    ("EE", None, None, ALL): (  # Estonia is one letter away from Spain, and no slip
        'region.market: The policy knows no such market: known are ES, FR, found "EE": add it to markets.yml'
    ),
    ("ES", "asw", None, ALL): 'region.driver: The policy knows no such driver, found "asw": did you mean "aws"',
    ("ES", "openstack", None, ALL): (
        'region.driver: The policy knows no such driver, found "openstack": known are aws, gcp, kind'
    ),
    ("ES", "gcp", "near-2", ALL): (
        'region.location: This is a location of aws, not of gcp, found "near-2": '
        "write region.driver: aws, or leave region.location out"
    ),
    ("ES", "kind", "near-2", ALL): (
        'region.location: This is a location of aws, not of kind, found "near-2": '
        "write region.driver: aws, or leave region.location out"
    ),
    ("ES", "aws", "local", ALL): (
        'region.location: This is a location of kind, not of aws, found "local": '
        "write region.driver: kind, or leave region.location out"
    ),
    ("ES", None, "naer-2", ALL): (
        'region.location: The policy knows no such location, found "naer-2": did you mean "near-2"'
    ),
    ("ES", "gcp", "moon", ALL): (
        'region.location: The policy knows no such location, found "moon": known are near1, near2, shared-1, there1'
    ),
    ("ES", None, "shared-1", ALL): (
        "region.driver: The location shared-1 is one of aws and of gcp: give region.driver"
    ),
    ("ES", None, "abroad-1", ALL): (
        "region.location: aws abroad-1 (Abroad, FR) is not allowed for the market ES: another country, "
        'found "abroad-1": allowed are aws near-2, gcp there1, gcp near1, gcp near2'
    ),
    ("ES", "aws", "far-1", ("kind",)): (  # too far comes before not there yet
        "region.location: aws far-1 (Far, ES) is not allowed for the market ES: 2,224 km from the exchange, more "
        'than 1,500 allowed, found "far-1": allowed are aws near-2, gcp there1, gcp near1, gcp near2'
    ),
    ("FR", "gcp", "shared-1", ALL): (
        "region.location: gcp shared-1 (Shared, FR) is not allowed for the market FR: driver gcp is not among those "
        'of this market: aws, found "shared-1": allowed are aws abroad-1, aws shared-1'
    ),
    ("FR", "gcp", None, ALL): (
        'region.driver: No location of this driver is allowed for the market FR, found "gcp": '
        "allowed are aws abroad-1, aws shared-1"
    ),
    ("ES", None, None, ("kind",)): (
        "region.driver: The policy would choose aws near-2 (Near, ES), but the driver aws is not available yet: "
        "available are kind"
    ),
    ("ES", "gcp", None, ("kind", "aws")): (
        "region.driver: The policy would choose gcp there1 (There, ES), but the driver gcp is not available yet, "
        'found "gcp": available are aws, kind'
    ),
    ("ES", "gcp", "near2", ("kind",)): (
        "region.driver: The policy allows gcp near2 (Near, ES), but the driver gcp is not available yet, "
        'found "gcp": available are kind'
    ),
    ("ES", None, "near2", ()): (
        "region.location: The policy allows gcp near2 (Near, ES), but the driver gcp is not available yet, "
        'found "near2": available are none'
    ),
    ("ES", "kind", None, ("aws",)): (
        'region.driver: This driver is not available yet, found "kind": available are aws'
    ),
    (None, "gcp", "near2", ("kind",)): (
        'region.driver: This driver is not available yet, found "gcp": available are kind'
    ),
    ("XX", "asw", "moon", ALL): (
        'region.market: The policy knows no such market: known are ES, FR, found "XX": add it to markets.yml\n'
        'region.driver: The policy knows no such driver, found "asw": did you mean "aws"\n'
        'region.location: The policy knows no such location, found "moon": '
        "known are abroad-1, far-1, near-2, shared-1, near1, near2, there1"
    ),
}


@pytest.mark.parametrize("asked", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_what_is_allowed(
    policy: Policy, asked: tuple[str | None, str | None, str | None, Sequence[str]]
) -> None:
    answer = decide(policy, *asked)
    assert isinstance(answer, list)
    assert render(answer) == CONTRADICTIONS[asked]


# --- the file


def changed(*replacements: tuple[str, str]) -> str:
    text = TEXT
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def refusals(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ProblemsError) as error:
        load(tmp_path, text)
    return str(error.value).replace(f"{tmp_path}/", "").splitlines()


def test_all_problems_of_a_file_come_at_once_in_its_order(tmp_path: Path) -> None:
    text = changed(
        ("near-2: {country: ES, city: Near, latitude: 0,", "near-2: {country: UK, city: Near, latitude: 0,"),
        ("far-1: {country: ES, city: Far, latitude: 0, ", "far-1: {country: ES, city: 7, latitude: 91, longitud: 1, "),
        (
            "{km: 1500, reason: the budget}\n    prefer: {drivers: [aws, gcp]",
            "{km: 0}\n    prefer: {drivers: [aws, gpc]",
        ),
        ("countries: [FR], reason: the law", "countries: [UK, ES], reason: the law"),
        ("drivers: [aws], reason: no other", "drivers: [aws, aws, azure], reason: no other"),
    )
    assert refusals(tmp_path, text) == [
        f'markets.yml:3: locations.aws.near-2.country: {COUNTRY}, found "UK"',
        "markets.yml:4: locations.aws.far-1.city: Expected text that is not empty, found 7: put it in quotes",
        "markets.yml:4: locations.aws.far-1.latitude: Expected a number of degrees, -90 to 90, found 91",
        'markets.yml:4: locations.aws.far-1.longitud: Unknown key: did you mean "longitude"',
        "markets.yml:17: markets.ES.max_distance.reason: Key is missing: it needs text",
        "markets.yml:17: markets.ES.max_distance.km: Expected a number of km, 1 to 20000, found 0",
        'markets.yml:18: markets.ES.prefer.drivers[1]: Expected one of aws, gcp, found "gpc"',
        (
            "markets.yml:22: markets.FR.residency.countries: The own country FR is missing: "
            "data may always be kept at home"
        ),
        f'markets.yml:22: markets.FR.residency.countries[0]: {COUNTRY}, found "UK"',
        "markets.yml:24: markets.FR.prefer.drivers: Expected a list of drivers, each once",
        'markets.yml:24: markets.FR.prefer.drivers[2]: Expected one of aws, gcp, found "azure"',
    ]


def test_what_a_schema_cannot_say_is_told_too(tmp_path: Path) -> None:
    text = changed(
        ("  gcp:\n", "  Gcp:\n"),
        ("there1:", "There 1:"),
        ("  FR:\n", "  UK:\n"),
        ("countries: [ES]", "countries: [PT, EU]"),
    )
    assert refusals(tmp_path, text) == [
        'markets.yml:7: locations.Gcp: Expected a driver of a-z, 0-9 and -, first a letter, found "Gcp"',
        'markets.yml:8: locations.Gcp.There 1: Expected a location of a-z, 0-9 and -, first a letter, found "There 1"',
        (
            "markets.yml:16: markets.ES.residency.countries: The own country ES is missing: "
            "data may always be kept at home"
        ),
        f'markets.yml:16: markets.ES.residency.countries[1]: {COUNTRY}, found "EU"',
        'markets.yml:18: markets.ES.prefer.drivers[1]: Expected one of aws, Gcp, found "gcp"',
        f'markets.yml:19: markets.UK: {COUNTRY}, found "UK"',
    ]


def test_a_market_without_any_location_is_refused(tmp_path: Path) -> None:
    text = changed(("countries: [FR]", "countries: [FR, PT]"), ("abroad-1: {country: FR", "abroad-1: {country: IT"))
    text = text.replace("shared-1: {country: FR", "shared-1: {country: IT")
    assert refusals(tmp_path, text) == [
        "markets.yml:19: markets.FR: No location is allowed for this market: add one, or widen what may be"
    ]
    wrong = text.replace("latitude: 0, longitude: 20", "latitude: 0, longitude: east")
    assert refusals(tmp_path, wrong) == [
        'markets.yml:4: locations.aws.far-1.longitude: Expected a number of degrees, -180 to 180, found "east"'
    ]


def test_a_market_that_is_refused_anyway_is_not_told_to_have_no_location(tmp_path: Path) -> None:
    (only,) = refusals(tmp_path, changed(("countries: [FR]", "countries: [PT]")))
    assert "The own country FR is missing" in only


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("latitude: 0, longitude: 20", "latitude: -90.1, longitude: 20", "degrees, -90 to 90, found -90.1"),
        ("latitude: 0, longitude: 20", "latitude: 0, longitude: -181", "degrees, -180 to 180, found -181"),
        ("latitude: 0, longitude: 20", "latitude: 0, longitude: .nan", "degrees, -180 to 180, found NaN"),
        ("latitude: 0, longitude: 20", "latitude: 0, longitude: 180.5", "degrees, -180 to 180, found 180.5"),
        ("{km: 1500, reason: the budget}\n    prefer: {drivers: [aws],", "20001", "to 20000, found 20001"),
        ("{km: 1500, reason: the budget}\n    prefer: {drivers: [aws],", "15.5", "to 20000, found 15.5"),
        ("drivers: [aws],", "drivers: [],", "prefer.drivers: Expected a list of drivers, each once"),
        ("name: France", 'name: ""', "name: Expected text that is not empty"),
    ],
)
def test_a_number_or_list_out_of_range_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    if old.startswith("{km"):
        new = old.replace("1500", new)
    (only,) = refusals(tmp_path, changed((old, new)))
    assert only.endswith(message)


def test_this_machine_has_no_place_in_the_file(tmp_path: Path) -> None:
    text = changed(("locations:\n", "locations:\n  kind:\n    local: {}\n"))
    assert refusals(tmp_path, text) == [
        "markets.yml:2: locations.kind: Expected no entry: kind is this machine, it has no country"
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "",
            ["markets.yml:1: locations: Key is missing: it needs", "markets.yml:1: markets: Key is missing: it needs"],
        ),
        ("- a\n", ["markets.yml:1: Expected a map, found a list"]),
        (
            "locations: {}\nmarkets: {ES: 1}\nrules: 1\n",
            [
                "markets.yml:1: locations: Expected a map with at least one driver",
                "markets.yml:2: markets.ES: Expected a map, found 1",
                "markets.yml:3: rules: Unknown key: allowed are locations, markets",
            ],
        ),
        (
            "locations: {aws: }\nmarkets: []\n",
            ["markets.yml:1: locations.aws: Value is missing", "markets.yml:2: mark"],
        ),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, wanted: list[str]) -> None:
    found = refusals(tmp_path, text)
    assert len(found) == len(wanted), found
    assert [line[: len(start)] for line, start in zip(found, wanted, strict=True)] == wanted


def test_the_same_code_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(YamlError, match=r'markets\.yml:4:5: .*"near-2"'):
        load(tmp_path, changed(("    far-1:", "    near-2:")))


def test_norway_needs_no_quotes_to_be_a_country(tmp_path: Path) -> None:
    assert load(tmp_path, changed(("[ES]", "[ES, NO]"))).markets["ES"].countries == ("ES", "NO")
