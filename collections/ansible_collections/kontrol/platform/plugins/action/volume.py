# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the volumes of a StatefulSet as large as declared; documented in plugins/modules/volume.py."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ansible_collections.kontrol.platform.plugins.module_utils import volumes
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import guard, session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import MERGE_PATCH
from ansible_collections.kontrol.platform.plugins.module_utils.kube.delete import remove_object

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client, Object

CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_POLL: Final = 0.2


class ActionModule(KontrolAction):
    """Compares the declared size with the claims that are there, and makes them larger."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "namespace": {"type": "str", "required": True},
        "stateful_set": {"type": "str", "required": True},
        "template": {"type": "str", "required": True},
        "size": {"type": "str", "required": True},
        "option": {"type": "str", "required": True},
        "recreate": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 60},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Compare, and outside check mode patch the claims and take the StatefulSet away from its pods."""
        del task_vars
        if self.check_mode and not args["kubeconfig"]:
            return _result(args, volumes.Growth(), [])
        with session.connected(args["kubeconfig"]) as client:
            return self._grow(client, args)

    def _grow(self, client: Client, args: dict[str, Any]) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{args['namespace']}/statefulsets/{args['stateful_set']}"
        root = f"/api/v1/namespaces/{args['namespace']}/persistentvolumeclaims"
        live, claims = client.find(path) if args["recreate"] else None, client.list(root)
        target = (args["stateful_set"], args["template"])
        try:
            plan = volumes.growth(live, claims, client.list(CLASSES), target, args["size"], args["option"])
        except ValueError as error:
            raise KontrolError(
                f"Sizes of the volumes of '{args['stateful_set']}' cannot be compared: {error}"
            ) from error
        if plan.refusal:
            raise KontrolError(plan.refusal)
        if (plan.larger or plan.recreate) and not self.check_mode:
            guard.check(client)
            body = {"spec": {"resources": {"requests": {"storage": args["size"]}}}}
            for claim in plan.larger:
                client.request("PATCH", f"{root}/{claim['metadata']['name']}", body=body, content_type=MERGE_PATCH)
            if plan.recreate and live:
                _orphan(client, path, live, args["timeout"])
        return _result(args, plan, volumes.claims_of(claims, *target))


def _orphan(client: Client, path: str, live: Object, timeout: float) -> None:
    """Delete a StatefulSet but not its pods, and wait until it is gone, so that it can be made again.

    Raises:
        KontrolError: It is still there after so many seconds.
    """
    end = time.monotonic() + timeout
    gone = remove_object(client, path, live, "Orphan")
    while not gone and (found := client.find(path)) and found["metadata"]["uid"] == live["metadata"]["uid"]:
        if time.monotonic() > end:
            held = ", ".join(found["metadata"].get("finalizers") or []) or "nothing that it names"
            raise KontrolError(
                f"StatefulSet '{live['metadata']['name']}' was not gone after {timeout} s, held by {held}; run again"
            )
        time.sleep(_POLL)


def _result(args: dict[str, Any], plan: volumes.Growth, claims: list[Object]) -> dict[str, Any]:
    larger = {one["metadata"]["name"] for one in plan.larger}
    where = args["namespace"]
    objects = [
        (f"PersistentVolumeClaim {where}/{name}", "update" if name in larger else "none")
        for name in sorted(one["metadata"]["name"] for one in claims)
    ]
    recreated = [f"StatefulSet.apps {where}/{args['stateful_set']}"] if plan.recreate else []
    objects += [(name, "delete") for name in recreated]
    return {
        "changed": bool(larger or recreated),
        "recreated": recreated,
        "kontrol_objects": [{"object": name, "verb": verb, "known": "server"} for name, verb in objects],
    }
