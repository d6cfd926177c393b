"""Begin a run in a region, and prove its cluster before the first write; documented in plugins/modules/session.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

from ansible_collections.kontrol.platform.plugins.module_utils import access, identity, lease, plan, state, warden
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import Condition
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.proof import Proof
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import (
    MAIN_PID,
    RegionRun,
    current_holder,
    current_run,
)

NO_CLUSTER = {Condition.ABSENT, Condition.HALF_MADE, Condition.STOPPED}


class ActionModule(KontrolAction):
    """The two steps that every run starts with."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "verb": {"type": "str", "required": True, "choices": ["begin", "prove"]},
        "region": {"type": "str", "required": True},
        "private": {"type": "str"},
        "kubeconfig": {"type": "str", "default": ""},
        "adopt": {"type": "str", "default": ""},
        "artifacts": {"type": "dict", "default": {}},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Dispatch on the verb."""
        if args["verb"] == "prove":
            return self._prove(args)
        return self._begin(args, _target(task_vars), str(task_vars.get("foundation_backup_bucket") or ""))

    def _begin(self, args: dict[str, Any], target: dict[str, Any], bucket: str) -> dict[str, Any]:
        """Make the run's folders, take the lock, start the warden."""
        run = current_run()
        private = Path(tempfile.mkdtemp(prefix=f"{warden.PRIVATE_PREFIX}{run}-", dir=_runtime_dir()))
        region = RegionRun(args["region"], run, private)
        folder = region.folder / "runs" / run
        if not self.check_mode:
            state.make_private_dir(region.folder)
        self._start_warden(region, folder)
        warden.sweep_private(private.parent)
        if not self.check_mode:
            state.make_private_dir(folder)
            state.remove_leftovers(region.folder)
        deviations = {name: one["deviation"] for name, one in args["artifacts"].items() if one.get("deviation")}
        return {
            "changed": False,
            "private": str(private),
            "kontrol_session": {
                "region": args["region"],
                "folder": "" if self.check_mode else str(folder),
                "planned": str(private / plan.COLLECTED),
                "deviations": deviations,
                "target": target,
                "bucket": bucket,
            },
        }

    def _start_warden(self, region: RegionRun, folder: Path) -> None:
        holder = current_holder(region.region)
        orders = warden.Orders(
            run=region.run,
            main_pid=int(os.environ[MAIN_PID]),
            main_start=warden.process_start(int(os.environ[MAIN_PID])),
            private=str(region.private),
            holder=holder.to_json(),
            lock="" if self.check_mode else str(region.lock_file),
            journal="" if self.check_mode else str(folder / "journal.jsonl"),
        )
        try:
            _pid, answer = warden.start(orders)
        except (OSError, RuntimeError) as error:
            raise KontrolError(f"The warden of this run could not be started: {error}; run again") from error
        if not answer["locked"]:
            other = lease.Holder.from_json(answer.get("holder", ""))
            raise lease.refusal(region.region, other.text() if other else "another run that just starts")

    def _prove(self, args: dict[str, Any]) -> dict[str, Any]:
        """Prove the cluster, write the private kubeconfig, take the Lease."""
        if not args["private"]:
            raise KontrolError('Argument "private" is missing: verb "prove" goes on where verb "begin" ended')
        region = RegionRun(args["region"], current_run(), Path(args["private"]), Display().display)
        if self.check_mode and (reason := _nothing_there(region)):
            return {"changed": False, "kubeconfig": "", "msg": reason}
        proof = Proof(region, args["kubeconfig"], args["adopt"])
        way, objects = proof.prove(write=not self.check_mode)
        path = region.private / "kubeconfig"
        state.write_text(path, access.kubeconfig(way, region.region, "" if self.check_mode else region.run))
        if not self.check_mode:
            _take_lease(region, path)
        return {
            "changed": bool(objects),
            "kontrol_objects": objects,
            "kontrol_cluster": {"api_server": way.api_server, "ca_sha256": way.ca_sha256},
            "kubeconfig": str(path),
            "msg": f"Cluster {way.api_server} is the one of region {region.region}",
        }


def _target(task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return what the run's report tells of the region, from its variables; no option of a component is among them."""
    names = {"driver": "region_driver", "profile": "region_profile"}
    texts = {key: str(task_vars[name]) for key, name in names.items() if task_vars.get(name)}
    return {**texts, "components": [str(one) for one in task_vars.get("kontrol_components") or []]}


def _nothing_there(region: RegionRun) -> str:
    """Return why a run in check mode has no cluster to look at, "" when it has one."""
    if identity.load(region.folder) is None:
        return "The region has no identity yet"
    condition = region.driver().condition()
    return f"The cluster is {condition.value}" if condition in NO_CLUSTER else ""


def _take_lease(region: RegionRun, path: Path) -> None:
    """Take the Lease; the warden gets its order first, so that a kill in between leaves nothing behind."""
    holder = current_holder(region.region)
    order = {"kubeconfig": str(path), "holder": holder.__dict__, "renew_seconds": lease.RENEW_SECONDS}
    state.write_json(region.private / warden.LEASE_ORDER, order)
    lease.Lease(Api.open(path), holder).acquire(region.say)


def _runtime_dir() -> str:
    """Return where private folders go: in memory where the system offers that."""
    offered = os.environ.get("XDG_RUNTIME_DIR", "")
    return offered if offered and os.access(offered, os.W_OK) else tempfile.gettempdir()
