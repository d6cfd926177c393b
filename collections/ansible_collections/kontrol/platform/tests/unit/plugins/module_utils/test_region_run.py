from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, region_run
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeTools


def lab(mode: str) -> None:
    paths.state_root().mkdir(parents=True)
    paths.lab_file().write_text(json.dumps({"mode": mode, "registry": "localhost:5001", "tools": {}}))


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("docker.io/versity/versitygw:1@sha256:a", "localhost:5001/versity/versitygw:1@sha256:a"),
        ("versity/versitygw:1", "localhost:5001/versity/versitygw:1"),
        ("quay.io:443/a/b:1", "localhost:5001/a/b:1"),
        ("", ""),
    ],
)
def test_where_there_is_a_lab_images_come_from_its_registry(tmp_path: Path, image: str, found: str) -> None:
    assert RegionRun("r", "run", tmp_path).pulled_from(image) == image
    lab("lab")
    assert RegionRun("r", "run", tmp_path).pulled_from(image) == found


def test_a_node_image_built_here_is_known_by_its_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_tool", lambda name, known=None: f"/bin/{name}")
    tools = FakeTools()
    lab("lab")
    region = RegionRun("r", "run", tmp_path, runner=tools)
    assert region.driver("node:1@sha256:a").image == "node:1"
    assert region.driver("node:1").image == "node:1"
    tools.images.add("node:1@sha256:a")
    assert region.driver("node:1@sha256:a").image == "node:1@sha256:a"


def test_without_the_callback_there_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KontrolError, match="ANSIBLE_CONFIG"):
        region_run.current_run()
    monkeypatch.setenv(region_run.RUN, "run-1")
    monkeypatch.setenv(region_run.MAIN_PID, str(os.getpid()))
    monkeypatch.setenv(region_run.PLAYBOOK, "bootstrap")
    holder = region_run.current_holder("r")
    assert (holder.run, holder.pid, holder.playbook, holder.region) == ("run-1", os.getpid(), "bootstrap", "r")


def test_a_result_is_changed_when_an_object_is() -> None:
    assert region_run.result([region_run.entry("A", "none")])["changed"] is False
    assert region_run.result([region_run.entry("A", "none"), region_run.entry("B", "update")])["changed"] is True


def test_a_red_check_and_no_check_fail() -> None:
    green = check("c", "t", "e", "s", ok=True)
    assert region_run.verified("it", [green]) == {"changed": False, "kontrol_checks": [green]}
    for checks in ([], [green, {**green, "ok": False}]):
        with pytest.raises(KontrolError, match="Verify of it failed") as caught:
            region_run.verified("it", checks)
        assert caught.value.result["kontrol_checks"] == checks
