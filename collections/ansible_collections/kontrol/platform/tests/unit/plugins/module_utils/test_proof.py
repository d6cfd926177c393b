from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import identity, process
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import ClusterSpec
from ansible_collections.kontrol.platform.plugins.module_utils.identity import IdentityError
from ansible_collections.kontrol.platform.plugins.module_utils.proof import KUBE_SYSTEM, Proof
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi, FakeTools, kubeconfig

NODE = "kontrol-r-control-plane"


@dataclass
class World:
    """A region with its cluster, both in memory but for the state folder."""

    region: RegionRun
    tools: FakeTools
    api: FakeApi
    asked: list[Path] = field(default_factory=list)

    def proof(self, named: str = "", adopt: str = "") -> Proof:
        def connect(path: Path) -> FakeApi:
            self.asked.append(path)
            return self.api

        return Proof(self.region, named, adopt, connect)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(process, "find_tool", lambda name, known=None: f"/bin/{name}")
    tools, api = FakeTools(), FakeApi()
    region = RegionRun("r", "run-1", tmp_path, runner=tools)
    region.folder.mkdir(parents=True)
    own, _new = identity.ensure(region.folder, "r", "run-1")
    driver = region.driver()
    driver.complete(driver.create(ClusterSpec("a", "b"), "run-1"), "run-1", "uid-1")
    identity.claim(api, own, "run-1")
    api.put(KUBE_SYSTEM, {"metadata": {"uid": "uid-1"}})
    api.writes.clear()
    return World(region, tools, api)


def test_when_all_agree_the_way_is_proven(world: World) -> None:
    way, objects = world.proof().prove(write=True)
    assert way.api_server == "https://127.0.0.1:6443"
    assert objects == []
    assert world.api.writes == []
    assert not (world.region.private / "unproven").exists()


def test_a_named_kubeconfig_is_proven_the_same_way(world: World, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(kubeconfig())
    assert world.proof(str(file)).prove(write=True)[0].source == str(file)
    for other in (kubeconfig(ca="two"), kubeconfig(server="https://127.0.0.1:7")):
        file.write_text(other)
        world.asked.clear()
        with pytest.raises(IdentityError, match="leads to another cluster") as caught:
            world.proof(str(file), adopt="r").prove(write=True)
        assert str(file) in str(caught.value)
        assert "kontrol-r" in str(caught.value)
        assert world.asked == [], "the other cluster must not even see a request"


def forget_identity(world: World) -> None:
    (world.region.folder / identity.FILE).unlink()


def other_identity(world: World) -> None:
    world.api.objects[identity.CONFIGMAP_PATH]["data"]["id"] = "other"


def other_installation(world: World) -> None:
    world.api.objects[KUBE_SYSTEM]["metadata"]["uid"] = "uid-2"


def other_ca(world: World) -> None:
    world.tools.ca = "two"


def stopped(world: World) -> None:
    world.tools.containers[NODE]["State"]["Running"] = False


def gone(world: World) -> None:
    world.tools.containers.clear()


def remade(world: World) -> None:
    world.tools.containers[NODE]["Id"] = "f" * 64


def unclaimed(world: World) -> None:
    del world.api.objects[identity.CONFIGMAP_PATH]


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (forget_identity, "has no identity on this machine; run the playbook bootstrap"),
        (other_identity, "carries the identity of region"),
        (other_installation, "its data were replaced"),
        (other_ca, "the creation recorded"),
        (stopped, "is stopped; run bootstrap"),
        (gone, "is absent; run bootstrap"),
        (remade, "made again by someone else"),
        (unclaimed, "-e adopt=r"),
    ],
)
def test_when_anything_differs_nothing_is_written(world: World, happens: Callable[[World], None], message: str) -> None:
    happens(world)
    with pytest.raises(IdentityError, match=message):
        world.proof().prove(write=True)
    assert world.api.writes == []


def test_a_cluster_without_identity_is_claimed_by_adoption_only(world: World) -> None:
    unclaimed(world)
    with pytest.raises(IdentityError):
        world.proof(adopt="other").prove(write=True)
    assert world.proof(adopt="r").prove(write=False)[1] == [
        {"object": one, "verb": "create", "known": "server"} for one in identity.OBJECTS
    ]
    assert world.api.writes == []
    assert len(world.proof(adopt="r").prove(write=True)[1]) == 2
    assert world.proof().prove(write=True)[1] == []


def test_a_preview_of_an_adoption_looks_into_the_cluster(world: World) -> None:
    remade(world)
    assert world.proof(adopt="r").prove(write=False)[1] == []
    unclaimed(world)
    assert world.proof(adopt="r").prove(write=False)[1] == [], "it is listed where the cluster is taken over"
    with pytest.raises(IdentityError):
        world.proof(adopt="r").prove(write=True)
