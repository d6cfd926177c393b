"""One region for the whole session: made by the first bootstrap, removed at the end unless E2E_KEEP=1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.harness import CLUSTER, ROOT, Region, Run

CALLER = ("HOME", "PATH", "LANG", "LC_ALL", "TERM", "VIRTUAL_ENV", "XDG_STATE_HOME", "XDG_CACHE_HOME")
Say = Callable[[str], None]


class Fleet(Protocol):
    """Runs a playbook for regions of a folder by tools.fleet, all at once."""

    def __call__(self, playbook: str, inventories: Path, *names: str) -> str:
        """Answer what it printed; fail unless each is ok."""


@dataclass(frozen=True)
class FirstRun:
    """The first bootstrap of the region, with the check before it and what that check left on disk."""

    check: Run
    left_by_check: dict[str, bytes]
    clusters_after_check: str
    real: Run


@pytest.fixture(scope="session")
def bare(caller_environment: dict[str, str]) -> Iterator[Region]:
    """The region before its first bootstrap; what an earlier session left is removed."""
    environment = {name: value for name, value in caller_environment.items() if name in CALLER}
    region = Region({**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")})
    if CLUSTER in region.tool("kind", "get", "clusters").split() or region.state.exists():
        region.decommission().green()
    shutil.rmtree(region.state, ignore_errors=True)  # the records of earlier sessions
    yield region
    if not os.environ.get("E2E_KEEP"):
        region.decommission().green()


@pytest.fixture(scope="session")
def first(bare: Region) -> FirstRun:
    """Check, then bootstrap the region for the first time."""
    check = bare.run("bootstrap", "--check", "--diff")
    left, clusters = bare.files(), bare.tool("kind", "get", "clusters")
    return FirstRun(check, left, clusters, bare.run("bootstrap", "--diff"))


@pytest.fixture(scope="session")
def region(bare: Region, first: FirstRun) -> Region:
    """The bootstrapped region."""
    first.real.green()
    return bare


@pytest.fixture(scope="session")
def fleet(bare: Region) -> Fleet:
    """The command for several regions, as a person gives it."""

    def run(playbook: str, inventories: Path, *names: str) -> str:
        argv = [sys.executable, "-m", "tools.fleet", playbook, "-i", str(inventories)]
        argv += ["--limit", ",".join(names)]
        done = subprocess.run(argv, env=bare.env, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        bare.outputs.append(done.stdout)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Shows a figure on the screen of who runs the tests."""

    def show(text: str) -> None:
        with capsys.disabled():
            print("\n" + text)

    return show


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The search for secrets reads what all other tests printed: it goes last."""
    items.sort(key=lambda item: item.path.name == "test_secrets.py")
