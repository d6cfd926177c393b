"""A machine in memory around a run: what the tests of actions play on, see the fixture `world`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import warden
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi, FakeBuckets, FakeTools

ACTIONS = "ansible_collections.kontrol.platform.plugins.action"
CLUSTER = {"image": "node:1", "pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/16"}


class World:
    """The machine around a run: tools, one cluster's API, the wardens that were started."""

    def __init__(self, private: Path) -> None:
        self.tools = FakeTools(images={"gw:1", "node:1"})
        self.api = FakeApi()
        self.buckets = FakeBuckets()
        self.private = private
        self.orders: list[warden.Orders] = []
        self.answer: dict[str, Any] = {"locked": True}
        self.check = False
        self.known: dict[str, Any] = {}

    def play(self, name: str, /, **args: Any) -> dict[str, Any]:
        """Run an action as a task; `region=None` for one that works on none."""
        module = importlib.import_module(f"{ACTIONS}.{name}")
        task = SimpleNamespace(
            args={key: value for key, value in {"region": "r", **args}.items() if value is not None},
            action=f"kontrol.platform.{name}",
            check_mode=self.check,
            diff=False,
            async_val=0,
            environment=[],
        )
        action = module.ActionModule(task, None, None, None, None, None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ansible.plugins.action.ActionBase.run", lambda self, tmp, task_vars: {})
            result: dict[str, Any] = action.run(None, {"region_name": "r", **self.known})
        return result

    def objects(self, name: str, **args: Any) -> set[tuple[str, str]]:
        result = self.play(name, **args)
        assert not result.get("failed"), result.get("msg")
        return {(one["object"], one["verb"]) for one in result["kontrol_objects"]}

    @contextmanager
    def checking(self) -> Iterator[None]:
        self.check = True
        yield
        self.check = False


def deploy(world: World) -> list[set[tuple[str, str]]]:
    """Begin, foundation, cluster, prove: as the playbook bootstrap does."""
    begun = world.play("session", verb="begin")
    assert not begun.get("failed"), begun.get("msg")
    private = begun["private"]
    return [
        world.objects("foundation", private=private, image="gw:1"),
        world.objects("cluster", private=private, **CLUSTER),
    ]


def stop(world: World) -> None:
    """Stop the nodes of the cluster, as a machine does that was switched off."""
    for name, container in world.tools.containers.items():
        if "control-plane" in name:
            container["State"] = {"Running": False, "Status": "exited"}
