"""Make, verify and delete the cluster of a region; documented in plugins/modules/cluster.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

from ansible_collections.kontrol.platform.plugins.module_utils import access, identity, state
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    CREATING,
    ClusterSpec,
    Outputs,
    load_record,
)
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.kind import KindDriver, inotify_warnings
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.identity import Identity
from ansible_collections.kontrol.platform.plugins.module_utils.proof import installation
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import (
    PERSON_FILE,
    RegionRun,
    current_run,
    entry,
    keeping,
    result,
    verified,
)

NODES = "/api/v1/nodes"


class ActionModule(KontrolAction):
    """The cluster of one region, through its driver."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "state": {"type": "str", "default": "present", "choices": ["present", "verified", "absent"]},
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "image": {"type": "str", "default": ""},
        "pod_cidr": {"type": "str"},
        "service_cidr": {"type": "str"},
        "kubeconfig": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 300},
        "adopt": {"type": "str", "default": ""},
    }
    RULES: ClassVar[dict[str, Any]] = {
        "required_if": [
            ("state", "present", ("image", "pod_cidr", "service_cidr")),
            ("state", "verified", ("kubeconfig",)),
        ],
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Dispatch on the state."""
        del task_vars
        if args["state"] == "verified":
            return {"changed": False} if self.check_mode else verified("the cluster", wait_nodes(args))
        region = RegionRun(args["region"], current_run(), Path(args["private"]), Display().display)
        driver = region.driver(args["image"])
        return self._absent(driver) if args["state"] == "absent" else self._present(region, driver, args)

    def _present(self, region: RegionRun, driver: KindDriver, args: dict[str, Any]) -> dict[str, Any]:
        """Make the cluster true; one that was just made gets the identity at once, as part of its making."""
        spec = ClusterSpec(args["pod_cidr"], args["service_cidr"])
        adopt = args["adopt"] == region.region
        changes = driver.replaced(spec) if self.check_mode else []
        with keeping([entry(driver.object_id, "replace", changes=changes)] if changes else []):
            [(name, verb)] = driver.plan(spec, adopt=adopt)
        for line in inotify_warnings() if verb == "create" else []:
            Display().warning(line)
        if self.check_mode:
            stopped = [{"path": "state", "before": "stopped", "after": "running"}] if verb == "update" else []
            claimed = verb == "none" or (verb == "take_over" and carries(region, driver))
            made = [] if claimed or stopped else entries("rendered")
            return result([entry(name, verb, changes=stopped), *made])
        if verb == "none":
            return result([entry(name, verb)])
        own = identity.load(region.folder)
        if own is None:
            raise KontrolError(f'Region "{region.region}" has no identity; deploy its foundation first')
        objects: list[dict[str, Any]] = []
        with keeping(objects):
            outputs = driver.create(spec, region.run, adopt=adopt)
            objects.append(entry(name, verb))
            claimed = complete(region, driver, outputs, own, args["timeout"])
            objects.extend(entries("server") if claimed else [])
        return result(objects)

    def _absent(self, driver: KindDriver) -> dict[str, Any]:
        """Delete the cluster, if it is the recorded one."""
        lines = driver.hits()
        driver.refuse_foreign()
        if not self.check_mode:
            driver.delete()
            (driver.folder / PERSON_FILE).unlink(missing_ok=True)  # it leads nowhere now
        return result([entry(driver.object_id, "delete" if lines else "none")])


def complete(region: RegionRun, driver: KindDriver, outputs: Outputs, own: Identity, timeout: float) -> bool:
    """Wait for the cluster; one that was just made or adopted gets the identity. Return whether that was written."""
    record = load_record(region.folder)
    with opened(region, driver) as api:
        api.wait_ready(region.say, timeout)
        if record is None or record.phase != CREATING:
            return False
        claimed = identity.check_carried(api.get(identity.CONFIGMAP_PATH), own, api.server)
        if not claimed:
            identity.claim(api, own, region.run)
        driver.complete(outputs, region.run, installation(api))
    return not claimed


def carries(region: RegionRun, driver: KindDriver) -> bool:
    """Return whether a cluster that is to be taken over carries the region's identity; refuse that of another one."""
    own = identity.load(region.folder)
    if own is None or driver.read() is None:
        return False
    with opened(region, driver) as api:
        return identity.check_carried(api.get(identity.CONFIGMAP_PATH), own, api.server)


@contextmanager
def opened(region: RegionRun, driver: KindDriver) -> Iterator[Api]:
    """Open the driver's own way into the cluster for as long as the block takes."""
    path = region.private / "made"
    state.write_text(path, access.kubeconfig(access.parse(driver.kubeconfig(), driver.name), region.region))
    try:
        yield Api.open(path)
    finally:
        path.unlink(missing_ok=True)


def entries(known: str) -> list[dict[str, Any]]:
    """Return what writing the identity makes in a cluster."""
    return [entry(one, "create", known) for one in identity.OBJECTS]


def wait_nodes(args: dict[str, Any]) -> list[dict[str, Any]]:
    """Wait until every node is Ready, and return a check for each."""
    api, deadline = Api.open(args["kubeconfig"]), time.monotonic() + args["timeout"]
    while True:
        nodes = {node["metadata"]["name"]: _ready(node) for node in api.list(NODES)}
        if nodes and set(nodes.values()) == {"True"}:
            break
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return [check("node is ready", name, "True", seen, ok=seen == "True") for name, seen in sorted(nodes.items())] or [
        check("node is ready", "any node", "True", "there is no node", ok=False),
    ]


def _ready(node: dict[str, Any]) -> str:
    """Return the status of a node's condition Ready."""
    conditions = node.get("status", {}).get("conditions") or []
    return next((str(one["status"]) for one in conditions if one.get("type") == "Ready"), "unknown")
