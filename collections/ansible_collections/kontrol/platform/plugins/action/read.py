# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read objects: see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, redacted


class ActionModule(KontrolAction):
    """Read objects of one kind."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "api_version": {"type": "str", "required": True},
        "kind": {"type": "str", "required": True},
        "namespace": {"type": "str", "default": ""},
        "name": {"type": "str", "default": ""},
        "label_selector": {"type": "str", "default": ""},
    }
    RULES: ClassVar[dict[str, Any]] = {"mutually_exclusive": [["name", "label_selector"]]}

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read; before the cluster exists, in check mode, there is nothing."""
        del task_vars
        if self.check_mode and not args["kubeconfig"]:
            return {"changed": False, "resources": []}
        with session.connected(args["kubeconfig"]) as client:
            return {"changed": False, "resources": [_shown(obj) for obj in self._read(client, args)]}

    @staticmethod
    def _read(client: Client, args: dict[str, Any]) -> list[Object]:
        resource = Discovery(client).resource(args["api_version"], args["kind"])
        if args["name"]:
            found = client.find(resource.path(args["namespace"], args["name"]))
            return [found] if found else []
        selector = {"labelSelector": args["label_selector"]} if args["label_selector"] else {}
        return client.list(resource.collection(args["namespace"] if resource.namespaced else None), selector)


def _shown(obj: Object) -> Object:
    """Leave out secrets and the book-keeping of field managers."""
    shown = dict(redacted(obj))
    shown["metadata"] = {key: value for key, value in shown["metadata"].items() if key != "managedFields"}
    return shown
