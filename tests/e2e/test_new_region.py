"""A second region beside the first, from a name and a market; ended with nothing left, also when killed on the way."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Say
from tests.e2e.harness import INVENTORY, Region, Run

pytestmark = pytest.mark.slow
NEW = "madrid"
ARGUMENTS = ("-e", f"region_name={NEW}", "-e", "market=ES", "-e", "driver=kind", "-e", "components=mesh")
END = ("-e", f"confirm={NEW}", "-e", f"remove_foundation={NEW}")


@pytest.fixture
def inventories(region: Region, tmp_path: Path) -> Iterator[Path]:
    """A folder of regions in which the first one stands; the second is removed at the end."""
    folder = tmp_path / "inventories"
    shutil.copytree(INVENTORY, folder / INVENTORY.name)
    yield folder
    if (folder / NEW).exists():
        region.run("decommission", *END, "-e", "last_backup=declined", inventory=folder / NEW).green()


def versions(region: Region) -> dict[str, str]:
    """Resource version of every object of ours in the first region; the Lease is a run's own."""
    found = region.items(
        "deployments,statefulsets,services,secrets,configmaps,authorizationpolicies,peerauthentications"
    )
    return {
        f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in found
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "kontrol"
    }


def made(region: Region, inventories: Path, *arguments: str) -> Run:
    return region.run("new_region", *ARGUMENTS, *arguments, inventory=inventories)


def approved(done: Run) -> str:
    """The hash that a run which stopped for approval names in its command."""
    found = re.search(r"with -e\s+approve=([0-9a-f]{12})", done.stdout)
    assert found, done.stdout[-3000:]
    return found[1]


def left(region: Region, name: str) -> dict[str, Any]:
    """What there is of a region on this machine, as the engine and the file system tell."""
    containers = region.tool("docker", "ps", "-a", "--format", "{{.Names}}").split()
    folder = region.state_root / name
    files = sorted(one.name for one in folder.iterdir()) if folder.exists() else []
    return {
        "containers": [one for one in containers if name in one],
        "clusters": [one for one in region.tool("kind", "get", "clusters").split() if name in one],
        "files": [one for one in files if one not in {"runs", "plans", "lock"}],
    }


def test_a_second_region_from_nothing_to_nothing(region: Region, inventories: Path, say: Say) -> None:
    before, files = versions(region), region.files()
    start = time.monotonic()
    stopped = made(region, inventories)
    assert stopped.rc != 0
    assert left(region, NEW)["containers"] == [], "something was made without approval"
    options = yaml.safe_load((inventories / NEW / "region.yml").read_text(encoding="utf-8"))["region"]
    assert (options["driver"], options["location"], options["market"]) == ("kind", "local", "ES")

    wrong = made(region, inventories, "-e", "approve=00000000")
    assert wrong.rc != 0
    assert left(region, NEW)["containers"] == []

    done = made(region, inventories, "-e", f"approve={approved(stopped)}").green()
    say(f"a second region: {done.seconds:.0f} s after approval, {time.monotonic() - start:.0f} s with all looks before")
    status = region.run("status", inventory=inventories / NEW).green()
    assert re.search(r"registered +market ES, kind local, since ", status.stdout)
    assert region.run("drift", inventory=inventories / NEW).rc == 0
    assert versions(region) == before, "the first region was touched"
    assert region.files() == files

    ended = region.run("decommission", *END, inventory=inventories / NEW).green()
    assert "nothing is left" in ended.stdout
    assert left(region, NEW) == {"containers": [], "clusters": [], "files": []}
    assert versions(region) == before
    assert region.run("decommission", *END, inventory=inventories / NEW).green().changed == 0
