"""Test set-up shared by all tests: the collection can be imported, the caller's environment cannot be seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
WIPED_PREFIXES = ("ANSIBLE_", "K8S_AUTH_", "KONTROL_", "KUBE", "MOLECULE_", "SOPS_", "TF_", "AWS_", "DOCKER_", "XDG_")
NO_SETTINGS = str(ROOT / "tests" / "ansible.cfg")
CALLER = dict(os.environ)  # what the e2e tests hand to their children


def _wiped(name: str) -> bool:
    return name.startswith(WIPED_PREFIXES)


for _name in filter(_wiped, CALLER):
    del os.environ[_name]
os.environ["ANSIBLE_CONFIG"] = NO_SETTINGS

from ansible.plugins.loader import init_plugin_loader  # noqa: E402 - ansible reads the environment when it is imported

# The PyPI package `ansible` ships ansible_collections as a regular package, so sys.path alone never finds ours.
init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture(scope="session")
def caller_environment() -> dict[str, str]:
    """The environment as it was before the wipe, for tests that do what a person does."""
    return dict(CALLER)


@pytest.fixture(scope="session")
def lab_facts() -> Path:
    """What the lab of this machine wrote, for tests that need a program which it brings (marker `lab`)."""
    state = CALLER.get("XDG_STATE_HOME") or str(Path(CALLER["HOME"]) / ".local" / "state")
    file = Path(state) / "kontrol" / "lab.json"
    assert file.is_file(), "This test needs a program of the lab: run `python -m lab up`"
    return file


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away the caller's settings; state, cache, config and home are folders of this test alone."""
    if request.node.get_closest_marker("e2e"):
        return
    for name in filter(_wiped, list(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANSIBLE_CONFIG", NO_SETTINGS)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test below tests/e2e works on a real cluster: mark it, so that `-m "not e2e"` leaves it out."""
    for item in items:
        if (ROOT / "tests" / "e2e") in item.path.parents:
            item.add_marker(pytest.mark.e2e)
