"""One region's spec: read with its profile as data, judged, completed with defaults, its components in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import markets, schema
from ansible_collections.kontrol.platform.plugins.module_utils.paths import shown
from ansible_collections.kontrol.platform.plugins.module_utils.problems import HIDDEN, MISSING, Problem, ProblemsError
from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block, RoleRules, rules_of
from ansible_collections.kontrol.platform.plugins.module_utils.rules.region import PATTERNS
from ansible_collections.kontrol.platform.plugins.module_utils.schema import Schema, SchemaError, Source
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import YamlError, load, load_marked, read_text

SPEC_FILE: Final = "region.yml"
ALWAYS: Final = ("region", "foundation", "cluster")
"""Blocks that every region has, in the order of their work; all other blocks are components."""
NOT_IN_A_PROFILE: Final = frozenset({"name", "driver", "location", "profile"})
"""Options of the block `region` that only a spec may set."""
AVAILABLE: Final = ("kind",)
"""Drivers that exist; the market policy judges the others, too."""
TEMPLATE: Final = re.compile(r"\{\{|\{%")

_ZERO: Final[dict[str, Any]] = {"bool": False, "int": 0, "float": 0.0, "list": [], "dict": {}}


@dataclass(frozen=True)
class Role:
    """A role whose options may stand in a spec, as the block of its name."""

    name: str
    options: dict[str, dict[str, Any]]
    """Option without the role's prefix -> its entry of the argument spec."""
    rules: RoleRules = field(default_factory=RoleRules)
    summary: str = ""
    """The role's short description."""


Roles = dict[str, Role]


@dataclass(frozen=True)
class Region:
    """A spec that was read. It is sound when it came without problems; else defaults stand in for refused values."""

    name: str
    file: Path
    blocks: dict[str, Block]
    """Every block that is there, with defaults applied, in the order of work."""
    components: list[str]
    """The components, each after what it requires."""
    sources: tuple[Source, ...]
    refused: frozenset[str] = frozenset()
    """The paths of values that have a problem."""
    decision: markets.Decision | None = None
    """Which driver and location the market policy decided on; None where it could not."""

    def variables(self) -> dict[str, Any]:
        """Return `<role>_<option>` of every option of every block; None where there is neither value nor default."""
        return {f"{role}_{name}": value for role, block in self.blocks.items() for name, value in block.items()}

    def accepts(self, path: str) -> bool:
        """Return True when neither the value at a path such as `cluster.pod_cidr` nor a map around it was refused."""
        parts = schema.path_parts(path)
        return not any(schema.path_text(parts[:length]) in self.refused for length in range(1, len(parts) + 1))

    def locate(self, path: str) -> str:
        """Return file:line of the value at a path such as `cluster.pod_cidr`."""
        return schema.locate(schema.path_parts(path), self.sources)


def load_roles(root: Path) -> Roles:
    """Return the roles of the project that have an argument spec: ALWAYS first, then by name.

    Raises:
        SchemaError: an argument spec breaks a rule of the project.
        YamlError: an argument spec is not YAML.
    """
    files = {file.parts[-3]: file for file in sorted(root.glob("roles/*/meta/argument_specs.yml"))}
    if missing := [name for name in ALWAYS if name not in files]:
        raise SchemaError(f'No argument spec of the role "{missing[0]}" below "{root}": is this the project')
    return {name: _role(name, files[name]) for name in (*ALWAYS, *(name for name in files if name not in ALWAYS))}


def region_schema(roles: Roles) -> Schema:
    """Return the JSON schema of a spec."""
    return _blocks_schema({name: _block_schema(role) for name, role in roles.items()}) | {"required": ["region"]}


def profile_schema(roles: Roles) -> Schema:
    """Return the JSON schema of a profile: that of a spec, nothing required and without what is a spec's own."""
    region = roles["region"]
    shared = {name: option for name, option in region.options.items() if name not in NOT_IN_A_PROFILE}
    parts = roles | {"region": replace(region, options=shared)}
    return _blocks_schema({name: _block_schema(role, partial=True) for name, role in parts.items()})


