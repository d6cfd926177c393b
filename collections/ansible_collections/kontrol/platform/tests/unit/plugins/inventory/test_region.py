"""The plugin shows all problems once and ends the command, or makes a host of each region."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible import constants, context
from ansible.inventory.data import InventoryData
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.utils import vars as ansible_vars

from ansible_collections.kontrol.platform.plugins.inventory import region as plugin
from ansible_collections.kontrol.platform.plugins.module_utils import artifacts, spec
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import MISSING, Problem, ProblemsError

GOOD = "region: {name: a, driver: kind}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    command()
    plugin.read_all.cache_clear()
    yield tmp_path
    command()


def command(*sources: str, extra_vars: tuple[str, ...] = ()) -> None:
    """Pretend that a command was given these sources and extra variables."""
    given = tuple(str(Path(source).absolute()) for source in sources)
    context.CLIARGS = ImmutableDict(inventory=given, extra_vars=extra_vars)
    ansible_vars.load_extra_vars.extra_vars = None


def declare(name: str, text: str) -> str:
    file = Path("inv", name, "region.yml")
    file.parent.mkdir(parents=True)
    file.write_text(text, "utf-8")
    return str(file.absolute())


def parse(*files: str) -> InventoryData:
    inventory = InventoryData()
    for file in files:
        plugin.InventoryModule().parse(inventory, DataLoader(), file)
    return inventory


def test_a_host_of_each_region() -> None:
    files = (
        declare("a", GOOD),
        declare("b", "region: {name: b, driver: kind}\ncluster: {pod_cidr: 10.1.0.0/16, service_cidr: 10.2.0.0/16}\n"),
    )
    command("inv")
    inventory = parse(*files)
    assert [host.name for host in inventory.groups["regions"].get_hosts()] == ["a", "b"]
    variables = inventory.hosts["b"].get_vars()
    assert variables["cluster_pod_cidr"] == "10.1.0.0/16"
    assert variables["region_protected"] is False
    assert variables["ansible_connection"] == "local"
    assert variables["ansible_python_interpreter"] == sys.executable
    assert variables["kontrol_components"] == []
    assert variables["kontrol_root"] == str(project_root())
    assert variables["kontrol_artifacts"]["kind_node"]["type"] == "image"


def test_problems_of_all_sources_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = declare("a", GOOD), declare("b", "region: {name: b}\ncluster: {wait_timeout: x}\n")
    command("inv/a", "inv/b", "inv/c", extra_vars=("kontrol_root=/x",))
    for file in (good, bad, str(Path("inv/c").absolute())):
        with pytest.raises(plugin.Refused) as refused:
            parse(file)
        assert refused.value.code == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert errors[0] == "[ERROR]: 6 problems in what was declared; nothing was started"
    assert [line.split(": ")[0] for line in errors[1:]] == [
        "inv/c",
        "inv/b/region.yml:1",
        "inv/b/region.yml:2",
        "inv/b/region.yml:2",
        "inv/b/region.yml:2",
        "--extra-vars",
    ]


def test_a_broken_project_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_root: Path) -> Any:
        raise KontrolError('Option "x" in "y" does not start with "z_"')

    monkeypatch.setattr(spec, "load_roles", broken)
    with pytest.raises(plugin.Refused):
        parse(declare("a", GOOD))
    assert capsys.readouterr().err.strip() == '[ERROR]: Option "x" in "y" does not start with "z_"'


def test_problems_of_the_artifacts_come_with_those_of_the_spec(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: Path) -> Any:
        raise ProblemsError([Problem("artifacts.yml:3", "artifacts.x", MISSING, "Key is missing")])

    monkeypatch.setattr(artifacts, "load", broken)
    with pytest.raises(plugin.Refused):
        parse(declare("a", "region: {name: a, driver: x}\n"))
    assert len(capsys.readouterr().err.strip().splitlines()) == 3


def test_a_neighbours_problems_are_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    file = declare("a", GOOD)
    declare("b", "[")
    parse(file)
    text = "[WARNING]: inv/b/region.yml has 1 problem of its own: what is wrong there was not compared"
    assert capsys.readouterr().err.strip() == text


def test_extra_variables_that_cannot_be_read_are_left_to_ansible() -> None:
    file = declare("a", GOOD)
    command("inv/a", extra_vars=("/not/marked/with/an/at",))
    with pytest.raises(Exception, match="Please prepend extra_vars filename"):
        parse(file)


@pytest.mark.parametrize("path", ["/nowhere", "localhost,", "/etc/hostname"])
def test_whatever_was_named_is_taken(path: str) -> None:
    assert plugin.InventoryModule().verify_file(path)


@pytest.mark.parametrize("strict", [True, False])
def test_nothing_named_is_an_error_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch, strict: bool) -> None:
    monkeypatch.setattr(constants, "INVENTORY_ANY_UNPARSED_IS_FAILED", strict, raising=False)
    assert plugin.InventoryModule().verify_file("/etc/ansible/hosts") is strict
