"""kill -9 at points spread over a bootstrap: nothing goes on, the next ends green, the one after changes nothing."""

from __future__ import annotations

import os
import time

import pytest

from tests.e2e.conftest import FirstRun, Say
from tests.e2e.harness import CLUSTER, Cgroup, Region, Started

POINTS = int(os.environ.get("E2E_KILL_POINTS", "4"))
SECONDS_TO_DIE = 5.0

pytestmark = pytest.mark.slow


def interrupt(region: Region, seconds: float, *, by_cgroup: bool) -> Started:
    """Start a bootstrap and kill it after so many seconds."""
    cgroup = Cgroup.make() if by_cgroup else None
    if by_cgroup and cgroup is None:
        pytest.skip("this machine lets nobody make a cgroup")
    started = region.start("bootstrap")
    if cgroup is not None:
        cgroup.add(started.process.pid)
    time.sleep(seconds)
    if cgroup is not None:
        cgroup.kill()
        started.process.wait()
    else:
        started.kill_group()
    return started


@pytest.mark.parametrize("point", range(1, POINTS + 1))
def test_a_killed_bootstrap_is_repeated(point: int, first: FirstRun, region: Region, say: Say) -> None:
    """Every point is in a run that makes the cluster anew; odd points kill by process group, even ones by cgroup."""
    region.tool("docker", "rm", "--force", "--volumes", f"{CLUSTER}-control-plane", check=False)
    after = first.real.seconds * point / (POINTS + 1)
    started = interrupt(region, after, by_cgroup=point % 2 == 0)
    assert started.survivors(SECONDS_TO_DIE) == []
    status = region.run("status").green()
    again = region.run("bootstrap")
    say(f"killed after {after:.0f} s; again: {again.seconds:.0f} s; status said:\n{status.stdout}")
    again.green()
    assert region.run("bootstrap").green().changed == 0
