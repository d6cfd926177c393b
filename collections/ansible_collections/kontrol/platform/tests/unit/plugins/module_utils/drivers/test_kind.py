from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    CREATING,
    READY,
    ClusterSpec,
    Condition,
    DriverError,
    load_record,
    save_record,
)
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.kind import (
    KindDriver,
    inotify_warnings,
    kind_config,
)
from ansible_collections.kontrol.platform.plugins.module_utils.process import ToolError
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeTools

SPEC = ClusterSpec("10.244.0.0/16", "10.96.0.0/16")
NODE = "kontrol-r-control-plane"
LABEL = {"io.x-k8s.kind.cluster": "kontrol-r"}
OBJECT = "Cluster kontrol-r"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    fake = FakeTools(created_at="2026-11-25T03:00:00.5Z")
    monkeypatch.setattr(
        "ansible_collections.kontrol.platform.plugins.module_utils.state.now", lambda: "2026-11-25T03:00:00Z"
    )
    return fake


@pytest.fixture
def driver(tools: FakeTools, tmp_path: Path) -> KindDriver:
    return KindDriver("r", tmp_path, tmp_path, "/bin/kind", "node:v1", Docker("/bin/docker", tools), tools)


def made(driver: KindDriver, run: str = "run-1") -> None:
    driver.complete(driver.create(SPEC, run), run, "uid-1")


def test_a_cluster_is_made_and_recorded(driver: KindDriver, tools: FakeTools) -> None:
    said: list[str] = []
    driver.say = said.append
    assert driver.condition() is Condition.ABSENT
    assert driver.read() is None
    assert driver.plan(SPEC) == [(OBJECT, "create")]
    outputs = driver.create(SPEC, "run-1")
    record = load_record(driver.folder)
    assert record is not None
    assert record.phase == CREATING, "the identity is not written yet"
    driver.complete(outputs, "run-1", "uid-1")
    record = load_record(driver.folder)
    assert record is not None
    assert (record.phase, record.run, record.namespace_uid) == (READY, "run-1", "uid-1")
    assert record.matches(outputs)
    assert outputs.api_server == "https://127.0.0.1:6443"
    assert said[0].startswith("Cluster kontrol-r: Ensuring node image (node) (step 1 of 6, after")
    assert driver.plan(SPEC) == [(OBJECT, "none")]


