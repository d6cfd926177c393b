"""The market policy of `markets.yml`: which driver and which location may serve a market, decided and explained.

A location is allowed for a market when its country is among those where the market's data may be kept (residency) and
it is near enough to the exchange (distance). Of the allowed ones the market's preference of drivers decides, then the
distance, then the code. A spec may name driver and location itself; what contradicts the policy is refused.
"""

from __future__ import annotations

import difflib
import math
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import schema
from ansible_collections.kontrol.platform.plugins.module_utils.problems import MISSING, Problem, ProblemsError
from ansible_collections.kontrol.platform.plugins.module_utils.rules.region import COUNTRIES
from ansible_collections.kontrol.platform.plugins.module_utils.text_table import WIDTH
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import load_marked, read_text

FILE: Final = "markets.yml"
THIS_MACHINE: Final = ("kind", "local")
"""The driver and location of a region on this machine: accepted for every market, never chosen by the policy."""
EARTH_RADIUS_KM: Final = 6371.0088
MARKET, DRIVER, LOCATION = "region.market", "region.driver", "region.location"

_Data = dict[str, Any]
_NAME: Final = re.compile("[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Point:
    """A place on Earth, in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True)
class Location:
    """A region of a cloud."""

    driver: str
    code: str
    country: str
    city: str
    point: Point

    def __str__(self) -> str:
        """Return how a message names it."""
        return f"{self.driver} {self.code} ({self.city}, {self.country})"


@dataclass(frozen=True)
class Market:
    """A country whose exchange a region serves, and what its locations must hold to."""

    code: str
    name: str
    exchange: str
    city: str
    point: Point
    countries: tuple[str, ...]
    """Where its data may be kept."""
    residency_reason: str
    max_distance_km: int
    distance_reason: str
    drivers: tuple[str, ...]
    """The drivers that may serve it, the preferred one first."""
    preference_reason: str


@dataclass(frozen=True)
class Policy:
    """The whole of `markets.yml`, sorted by code: the order of the file decides nothing."""

    locations: tuple[Location, ...]
    markets: Mapping[str, Market]

    @property
    def drivers(self) -> tuple[str, ...]:
        """The drivers that the policy judges."""
        return tuple(dict.fromkeys(one.driver for one in self.locations))


@dataclass(frozen=True)
class Candidate:
    """A location as the policy judged it for one market and one spec."""

    location: Location
    distance_km: int
    refusal: str = ""
    """The one reason against it; "" when it is allowed."""


@dataclass(frozen=True)
class Decision:
    """A driver and a location, and why it is these two."""

    driver: str
    location: str
    reasons: tuple[str, ...]
    """One line each: residency, distance, preference, what the spec gave."""
    alternatives: tuple[Candidate, ...] = ()
    """What else is allowed, the next one first."""
    refused: tuple[Candidate, ...] = ()
    """What is not allowed, each with its one reason, sorted by driver and code."""


def load_policy(file: Path) -> Policy:
    """Return the policy of a file.

    Args:
        file: `markets.yml` of the project.

    Returns:
        The policy, with at least one location allowed for every market.

    Raises:
        ProblemsError: the file breaks a rule; every problem at once.
        YamlError: it is not YAML.
        OSError: it cannot be read.
    """
    data, positions = load_marked(read_text(file), str(file))
    source = schema.Source(str(file), positions)
    drivers, markets = _entries(data, "locations"), _entries(data, "markets")
    locations = {path: entry for driver in drivers for path, entry in _entries(data, *map(str, driver)).items()}
    file_schema = _file_schema([str(path[-1]) for path in drivers])
    found = schema.findings(file_schema, {} if data is None else data, source)
    policy = Policy(
        tuple(_location(path, entry) for path, entry in _sound(locations, found).items()),
        {market.code: market for market in (_market(path, entry) for path, entry in _sound(markets, found).items())},
    )
    for mistakes in (_misnamed(drivers, locations, markets), _homeless(data, markets), _unserved(policy, found)):
        for path, value, message, remedy in mistakes:
            found.setdefault(path, Problem(source.locate(path), schema.path_text(path), value, message, remedy))
    if found:
        raise ProblemsError(found[path] for path in sorted(found, key=lambda path: schema.place(path, [source])))
    return policy


def distance_km(one: Point, other: Point) -> int:
    """Return the great-circle distance in whole kilometres.

    The haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984) on a sphere of the
    Earth's mean radius R1 = (2a + b) / 3 = 6371.0088 km (WGS 84); it is at most 0.6 % off the ellipsoid.

    Args:
        one: a place.
        other: another place.

    Returns:
        Kilometres, rounded.
    """
    north, north_other = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(other.longitude - one.longitude)
    half = math.sin((north_other - north) / 2) ** 2 + math.cos(north) * math.cos(north_other) * math.sin(east / 2) ** 2
    return round(2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half))))


def decide(
    policy: Policy, market: str | None, driver: str | None, location: str | None, available: Collection[str]
) -> Decision | list[Problem]:
    """Return the driver and location of a region, or why there is no answer.

    Args:
        policy: what load_policy returned.
        market: `region.market`; None when the spec leaves it out, as for the next two.
        driver: `region.driver`.
        location: `region.location`.
        available: the drivers that exist in this version.

    Returns:
        A decision, or every contradiction, each with the option's path and without a file: the caller knows the line.
    """
    holders = [name for name in (*policy.drivers, THIS_MACHINE[0]) if location in _codes(policy, name)]
    problems = [
        *_unknown_market(policy, market),
        *_unknown_driver(policy, driver),
        *_misplaced(policy, driver, location, holders),
    ]
    if problems:
        return problems
    given = _given(market, driver, location)
    named = driver or (holders[0] if holders else None)
    if named == THIS_MACHINE[0]:
        return _this_machine(given, available)
    if market is None:
        return _without_market(policy, named, location, given, available)
    blamed = LOCATION if driver is None and location is not None else DRIVER
    return _of_market(_Question(policy, policy.markets[market], named, location, given, available, blamed))


def explain(decision: Decision) -> list[str]:
    """Return a decision as lines for a terminal.

    Args:
        decision: what decide returned.

    Returns:
        The choice, its reasons, the alternatives in order, what was refused, the locations with one reason together.
    """
    lines = [f"driver {decision.driver}, location {decision.location}"]
    alternatives = [f"{one.location}: {one.distance_km:,} km" for one in decision.alternatives]
    same: dict[str, list[str]] = {}
    for one in decision.refused:
        same.setdefault(one.refusal, []).append(str(one.location))
    refused = [f"{reason}: {', '.join(locations)}" for reason, locations in same.items()]
    for title, entries in {"because": decision.reasons, "alternatives": alternatives, "refused": refused}.items():
        lines += [f"{title}:"] if entries else []
        for entry in entries:
            lines += textwrap.wrap(entry, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    return lines


@dataclass(frozen=True)
class _Question:
    """What decide was asked, once it is free of contradictions."""

    policy: Policy
    market: Market
    driver: str | None
    """The driver that the spec names, by itself or by its location."""
    location: str | None
    given: str
    available: Collection[str]
    blamed: str
    """The option that names the driver, or would."""

    def problem(self, path: str, message: str, remedy: str) -> Problem:
        """Return a problem of an option of the spec."""
        value = self.location if path == LOCATION else self.driver
        return Problem("", path, MISSING if value is None else value, message, remedy)


def _of_market(asked: _Question) -> Decision | list[Problem]:
    judged = _judged(asked.policy, asked.market, asked.available, asked.driver)
    fits = [one for one in judged if not one.refusal]
    if asked.location is not None:
        named = next(
            one for one in judged if (one.location.driver, one.location.code) == (asked.driver, asked.location)
        )
        if named.refusal:
            return [_refused(asked, named)]
        chosen = named
    elif fits:
        chosen = fits[0]
    else:
        return [_nothing_fits(asked)]
    return Decision(
        chosen.location.driver,
        chosen.location.code,
        _reasons(asked, chosen),
        tuple(one for one in fits if one != chosen),
        tuple(sorted((one for one in judged if one.refusal), key=lambda one: (one.location.driver, one.location.code))),
    )


def _judged(policy: Policy, market: Market, available: Collection[str], driver: str | None = None) -> list[Candidate]:
    """Return every location with its refusal, in the order of preference."""
    judged = []
    for location in policy.locations:
        distance = distance_km(market.point, location.point)
        refusal = _against(market, location, distance) or _against_driver(location.driver, driver, available)
        judged.append(Candidate(location, distance, refusal))
    return sorted(judged, key=lambda one: (_rank(market, one.location.driver), one.distance_km, one.location.code))


def _against(market: Market, location: Location, distance: int) -> str:
    """Return what the policy itself has against a location, "" for nothing."""
    if location.country not in market.countries:
        return "another country"
    if distance > market.max_distance_km:
        return f"{distance:,} km from the exchange, more than {market.max_distance_km:,} allowed"
    if location.driver not in market.drivers:
        return f"driver {location.driver} is not among those of this market: {', '.join(market.drivers)}"
    return ""


def _against_driver(driver: str, named: str | None, available: Collection[str]) -> str:
    if named is not None and driver != named:
        return f"the spec names the driver {named}"
    return "" if driver in available else f"driver {driver} not available here"


def _rank(market: Market, driver: str) -> int:
    return market.drivers.index(driver) if driver in market.drivers else len(market.drivers)


def _reasons(asked: _Question, chosen: Candidate) -> tuple[str, ...]:
    market = asked.market
    kept = "the own country" if market.countries == (market.code,) else f"one of {len(market.countries)} countries"
    passed = [name for name in market.drivers[: _rank(market, chosen.location.driver)] if name not in asked.available]
    if asked.driver is not None:
        preference = "not asked, the spec decides on the driver"
    else:
        preference = f"{', then '.join(market.drivers)}: {market.preference_reason}"
        preference += "".join(f"; driver {name} not available here" for name in passed)
    far = f"{chosen.distance_km:,} km from {market.exchange} in {market.city}"
    return (
        f"residency: {chosen.location.country} is {kept} where data may be kept: {market.residency_reason}",
        f"distance: {far}, {market.max_distance_km:,} allowed: {market.distance_reason}",
        f"preference: {preference}",
        asked.given,
    )


def _refused(asked: _Question, named: Candidate) -> Problem:
    """Return the problem of a location that the spec names and that may not be."""
    if not _against(asked.market, named.location, named.distance_km):
        return _not_available(asked, "allows", named)
    message = f"{named.location} is not allowed for the market {asked.market.code}: {named.refusal}"
    return asked.problem(LOCATION, message, f"allowed are {_allowed(asked)}")


def _nothing_fits(asked: _Question) -> Problem:
    """Return why no location is left: no driver that is allowed exists yet, or none of the driver is allowed."""
    wanted = [one for one in _judged(asked.policy, asked.market, asked.policy.drivers, asked.driver) if not one.refusal]
    if wanted:
        return _not_available(asked, "would choose", wanted[0])
    message = f"No location of this driver is allowed for the market {asked.market.code}"
    return asked.problem(DRIVER, message, f"allowed are {_allowed(asked)}")


def _not_available(asked: _Question, verb: str, wanted: Candidate) -> Problem:
    message = f"The policy {verb} {wanted.location}, but the driver {wanted.location.driver} is not available yet"
    return asked.problem(asked.blamed, message, _available(asked.available))


def _allowed(asked: _Question) -> str:
    judged = _judged(asked.policy, asked.market, asked.policy.drivers)
    return ", ".join(f"{one.location.driver} {one.location.code}" for one in judged if not one.refusal)


def _available(available: Collection[str]) -> str:
    return f"available are {', '.join(sorted(available)) or 'none'}"


def _this_machine(given: str, available: Collection[str]) -> Decision | list[Problem]:
    driver, location = THIS_MACHINE
    if driver not in available:
        return [Problem("", DRIVER, driver, "This driver is not available yet", _available(available))]
    reasons = (
        "residency: not judged, the data stay on this machine",
        "distance: not judged",
        "preference: this machine; for development, never chosen by the policy",
        given,
    )
    return Decision(driver, location, reasons)


def _without_market(
    policy: Policy, driver: str | None, location: str | None, given: str, available: Collection[str]
) -> Decision | list[Problem]:
    """Return what the spec itself says, where there is no market to judge it by."""
    if driver is None:
        remedy = f"give region.market, one of {', '.join(policy.markets)}; or region.driver and region.location"
        return [Problem("", MARKET, MISSING, "There is nothing to decide a driver and a location by", remedy)]
    if location is None:
        remedy = "give region.market or region.location"
        return [Problem("", LOCATION, MISSING, f"Without a market no location of {driver} can be chosen", remedy)]
    if driver not in available:
        return [Problem("", DRIVER, driver, "This driver is not available yet", _available(available))]
    unjudged = ("residency: not judged, the spec names no market", "distance: not judged, the spec names no market")
    return Decision(driver, location, (*unjudged, "preference: not asked, the spec decides on the driver", given))


def _given(market: str | None, driver: str | None, location: str | None) -> str:
    options = {"market": market, "driver": driver, "location": location}
    named = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
    derived = "; the driver follows from the location" if driver is None and location is not None else ""
    return f"given by the spec: {named}{derived}"


def _unknown_market(policy: Policy, market: str | None) -> Iterator[Problem]:
    if market is not None and market not in policy.markets:
        known = f"known are {', '.join(policy.markets)}"
        close = _closest_market(policy, market)
        yield Problem("", MARKET, market, f"The policy knows no such market: {known}", close or f"add it to {FILE}")


def _closest_market(policy: Policy, word: str) -> str:
    """Return `did you mean "x"`, by code or by name; "" for a real country: that is no slip, only not in the policy."""
    if word in COUNTRIES:
        return ""
    texts = {text.casefold(): one.code for one in policy.markets.values() for text in (one.code, one.name)}
    found = [texts[text] for text in difflib.get_close_matches(word.casefold(), texts, n=1)]
    if len(word) == 2:  # a code with one wrong letter is too short for difflib to call close
        found += [code for code in policy.markets if code[0] == word[0].upper() or code[1] == word[1].upper()]
    return f'did you mean "{found[0]}"' if found else ""


def _unknown_driver(policy: Policy, driver: str | None) -> Iterator[Problem]:
    known = (*policy.drivers, THIS_MACHINE[0])
    if driver is not None and driver not in known:
        remedy = schema.closest(driver, known) or f"known are {', '.join(known)}"
        yield Problem("", DRIVER, driver, "The policy knows no such driver", remedy)


def _misplaced(policy: Policy, driver: str | None, location: str | None, holders: list[str]) -> Iterator[Problem]:
    """Yield what is wrong with a location and its driver, whatever the market."""
    if location is None:
        return
    known = _codes(policy, driver) if driver else []
    if not holders:
        candidates = known or list(dict.fromkeys(one.code for one in policy.locations))
        remedy = schema.closest(location, candidates) or f"known are {', '.join(candidates)}"
        yield Problem("", LOCATION, location, "The policy knows no such location", remedy)
    elif known and driver not in holders:
        remedy = f"write region.driver: {holders[0]}, or leave region.location out"
        yield Problem("", LOCATION, location, f"This is a location of {holders[0]}, not of {driver}", remedy)
    elif driver is None and len(holders) > 1:
        message = f"The location {location} is one of {' and of '.join(holders)}"
        yield Problem("", DRIVER, MISSING, message, "give region.driver")


def _codes(policy: Policy, driver: str) -> list[str]:
    own = [THIS_MACHINE[1]] if driver == THIS_MACHINE[0] else []
    return own + [one.code for one in policy.locations if one.driver == driver]


def _map_of(entry: _Data, meaning: str, **own: _Data) -> _Data:
    some = {"type": "object", "minProperties": 1, schema.MEANING: meaning}
    return some | {"properties": own, "additionalProperties": entry}


def _record(**options: _Data) -> _Data:
    return {"type": "object", "additionalProperties": False, "required": list(options), "properties": options}


def _set_of(items: _Data, meaning: str) -> _Data:
    return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True, schema.MEANING: meaning}


def _degrees(most: int) -> _Data:
    meaning = f"a number of degrees, -{most} to {most}"
    return {"type": "number", "minimum": -most, "maximum": most, schema.MEANING: meaning}


_TEXT: Final[_Data] = {"type": "string", "minLength": 1}
_COUNTRY: Final = {
    "type": "string",
    "pattern": "|".join(sorted(COUNTRIES)),
    schema.MEANING: "an ISO 3166-1 country code, such as BR",
}
_PLACE: Final = {"city": _TEXT, "latitude": _degrees(90), "longitude": _degrees(180)}
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": 20_000, schema.MEANING: "a number of km, 1 to 20000"}
_NO_KIND: Final = {"not": {}, schema.MEANING: "no entry: kind is this machine, it has no country"}


def _file_schema(drivers: list[str]) -> _Data:
    """Return the schema of the file, whose markets may prefer these drivers; any where there are none."""
    driver: _Data = {"type": "string", "enum": drivers} if drivers else _TEXT
    market = _record(
        name=_TEXT,
        exchange=_record(name=_TEXT, **_PLACE),
        residency=_record(countries=_set_of(_COUNTRY, "a list of country codes, each once"), reason=_TEXT),
        max_distance=_record(km=_LIMIT, reason=_TEXT),
        prefer=_record(drivers=_set_of(driver, "a list of drivers, each once"), reason=_TEXT),
    )
    locations = _map_of(_record(country=_COUNTRY, **_PLACE), "a map with at least one location")
    return _record(
        locations=_map_of(locations, "a map with at least one driver", **{THIS_MACHINE[0]: _NO_KIND}),
        markets=_map_of(market, "a map with at least one market"),
    )


_Entries = dict[schema.Path, Any]
_Mistakes = Iterator[tuple[schema.Path, Any, str, str]]
"""Path, value, message, remedy."""


def _entries(data: Any, *top: str) -> _Entries:
    """Return what stands in the map at a path of the file, by path; nothing where there is no map."""
    for key in top:
        data = data.get(key) if isinstance(data, dict) else None
    return {(*top, key): value for key, value in data.items()} if isinstance(data, dict) else {}


def _sound(entries: _Entries, found: Mapping[schema.Path, Problem]) -> _Entries:
    """Return the entries without a problem, sorted."""
    return {path: entries[path] for path in sorted(entries) if not any(_touch(path, bad) for bad in found)}


def _touch(path: schema.Path, other: schema.Path) -> bool:
    """Return True when one path leads through the other."""
    length = min(len(path), len(other))
    return path[:length] == other[:length]


def _location(path: schema.Path, entry: _Data) -> Location:
    _top, driver, code = map(str, path)
    return Location(driver, code, entry["country"], entry["city"], _point(entry))


def _market(path: schema.Path, entry: _Data) -> Market:
    exchange, residency = entry["exchange"], entry["residency"]
    return Market(
        code=str(path[1]),
        name=entry["name"],
        exchange=exchange["name"],
        city=exchange["city"],
        point=_point(exchange),
        countries=tuple(residency["countries"]),
        residency_reason=residency["reason"],
        max_distance_km=entry["max_distance"]["km"],
        distance_reason=entry["max_distance"]["reason"],
        drivers=tuple(entry["prefer"]["drivers"]),
        preference_reason=entry["prefer"]["reason"],
    )


def _point(entry: _Data) -> Point:
    return Point(float(entry["latitude"]), float(entry["longitude"]))


def _misnamed(drivers: _Entries, locations: _Entries, markets: _Entries) -> _Mistakes:
    for entries, word in ((drivers, "driver"), (locations, "location")):
        for path in entries:
            if not _NAME.fullmatch(str(path[-1])):
                yield path, path[-1], f"Expected a {word} of a-z, 0-9 and -, first a letter", ""
    for path in markets:
        if path[-1] not in COUNTRIES:
            yield path, path[-1], f"Expected {_COUNTRY[schema.MEANING]}", ""


def _homeless(data: Any, markets: _Entries) -> _Mistakes:
    for code in (str(path[-1]) for path in markets):
        path = ("markets", code, "residency", "countries")
        countries = _entries(data, *path[:-1]).get(path)
        if code in COUNTRIES and isinstance(countries, list) and code not in countries:
            yield path, MISSING, f"The own country {code} is missing", "data may always be kept at home"


def _unserved(policy: Policy, found: Mapping[schema.Path, Problem]) -> _Mistakes:
    """Yield the markets without a location; none while a location is wrong, as it may be the one that is missing."""
    if any(_touch(("locations",), path) for path in found):
        return
    for market in policy.markets.values():
        path = ("markets", market.code)
        served = any(not one.refusal for one in _judged(policy, market, policy.drivers))
        if not served and not any(_touch(path, bad) for bad in found):
            yield path, MISSING, "No location is allowed for this market", "add one, or widen what may be"
