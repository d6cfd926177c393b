# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for objects: see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import fields, session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery
from ansible_collections.kontrol.platform.plugins.module_utils.kube.inventory import Inventory, inventories
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId
from ansible_collections.kontrol.platform.plugins.module_utils.kube.ready import DONE, FAILED, MISSING, Verdict
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wait import Target, Waiter

GONE = Verdict(FAILED, "it is not there; run bootstrap")
"""What was applied once does not come by itself, so nobody waits for it."""


class ActionModule(KontrolAction):
    """Wait until objects are ready."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str"},
        "everything": {"type": "bool"},
        "objects": {
            "type": "list",
            "elements": "dict",
            "options": {**session.REFERENCE, "field": {"type": "str"}, "value": {"type": "str"}},
        },
        "timeout": {"type": "int", "default": 300},
    }
    RULES: ClassVar[dict[str, Any]] = {
        "required_one_of": [["component", "objects", "everything"]],
        "mutually_exclusive": [["component", "objects"]],
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Wait; in check mode there is nothing to wait for."""
        del task_vars
        for one in args["objects"] or []:
            if one["field"]:
                fields.parse(one["field"])
        if self.check_mode:
            return {"changed": False, "skipped": True, "msg": "Nothing is waited for in check mode", "waited": []}
        absent = GONE if args["everything"] else MISSING
        with session.connected(args["kubeconfig"]) as client:
            say = self._display.display
            waiter = Waiter(client, self._targets(client, args), args["timeout"], say, absent=absent)
            try:
                waiter.run()
            except KontrolError as error:
                error.result |= {"kontrol_checks": _red(waiter.summary())} if args["everything"] else {}
                raise
            for target, outcome in waiter.outcomes.items():
                if outcome.verdict.text:
                    self._display.display(f"{target.id}: {outcome.verdict.text}")
            return {"changed": False, "waited": waiter.summary()}

    @staticmethod
    def _targets(client: Client, args: dict[str, Any]) -> list[Target]:
        discovery = Discovery(client)
        if args["component"] or args["everything"]:
            ids = _applied(client, args["component"])
            return [Target(which, discovery.preferred(which.group, which.kind)) for which in sorted(ids)]
        references = zip(session.object_ids(args["objects"]), args["objects"], strict=True)
        return [
            Target(which, discovery.resource(one["api_version"], one["kind"]), one["field"], one["value"])
            for which, one in references
        ]


def _applied(client: Client, component: str | None) -> set[ObjectId]:
    """Return what the inventory of a component names, or what all inventories of the cluster name."""
    found = [Inventory(client, component)] if component else inventories(client)
    ids = {which for inventory in found for which in inventory.read()}
    if not found or not found[0].exists:
        whose = f"Component '{component}'" if component else "The cluster"
        raise KontrolError(f"{whose} has no inventory, so nothing is known to wait for")
    return ids


def _red(waited: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a failed check for each object that is not as it was applied."""
    return [
        check("applied and ready", one["object"], DONE, one["note"], ok=False) for one in waited if one["state"] != DONE
    ]
