# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read which ports pods really listen on; documented in plugins/modules/listening_ports.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import listening, pod_exec
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client


def _describe(client: Client, container: str, pod: dict[str, Any]) -> dict[str, Any]:
    """Return name, address and listening ports of one pod."""
    meta = pod["metadata"]
    argv = ["cat", *listening.TABLES]
    text = pod_exec.run(client.connection, meta["namespace"], meta["name"], container, argv)
    return {"name": meta["name"], "ip": pod["status"].get("podIP", ""), "ports": listening.ports(text)}


class ActionModule(KontrolAction):
    """Lists pods and reads the kernel's tables in each; a part of verify, so check mode skips it."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "namespace": {"type": "str", "required": True},
        "label_selector": {"type": "str", "required": True},
        "container": {"type": "str", "required": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read all pods at once; none at all is an error."""
        del task_vars
        if self.check_mode:
            return {"changed": False, "skipped": True, "pods": [], "msg": "Nothing is probed in check mode"}
        path, selector = f"/api/v1/namespaces/{args['namespace']}/pods", args["label_selector"]
        with session.connected(args["kubeconfig"]) as client:
            pods = client.list(path, {"labelSelector": selector, "fieldSelector": "status.phase=Running"})
            if not pods:
                raise KontrolError(f"No running pod in namespace '{args['namespace']}' has the labels '{selector}'")
            return {"changed": False, "pods": client.map(partial(_describe, client, args["container"]), pods)}