def complete(options: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every option: what is given, else its default, else None; also inside maps and lists.

    A map that is not given, has no default and needs nothing is made of the defaults of its options.
    """
    return {name: _completed(option, given.get(name)) for name, option in options.items()}


def read_region(file: Path, root: Path, roles: Roles) -> tuple[Region | None, list[Problem]]:
    """Read one spec and judge it by itself.

    Args:
        file: the region.yml.
        root: the project's root, which has `profiles`.
        roles: what load_roles returned.

    Returns:
        The region, None when the file is not a map of blocks at all; and its problems, each once, sorted by place.
    """
    try:
        own, source = _read(file)
    except ProblemsError as error:
        return None, list(error.problems)
    profile, profile_source, problems = _profile(own, source, root)
    problems += _judged_profile(profile, profile_source, roles)
    sources = (source, profile_source)
    shared = {name: block for name, block in profile.items() if name in ALWAYS or name in own}
    merged = _merged(shared, own)
    whole = region_schema(roles)
    refused = schema.findings(whole, merged, *sources) | _templates(merged, whole, sources)
    blocks = _blocks(merged, roles, set(refused))
    components, unmet = _ordered([name for name in merged if name in roles and name not in ALWAYS], roles)
    decision, undecided = _decided(blocks["region"], root, set(refused))
    ruled = [
        problem for problem in (*unmet, *undecided, *_ruled(blocks, roles)) if not _within(problem.path, set(refused))
    ]
    problems += [*refused.values(), *(_located(problem, whole, sources) for problem in ruled)]
    problems = list({str(problem): problem for problem in problems}.values())  # a profile's value is judged twice
    problems.sort(key=lambda problem: schema.place(schema.path_parts(problem.path), sources))
    ordered = {name: blocks[name] for name in (*ALWAYS, *components)}
    refused_paths = frozenset(problem.path for problem in problems)
    return Region(blocks["region"]["name"], file, ordered, components, sources, refused_paths, decision), problems


def _decided(block: Block, root: Path, refused: set[schema.Path]) -> tuple[markets.Decision | None, list[Problem]]:
    """Let the market policy decide on driver and location, and write them into the block; or return why it cannot."""
    named = {name: block[name] for name in ("market", "driver", "location")}
    if {("region",), *(("region", name) for name in named)} & refused:
        return None, []
    try:
        policy = _policy(root / markets.FILE)
    except ProblemsError as error:
        return None, list(error.problems)
    outcome = markets.decide(policy, **named, available=AVAILABLE)
    if isinstance(outcome, list):
        return None, outcome
    block |= {"driver": outcome.driver, "location": outcome.location}
    return outcome, []


@cache
def _policy(file: Path) -> markets.Policy:
    return markets.load_policy(file)


def _role(name: str, file: Path) -> Role:
    try:
        main = load(read_text(file), str(file))["argument_specs"]["main"]
        entries = main.get("options", {})
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaError(f'File "{file}" has no argument_specs.main') from error
    options = {}
    for option, entry in entries.items():
        if option.startswith("kontrol_"):  # set by the run, not by a spec
            continue
        if not option.startswith(f"{name}_"):
            raise SchemaError(f'Option "{option}" in "{file}" does not start with "{name}_"')
        options[option.removeprefix(f"{name}_")] = entry
    return Role(name, options, rules_of(name), main.get("short_description", ""))


def _block_schema(role: Role, *, partial: bool = False) -> Schema:
    made = schema.options_schema(role.options, role.rules.patterns, "", partial=partial)
    return made | {"description": f"{role.summary}."}


def _blocks_schema(blocks: dict[str, Schema]) -> Schema:
    return {"type": "object", "additionalProperties": False, schema.KIND: "block", "properties": blocks}


def _read(file: Path) -> tuple[dict[str, Any], Source]:
    """Return the map that a spec or profile holds."""
    name = shown(file)
    try:
        data, positions = load_marked(read_text(file), name)
    except YamlError as error:
        where = f"{name}:{error.position[0]}:{error.position[1]}"
        raise ProblemsError([Problem(where, "", MISSING, error.reason)]) from error
    except OSError as error:
        message = f"The file cannot be read: {error.strerror}"
        raise ProblemsError([Problem(name, "", MISSING, message)]) from error
    if isinstance(data, dict) and data:
        return data, Source(name, positions)
    what = "The file holds no map" if data else "The file is empty"
    raise ProblemsError([Problem(name, "", MISSING, what, 'expected a map of blocks such as "region:"')])


def _profile(own: dict[str, Any], source: Source, root: Path) -> tuple[dict[str, Any], Source, list[Problem]]:
    """Return the profile that a spec names; {} when it names none, what cannot be a name, or what cannot be read."""
    nothing = Source(source.file)
    region = own.get("region")
    name = region.get("profile") if isinstance(region, dict) else None
    if not isinstance(name, str) or not re.fullmatch(PATTERNS["profile"][0], name):
        return {}, nothing, []
    known = sorted(file.stem for file in root.glob("profiles/*.yml"))
    if name not in known:
        remedy = schema.closest(name, known) or f"there are {', '.join(known)}"
        where = source.locate(("region", "profile"))
        return {}, nothing, [Problem(where, "region.profile", name, "No such profile", remedy)]
    try:
        return *_read(root / "profiles" / f"{name}.yml"), []
    except ProblemsError as error:
        return {}, nothing, list(error.problems)


def _judged_profile(profile: dict[str, Any], source: Source, roles: Roles) -> list[Problem]:
    whole = profile_schema(roles)
    return list((schema.findings(whole, profile, source) | _templates(profile, whole, (source,))).values())


def _merged(under: Any, over: Any) -> Any:
    """Lay one value over another: maps are merged, anything else is replaced."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return under | {key: _merged(under[key], value) if key in under else value for key, value in over.items()}


def _templates(data: Any, whole: Schema, sources: tuple[Source, ...]) -> dict[schema.Path, Problem]:
    message, remedy = "Templates are not read in a spec", "write the value itself"
    found = {}
    for path, text in _texts(data, ()):
        if TEMPLATE.search(text):
            value = HIDDEN if schema.is_secret(whole, path) else text
            found[path] = Problem(schema.locate(path, sources), schema.path_text(path), value, message, remedy)
    return found


def _texts(data: Any, path: schema.Path) -> Iterator[tuple[schema.Path, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), key
            yield from _texts(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, (*path, index))


def _blocks(merged: dict[str, Any], roles: Roles, refused: set[schema.Path]) -> dict[str, Block]:
    """Return the blocks that are there, completed; the default, or nothing, stands in for a refused value."""
    blocks = {}
    bad = {path[:2] for path in refused}  # a whole block, or one option of it
    for role in roles.values():
        if role.name not in merged and role.name not in ALWAYS:
            continue
        given = merged.get(role.name)
        kept = dict(given) if isinstance(given, dict) else {}
        kept |= {
            name: _stand_in(option) for name, option in role.options.items() if {(role.name,), (role.name, name)} & bad
        }
        blocks[role.name] = complete(role.options, kept)
    return blocks


def _stand_in(option: Mapping[str, Any]) -> Any:
    if "default" in option or not option.get("required"):
        return option.get("default")
    return option["choices"][0] if "choices" in option else _ZERO.get(option.get("type", "str"), "")


def _completed(option: Mapping[str, Any], value: Any) -> Any:
    if value is None:
        value = option.get("default")
    inner = option.get("options")
    if inner is None:
        return value
    if isinstance(value, dict):
        return complete(inner, value)
    if isinstance(value, list):
        return [complete(inner, item) for item in value]
    needs_nothing = not any(entry.get("required") for entry in inner.values())
    return complete(inner, {}) if option.get("type") == "dict" and needs_nothing else None


def _ordered(names: list[str], roles: Roles) -> tuple[list[str], list[Problem]]:
    """Return the components, each after what it requires or follows, else as written; and what is required but off."""
    there = {*names, *ALWAYS}
    problems = [
        Problem("", name, MISSING, f'The component needs the block "{other}"', f'add "{other}: {{}}"')
        for name in names
        for other in roles[name].rules.requires
        if other not in there
    ]
    ordered: list[str] = []
    while waiting := [name for name in names if name not in ordered]:
        free = [name for name in waiting if not {*roles[name].rules.requires, *roles[name].rules.after} & set(waiting)]
        if not free:
            raise SchemaError(f"The roles {', '.join(waiting)} require or follow each other")
        ordered.append(free[0])
    return ordered, problems


def _ruled(blocks: dict[str, Block], roles: Roles) -> list[Problem]:
    return [problem for name in blocks for problem in roles[name].rules.check(blocks[name], blocks)]


def _within(path: str, refused: set[schema.Path]) -> bool:
    parts = schema.path_parts(path)
    return any(parts[:length] in refused for length in range(1, len(parts) + 1))


def _located(problem: Problem, whole: Schema, sources: tuple[Source, ...]) -> Problem:
    """Fill in where the value of a rule's problem stands, and take it away when it may be a secret."""
    if problem.file:  # of another file, such as markets.yml
        return problem
    path = schema.path_parts(problem.path)
    hide = problem.value is not MISSING and schema.is_secret(whole, path)
    return replace(problem, file=schema.locate(path, sources), value=HIDDEN if hide else problem.value)
