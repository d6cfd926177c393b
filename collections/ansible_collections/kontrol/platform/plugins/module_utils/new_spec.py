"""The spec of a new region: written once, judged before it is there, and never changed by us again."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import paths, regions, state
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import RECORD_FILE
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.problems import ProblemsError
from ansible_collections.kontrol.platform.plugins.module_utils.rules.cluster import network
from ansible_collections.kontrol.platform.plugins.module_utils.rules.region import PATTERNS
from ansible_collections.kontrol.platform.plugins.module_utils.spec import ALWAYS, SPEC_FILE, Region, Roles, read_region

PODS: Final = IPv4Network("10.64.0.0/10")
SERVICES: Final = IPv4Network("10.192.0.0/10")
"""Where networks of new regions are taken from, a /16 of each: room for 64 regions that must never overlap."""
PREFIX: Final = 16
LOCK: Final = "new_region.lock"
OF_REGION: Final = ("market", "driver", "location", "profile")


@dataclass(frozen=True)
class Wanted:
    """What a person said of a new region; "" and () where nothing was said."""

    name: str
    market: str = ""
    driver: str = ""
    location: str = ""
    profile: str = ""
    components: tuple[str, ...] = ()

    def region(self) -> dict[str, str]:
        """Return the options of the block `region` that were given."""
        return {name: value for name in OF_REGION if (value := getattr(self, name))}


def ensure(wanted: Wanted, inventories: Path, root: Path, roles: Roles, *, check: bool = False) -> tuple[Path, str]:
    """Write the spec of a region unless it is there; return its file, and its text when it was (or would be) written.

    Args:
        wanted: what a person said.
        inventories: the folder of the regions' folders.
        root: the project's root.
        roles: what spec.load_roles returned.
        check: write nothing.

    Raises:
        KontrolError: the spec that is there says otherwise.
        ProblemsError: what was said makes no sound spec; nothing was written.
    """
    file = inventories / wanted.name / SPEC_FILE
    with _alone():
        if re.fullmatch(PATTERNS["name"][0], wanted.name) and file.exists():
            _refuse_contradiction(file, wanted, root, roles)
            return file, ""
        text = _judged(wanted, inventories, root, roles)
        if not check:
            _place(file, text)
        return file, text


def free_networks(taken: Iterable[IPv4Network]) -> tuple[IPv4Network, IPv4Network]:
    """Return the first networks for pods and for services that overlap nothing.

    Raises:
        KontrolError: all are taken.
    """
    used = list(taken)
    for pods, services in zip(PODS.subnets(new_prefix=PREFIX), SERVICES.subnets(new_prefix=PREFIX), strict=True):
        if not any(one.overlaps(pods) or one.overlaps(services) for one in used):
            return pods, services
    raise KontrolError(f"No network is free in {PODS} and {SERVICES}; give cluster.pod_cidr in a prepared spec")


def text_of(wanted: Wanted, pods: IPv4Network, services: IPv4Network, components: Sequence[str]) -> str:
    """Return the spec as YAML; values are written as JSON strings, so no name can become anything but text."""
    block = {"name": wanted.name, **wanted.region()}
    lines = [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in block.items()]
    return "\n".join(
        [
            "---",
            "# yaml-language-server: $schema=../../schemas/region.schema.json",
            "# Written by the playbook new_region. From here on it is yours: commit it, change it, run bootstrap.",
            "region:",
            *lines,
            "",
            "# Overlaps no other region's; cannot be changed once the cluster is there.",
            "cluster:",
            f"  pod_cidr: {pods}",
            f"  service_cidr: {services}",
            "",
            *(f"{name}: {{}}" for name in components),
            "",
        ]
    )


def _judged(wanted: Wanted, inventories: Path, root: Path, roles: Roles) -> str:
    """Return the text of a sound spec; it is judged in a folder of its own, beside nothing."""
    others = _others(inventories, root, roles)
    pods, services = free_networks(_taken(others))
    text = text_of(wanted, pods, services, wanted.components or [name for name in roles if name not in ALWAYS])
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "region" / SPEC_FILE
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        region, problems = read_region(file, root, roles)
        if region is not None:
            problems += regions.against_each_other([region], others)
    if problems or region is None:
        raise ProblemsError(replace(one, file=f"region {wanted.name}") for one in problems)  # the file never was
    if region.decision is not None:  # written down, so that a later change of the policy moves nobody
        chosen = {"driver": region.decision.driver, "location": region.decision.location}
        wanted = Wanted(**{**wanted.__dict__, **chosen})
    return text_of(wanted, pods, services, region.components)


def _others(inventories: Path, root: Path, roles: Roles) -> list[Region]:
    found = (read_region(file, root, roles)[0] for file in sorted(inventories.glob(f"*/{SPEC_FILE}")))
    return [region for region in found if region is not None]


def _taken(others: Iterable[Region]) -> Iterator[IPv4Network]:
    """Yield the networks of the declared regions, and of the clusters on this machine whose spec lies elsewhere."""
    for region in others:
        yield from _networks(region.blocks["cluster"])
    for record in sorted(paths.state_root().glob(f"*/{RECORD_FILE}")):
        yield from _networks((state.read_json(record) or {}).get("spec") or {})


def _networks(block: Mapping[str, Any]) -> Iterator[IPv4Network]:
    for option in ("pod_cidr", "service_cidr"):
        if found := network(str(block.get(option, ""))):
            yield found


def _refuse_contradiction(file: Path, wanted: Wanted, root: Path, roles: Roles) -> None:
    region, problems = read_region(file, root, roles)
    if region is None or problems:
        raise ProblemsError(problems)
    said = {**wanted.region(), **({"components": _listed(wanted.components)} if wanted.components else {})}
    there = {**region.blocks["region"], "components": _listed(region.components)}
    differing = [
        f"{name} is '{there[name]}' there, '{value}' was said" for name, value in said.items() if there[name] != value
    ]
    if differing:
        told = "; ".join(differing)
        raise KontrolError(
            f"Region '{wanted.name}' is declared in '{file}': {told}; leave that out, or change the spec"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _place(file: Path, text: str) -> None:
    """Put the folder of a region in its place as a whole, so that a kill leaves all of it or nothing."""
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=file.parents[1]))
    try:
        (scratch / "region").mkdir()
        (scratch / "region" / SPEC_FILE).write_text(text, encoding="utf-8")
        os.rename(scratch / "region", file.parent)  # noqa: PTH104 - refuses a folder that is there and not empty
    finally:
        shutil.rmtree(scratch)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one run at a time choose a name and networks."""
    folder = state.make_private_dir(paths.state_root())
    with (folder / LOCK).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
