"""Each component's Molecule scenario is red when what the component is for is broken in its role.

The scenario's own two playbooks run, from a copy of the project in which one line of the role is wrong.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Region

pytestmark = pytest.mark.whole
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".bootstrap", "__pycache__", ".*_cache")
BREAKS = {
    # component: file of its role, right, wrong, the check that must say so
    "mesh": ("templates/strict.yml.j2", "mode: STRICT", "mode: PERMISSIVE", "mutual TLS is STRICT"),
    "clickhouse": ("templates/users.xml.j2", '<default remove="remove"/>', "", "login of 'default'"),
    "neo4j": ("templates/access.yml.j2", "- {{ __neo4j_job_principal }}", '- "*"', "port, in the mesh, not allowed"),
    "monitoring": (
        "templates/prometheus.yml.j2",
        "key: kontrol.dev/component",
        "key: kontrol.dev/watched",
        "target is up",
    ),
}


def broken(component: str, folder: Path) -> Path:
    """A copy of the project in which one line of a component's role is wrong."""
    file, right, wrong, _check = BREAKS[component]
    copy = shutil.copytree(ROOT, folder / "project", ignore=LEFT_OUT)
    target = copy / "roles" / component / file
    text = target.read_text(encoding="utf-8")
    assert right in text, f"'{right}' is not in {target}: this test breaks nothing any more"
    target.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    return copy


@pytest.mark.parametrize("component", BREAKS)
def test_the_scenario_of_a_broken_role_is_red(component: str, region: Region, tmp_path: Path) -> None:
    copy, scenario = broken(component, tmp_path), {"MOLECULE_SCENARIO_NAME": component}
    try:
        region.run("../molecule/component", root=copy, env=scenario).green()
        done = region.run("../molecule/verify_component", root=copy, env=scenario)
        assert done.rc != 0
        assert re.search(rf"^FAIL +{re.escape(BREAKS[component][3])}", done.stdout, re.MULTILINE), done.stdout[-3000:]
    finally:
        healed = region.run("bootstrap")
    healed.green()