def test_kind_gets_its_own_kubeconfig_file_and_its_configuration_by_pipe(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    [call] = [call for call in tools.calls if call[:2] == ["kind", "create"]]
    assert call[call.index("--kubeconfig") + 1] == str(driver.scratch / "kind.kubeconfig")
    assert call[call.index("--config") + 1] == "-"
    assert call[call.index("--image") + 1] == "node:v1"
    config = json.loads(tools.inputs[tools.calls.index(call)] or "")
    assert config["networking"]["podSubnet"] == SPEC.pod_cidr
    driver.delete()
    [call] = [call for call in tools.calls if call[:2] == ["kind", "delete"]]
    assert "--kubeconfig" in call, "else kind edits the person's own"


def test_the_second_time_nothing_is_done(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    driver.create(SPEC, "run-2")
    assert tools.did("kind", "create") == 1
    assert tools.did("docker", "start") == 0


def test_a_stopped_cluster_is_started(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    tools.containers[NODE]["State"] = {"Running": False, "Status": "exited"}
    assert driver.condition() is Condition.STOPPED
    assert driver.read() is None
    assert driver.plan(SPEC) == [(OBJECT, "update")]
    driver.create(SPEC, "run-2")
    assert driver.condition() is Condition.RUNNING
    assert tools.did("kind", "create") == 1


def test_a_cluster_removed_by_hand_is_made_again(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    del tools.containers[NODE]
    assert driver.plan(SPEC) == [(OBJECT, "create")]
    made(driver, "run-2")
    record = load_record(driver.folder)
    assert record is not None
    assert record.run == "run-2"


@pytest.mark.parametrize("complete", [True, False])
def test_a_half_made_cluster_is_deleted_and_made_again(driver: KindDriver, tools: FakeTools, complete: bool) -> None:
    tools.die_during_create = not complete
    if complete:  # killed after kind was done, before the identity was written
        driver.create(SPEC, "run-1")
    else:
        with pytest.raises(KeyboardInterrupt):
            driver.create(SPEC, "run-1")
    tools.die_during_create = False
    assert driver.condition() is Condition.HALF_MADE
    first = tools.containers[NODE]["Id"]
    made(driver, "run-2")
    assert tools.containers[NODE]["Id"] != first
    assert driver.condition() is Condition.RUNNING


def test_an_interrupted_deletion_goes_on(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    tools.fail["kind delete"] = "engine busy"
    with pytest.raises(ToolError, match='Deleting kind cluster "kontrol-r" failed with exit code 1: engine busy'):
        driver.delete()
    tools.fail.clear()
    assert driver.condition() is Condition.HALF_MADE
    assert driver.delete()
    assert load_record(driver.folder) is None
    assert not driver.delete()


def foreign_without_record(driver: KindDriver, tools: FakeTools) -> None:
    tools.add(NODE, LABEL)


def foreign_with_record(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    del tools.containers[NODE]
    tools.add(NODE, LABEL)


def foreign_older_than_our_creation(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    record = load_record(driver.folder)
    assert record is not None
    save_record(driver.folder, replace(record, phase=CREATING, at="2026-11-25T03:00:02Z"))


FOREIGN = [foreign_without_record, foreign_with_record, foreign_older_than_our_creation]


@pytest.mark.parametrize("happens", FOREIGN)
def test_a_cluster_that_this_region_did_not_make_is_left_alone(
    driver: KindDriver, tools: FakeTools, happens: Callable[[KindDriver, FakeTools], None]
) -> None:
    happens(driver, tools)
    before = len(tools.calls)
    for attempt in (lambda: driver.plan(SPEC), lambda: driver.create(SPEC, "run-2"), driver.delete):
        with pytest.raises(DriverError, match="-e adopt=r") as caught:
            attempt()
        assert tools.containers[NODE]["Id"][:12] in str(caught.value)
    assert all(call[1] == "ps" or call[1:3] == ["container", "inspect"] for call in tools.calls[before:])


@pytest.mark.parametrize("happens", FOREIGN)
def test_adopting_takes_over_what_is_there(
    driver: KindDriver, tools: FakeTools, happens: Callable[[KindDriver, FakeTools], None]
) -> None:
    happens(driver, tools)
    node = tools.containers[NODE]["Id"]
    assert driver.plan(SPEC, adopt=True) == [(OBJECT, "take_over")]
    driver.complete(driver.create(SPEC, "run-2", adopt=True), "run-2", "uid-2")
    assert tools.containers[NODE]["Id"] == node
    assert driver.plan(SPEC) == [(OBJECT, "none")]


@pytest.mark.parametrize("running", [True, False])
def test_networks_cannot_be_changed_in_place(driver: KindDriver, tools: FakeTools, running: bool) -> None:
    made(driver)
    tools.containers[NODE]["State"]["Running"] = running
    with pytest.raises(DriverError) as caught:
        driver.create(replace(SPEC, pod_cidr="10.1.0.0/16"), "run-2")
    assert "pod_cidr is '10.244.0.0/16' there and '10.1.0.0/16' in the region" in str(caught.value)


def test_a_failed_creation_tells_why_and_can_be_repeated(driver: KindDriver, tools: FakeTools) -> None:
    tools.fail["kind create"] = "ERROR: failed to create cluster: no space"
    with pytest.raises(ToolError, match="no space; run the same command again"):
        driver.create(SPEC, "run-1")
    tools.fail.clear()
    made(driver, "run-2")


def test_completing_a_creation_of_another_run_is_refused(driver: KindDriver) -> None:
    outputs = driver.create(SPEC, "run-1")
    with pytest.raises(DriverError, match='not started by run "run-2"'):
        driver.complete(outputs, "run-2", "uid")


def test_a_node_that_stops_at_once(driver: KindDriver, tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    made(driver)
    monkeypatch.setattr(driver, "read", lambda: None)
    with pytest.raises(DriverError, match="is not running although it was just started"):
        driver.create(SPEC, "run-2")


def test_a_deletion_that_leaves_something_is_not_called_done(driver: KindDriver, tools: FakeTools) -> None:
    made(driver)
    tools._kind_delete = lambda *_: ""  # type: ignore[method-assign]
    with pytest.raises(DriverError, match=f"{NODE} \\(running\\) is still there"):
        driver.delete()


def test_the_overlay_of_the_lab_is_merged_for_every_node() -> None:
    overlay = {
        "containerdConfigPatches": ["patch"],
        "networking": {"disableDefaultCNI": True},
        "nodes": [{"role": "control-plane", "extraMounts": [{"hostPath": "/a"}]}],
    }
    config = kind_config("kontrol-r", ClusterSpec("10.1.0.0/16", "10.2.0.0/16", workers=2), overlay)
    assert config["containerdConfigPatches"] == ["patch"]
    assert config["networking"]["podSubnet"] == "10.1.0.0/16"
    assert config["networking"]["disableDefaultCNI"] is True
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert all(node["extraMounts"] == [{"hostPath": "/a"}] for node in config["nodes"])
    plain = kind_config("kontrol-r", SPEC, {})
    assert yaml.safe_load(plain["kubeadmConfigPatches"][0])["syncFrequency"] == "10s"
    assert plain["nodes"] == [{"role": "control-plane"}]
    assert kind_config("kontrol-r", SPEC, {"containerdConfigPatches": ["a"]})["containerdConfigPatches"] == ["a"]


@pytest.mark.parametrize(
    ("instances", "watches", "words"),
    [
        ("128", "8192", ["fs.inotify.max_user_instances=512", "(now 128)", "fs.inotify.max_user_watches=524288"]),
        ("128", "1000000", ["max_user_instances=512"]),
        ("512", "524288", []),
        ("what", "524288", []),
    ],
)
def test_small_inotify_limits_are_told_with_their_remedy(
    tmp_path: Path, instances: str, watches: str, words: list[str]
) -> None:
    (tmp_path / "max_user_instances").write_text(instances)
    (tmp_path / "max_user_watches").write_text(watches)
    warnings = inotify_warnings(tmp_path)
    assert len(warnings) == bool(words)
    assert all(word in warnings[0] for word in words)


def test_no_inotify_limits_elsewhere_than_on_linux(tmp_path: Path) -> None:
    assert inotify_warnings(tmp_path / "none") == []
