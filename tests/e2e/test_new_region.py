"""A second and a third region beside the first, made at the same time from names and markets; ended to nothing left."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Say
from tests.e2e.harness import INVENTORY, Region, Run

pytestmark = pytest.mark.slow
MARKETS = {"madrid": "ES", "paulo": "BR"}


@pytest.fixture
def inventories(region: Region, tmp_path: Path) -> Iterator[Path]:
    """A folder of regions in which the first one stands; the others are removed at the end."""
    folder = tmp_path / "inventories"
    shutil.copytree(INVENTORY, folder / INVENTORY.name)
    yield folder
    for name in MARKETS:
        if (folder / name).exists():
            region.beside(name, folder).decommission().green()


def versions(region: Region) -> dict[str, str]:
    """Resource version of every object of ours in a region; the Lease is a run's own."""
    found = region.items(
        "deployments,statefulsets,services,secrets,configmaps,authorizationpolicies,peerauthentications"
    )
    return {
        f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in found
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "kontrol"
    }


def made(region: Region, inventories: Path, *arguments: str) -> Run:
    """Run new_region for it, whose folder is that of all regions."""
    said = (f"region_name={region.name}", f"market={MARKETS[region.name]}", "driver=kind", "components=mesh")
    given = [part for one in said for part in ("-e", one)]
    return region.run("new_region", *given, *arguments, inventory=inventories)


def ended(region: Region) -> Run:
    return region.run("decommission", "-e", f"confirm={region.name}", "-e", f"remove_foundation={region.name}")


def at_once(work: Callable[[Region], Run], regions: list[Region]) -> list[Run]:
    with ThreadPoolExecutor(len(regions)) as pool:
        return list(pool.map(work, regions))


def approved(done: Run) -> str:
    """The hash that a run which stopped for approval names in its command."""
    found = re.search(r"with -e\s+approve=([0-9a-f]{12})", done.stdout)
    assert found, done.stdout[-3000:]
    return found[1]


def declared(region: Region) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((region.inventory / "region.yml").read_text(encoding="utf-8"))
    return spec


def identity(region: Region) -> str:
    """The region that a cluster says it belongs to, with the id."""
    found = region.kubectl("get", "configmap", "kontrol-identity", "-n", "kontrol-system", "-o", "jsonpath={.data}")
    assert region.name in found
    return found


def test_two_regions_at_once_beside_the_first_from_nothing_to_nothing(
    region: Region, inventories: Path, say: Say
) -> None:
    others = [region.beside(name, inventories) for name in MARKETS]
    before, files, start = versions(region), region.files(), time.monotonic()

    stopped = at_once(lambda one: made(one, inventories), others)
    assert [run.rc != 0 for run in stopped] == [True, True]
    assert [one.containers() for one in others] == [[], []], "something was made without approval"
    specs = [declared(one) for one in others]
    assert [spec["region"]["market"] for spec in specs] == ["ES", "BR"]
    assert {(spec["region"]["driver"], spec["region"]["location"]) for spec in specs} == {("kind", "local")}
    assert specs[0]["cluster"]["pod_cidr"] != specs[1]["cluster"]["pod_cidr"]

    wrong = made(others[0], inventories, "-e", "approve=00000000")
    assert wrong.rc != 0
    assert others[0].containers() == []

    hashes = dict(zip(MARKETS, map(approved, stopped), strict=True))
    looks = time.monotonic() - start
    done = at_once(lambda one: made(one, inventories, "-e", f"approve={hashes[one.name]}").green(), others)
    took = ", ".join(f"{one.name} {run.seconds:.0f} s" for one, run in zip(others, done, strict=True))
    say(f"two regions at once beside a third, from approval: {took}; the plans and looks before: {looks:.0f} s")
    for one in others:
        status = one.run("status").green()
        assert re.search(rf"registered +market {MARKETS[one.name]}, kind local, since ", status.stdout)
        assert one.run("drift").rc == 0
    assert len({identity(one) for one in (region, *others)}) == 3
    assert versions(region) == before, "the first region was touched"
    assert region.files() == files

    start, volumes, third = time.monotonic(), others[0].volumes(), versions(others[1])
    ended(others[0]).green()
    assert others[0].left(volumes) == {}
    assert versions(others[1]) == third, "the end of the second touched the third"
    volumes = others[1].volumes()
    ended(others[1]).green()
    assert others[1].left(volumes) == {}
    say(f"both ended, one after the other: {time.monotonic() - start:.0f} s with all looks")
    assert versions(region) == before
    assert region.files() == files
    assert [run.green().changed for run in at_once(ended, others)] == [0, 0]
