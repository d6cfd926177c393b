"""All regions of a command together: which files are meant, each one judged, then against each other."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.extra_vars import EXTRA_VARS
from ansible_collections.kontrol.platform.plugins.module_utils.paths import shown
from ansible_collections.kontrol.platform.plugins.module_utils.problems import HIDDEN, MISSING, Problem, quoted
from ansible_collections.kontrol.platform.plugins.module_utils.rules import foundation
from ansible_collections.kontrol.platform.plugins.module_utils.rules.cluster import NETWORKS, network
from ansible_collections.kontrol.platform.plugins.module_utils.schema import SECRET_LIKE, closest
from ansible_collections.kontrol.platform.plugins.module_utils.spec import (
    SPEC_FILE,
    TEMPLATE,
    Region,
    Roles,
    read_region,
)

EXTRA: Final = "--extra-vars"
NOBODYS_SOURCE: Final = "/etc/ansible/hosts"
"""What Ansible names as source when nobody did."""
VARIABLES: Final = ("group_vars", "host_vars")
"""Folders from which Ansible would take variables that nobody judged."""
_NAME: Final = "region.name"
_SECOND: Final = f"{foundation.SECOND}.bucket"


Ignored = Callable[[str], bool]


def hidden(name: str) -> bool:
    """Return True for the name of a hidden file."""
    return name.startswith(".")


@dataclass(frozen=True)
class Judgement:
    """What came out of reading a command's inventory sources."""

    regions: dict[Path, Region] = field(default_factory=dict)
    """By the region.yml, links resolved. Sound only when there are no problems."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(
    sources: Sequence[str],
    root: Path,
    roles: Roles,
    extra_vars: Mapping[str, Any],
    ignored: Ignored = hidden,
    allowed: Collection[str] = EXTRA_VARS.keys(),
) -> Judgement:
    """Read every region that the sources name and judge all of them, and them against their neighbours.

    Neighbours are the regions in the folders beside: their names and networks count, their own problems do not.

    Args:
        sources: what `-i` was given: folders of one or of many regions, or region.yml files.
        root: the project's root.
        roles: what load_roles returned.
        extra_vars: what `-e` was given.
        ignored: tells by its name what may lie beside a spec.
        allowed: the extra variables that the playbook takes.
    """
    files, problems = find(sources, root, ignored)
    regions = {}
    for file in files:
        region, found = read_region(file, root, roles)
        problems += found
        if region:
            regions[file] = region
    neighbours, warnings = _neighbours(files, root, roles)
    problems += _in_their_folders(regions.values())
    problems += against_each_other(list(regions.values()), neighbours)
    problems += check_extra_vars(extra_vars, list(regions.values()), roles, allowed)
    unique = {str(problem): problem for problem in problems}
    return Judgement(regions, list(unique.values()), warnings)


def find(sources: Sequence[str], root: Path, ignored: Ignored = hidden) -> tuple[list[Path], list[Problem]]:
    """Return the region.yml files that the sources name, each once, and what is wrong with the sources."""
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for source in sources:
        found, wrong = _one_source(source, root, ignored)
        files |= dict.fromkeys(file.resolve() for file in found)
        problems += wrong
    return list(files), problems


def against_each_other(regions: Sequence[Region], neighbours: Sequence[Region] = ()) -> list[Problem]:
    """Return names and buckets taken twice and networks that overlap, reported at the later region.

    Neighbours come before all.
    """
    problems = []
    known = list(neighbours)
    for region in regions:
        for other in known:
            problems += _same_name(region, other) + _same_network(region, other) + _same_bucket(region, other)
        known.append(region)
    return problems


def check_extra_vars(
    extra_vars: Mapping[str, Any],
    regions: Sequence[Region],
    roles: Roles,
    allowed: Collection[str] = EXTRA_VARS.keys(),
) -> list[Problem]:
    """Return what of the extra variables contradicts a spec, or is no decision for the command line.

    An extra variable wins over everything in Ansible and no judge sees it, so one that repeats a value of the spec
    must repeat its type too: `{"cluster_wait_timeout": 300}`, not `cluster_wait_timeout=300`, which is text.
    """
    return [
        Problem(EXTRA, name, HIDDEN if SECRET_LIKE.search(name) else value, message, remedy)
        for name, value in extra_vars.items()
        for message, remedy in _refusals(name, value, regions, roles, allowed)
    ]


def _refusals(
    name: str, value: Any, regions: Sequence[Region], roles: Roles, allowed: Collection[str]
) -> list[tuple[str, str]]:
    if name in allowed:
        template = isinstance(value, str) and TEMPLATE.search(value)
        return [("Templates are not read here", "write the value itself")] if template else []
    if name.startswith("kontrol_"):
        return [("The run sets this variable itself", "leave it out")]
    role = next((role for role in roles.values() if name.startswith(f"{role.name}_")), None)
    if role is None:
        remedy = closest(name, allowed) or f"allowed are {', '.join(allowed)}"
        return [("Unknown extra variable", remedy)]
    option = name.removeprefix(f"{role.name}_")
    if option not in role.options:
        return [(f"Unknown option of {role.name}", closest(option, role.options) or "options belong in the spec")]
    having = [region for region in regions if role.name in region.blocks]
    if regions and not having:
        return [(f'The spec has no block "{role.name}"', "options belong in the spec")]
    path = f"{role.name}.{option}"
    return [
        (f"The spec says {quoted(given)} ({region.locate(path)})", "change the spec, or leave this out")
        for region in having
        if region.accepts(path) and not _same(given := region.blocks[role.name][option], value)
    ]


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True, default=str) == json.dumps(right, sort_keys=True, default=str)


def _one_source(source: str, root: Path, ignored: Ignored) -> tuple[list[Path], list[Problem]]:
    path = Path(source)
    if source == NOBODYS_SOURCE and not path.exists():
        known = ", ".join(file.parent.name for file in sorted(root.glob(f"inventories/*/{SPEC_FILE}")))
        remedy = f"name one with -i {root}/inventories/<region>; there are {known}"
        return [], [Problem("--inventory", "", MISSING, "No region was named", remedy)]
    if path.is_file():
        if path.name == SPEC_FILE:
            return [path], []
        return [], [Problem(shown(path), "", MISSING, f'A region is declared in a file named "{SPEC_FILE}"')]
    if path.is_dir():
        return _in_folder(path, ignored)
    if "," in source:
        remedy = "name the folder of a region, such as inventories/local"
        return [], [Problem(source, "", MISSING, "A list of hosts is not read", remedy)]
    return [], [Problem(shown(path), "", MISSING, "No such file or folder", _near(path, root))]


def _in_folder(folder: Path, ignored: Ignored) -> tuple[list[Path], list[Problem]]:
    """Return the specs in the folder of one region, or in the folders of regions below."""
    entries = sorted(folder.iterdir())
    if folder / SPEC_FILE in entries:
        strays = [entry for entry in entries if entry.name != SPEC_FILE]
        return [folder / SPEC_FILE], _strays(strays, ignored)
    below = [entry for entry in entries if (entry / SPEC_FILE).is_file()]
    if not below:
        near = closest(SPEC_FILE, [entry.name for entry in entries])
        return [], [Problem(shown(folder), "", MISSING, f'The folder holds no "{SPEC_FILE}"', near)]
    files, problems = [], _strays([entry for entry in entries if entry not in below], ignored)
    for entry in below:
        more, wrong = _in_folder(entry, ignored)
        files += more
        problems += wrong
    return files, problems


def _strays(entries: Sequence[Path], ignored: Ignored) -> list[Problem]:
    message, remedy = f'Only "{SPEC_FILE}" is read here, so this has no effect', "take it away"
    strays = [entry for entry in entries if _is_stray(entry, ignored)]
    return [Problem(shown(entry), "", MISSING, message, remedy) for entry in strays]


def _is_stray(entry: Path, ignored: Ignored) -> bool:
    if entry.name in VARIABLES:
        return not entry.is_dir() or any(entry.iterdir())  # Molecule makes empty ones
    return not ignored(entry.name)


def _near(path: Path, root: Path) -> str:
    """Return the existing path that was probably meant: the same below the project, else a name much like it."""
    for length in (3, 2):
        meant = root.joinpath(*path.parts[-length:])
        if len(path.parts) > length and meant.exists():
            return f'did you mean "{meant}"'
    if path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
        if found := difflib.get_close_matches(path.name, names, n=1):
            return f'did you mean "{shown(path.parent / found[0])}"'
        return ""
    return _near(path.parent, root) if path.parent != path else ""


def _neighbours(files: Sequence[Path], root: Path, roles: Roles) -> tuple[list[Region], list[str]]:
    regions, warnings = [], []
    beside = {folder: None for file in files for folder in sorted(file.parent.parent.glob(f"*/{SPEC_FILE}"))}
    for file in beside:
        if file.resolve() in files:
            continue
        region, problems = read_region(file, root, roles)
        if region:
            regions.append(region)
        if problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} of its own"
            warnings.append(f"{shown(file)} has {count}: what is wrong there was not compared")
    return regions, warnings


def _in_their_folders(regions: Iterable[Region]) -> list[Problem]:
    return [
        Problem(region.locate(_NAME), _NAME, region.name, f'Expected the name of the folder, "{folder}"')
        for region in regions
        if region.accepts(_NAME) and region.name != (folder := region.file.parent.name)
    ]


def _same_name(region: Region, other: Region) -> list[Problem]:
    if region.name != other.name or not (region.accepts(_NAME) and other.accepts(_NAME)):
        return []
    message = f"The name is taken by {other.locate(_NAME)}"
    return [Problem(region.locate(_NAME), _NAME, region.name, message)]


def _same_network(region: Region, other: Region) -> list[Problem]:
    at = shown(other.file)
    return [
        Problem(region.locate(path), path, str(mine), f'The network overlaps {option} "{theirs}" of {at}')
        for path, mine in _networks(region).items()
        for option, theirs in _networks(other).items()
        if mine.overlaps(theirs)
    ]


def _same_bucket(region: Region, other: Region) -> list[Problem]:
    """Return a second store that is a store of another region: each would delete what the other one keeps."""
    (own, second), (others_own, others_second) = _stores(region), _stores(other)
    if second & (others_own | others_second):
        at, owner = region, other
    elif others_second & own:
        at, owner = other, region
    else:
        return []
    message = f'The bucket is one of region "{owner.name}", and what lies there would be mixed'
    bucket = at.blocks["foundation"]["second_store"]["bucket"]
    return [Problem(at.locate(_SECOND), _SECOND, bucket, message, "name a bucket that no other region uses")]


def _stores(region: Region) -> tuple[set[str], set[str]]:
    """Return the buckets of a region's own store, and those of its second one; what was refused is not compared."""
    block = region.blocks["foundation"]
    own = foundation.own_buckets(block, region.name) if region.accepts("foundation.backup_bucket") else set()
    return own, foundation.second_buckets(block) if region.accepts(_SECOND) else set()


def _networks(region: Region) -> dict[str, IPv4Network]:
    paths = {f"cluster.{option}": region.blocks["cluster"][option] for option in NETWORKS}
    found = {path: network(text) for path, text in paths.items() if region.accepts(path)}
    return {path: one for path, one in found.items() if one}
