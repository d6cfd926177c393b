# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply objects to the cluster: see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, objects, planned, session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore


class ActionModule(KontrolAction):
    """Server-side apply of a component's objects."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str", "default": ""},
        "definitions": {"type": "list", "elements": "raw", "default": []},
        "templates": {"type": "list", "elements": "str", "default": []},
        "prune": {"type": "bool", "default": False},
        "max_prune": {"type": "int", "default": 5},
        "take_over": {"type": "list", "elements": "str", "default": []},
        "server_fields": {"type": "list", "elements": "str", "default": []},
        "recreated": {"type": "list", "elements": "str", "default": []},
    }
    BULK = frozenset({"definitions"})

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Apply, or judge in check mode."""
        documents = [*args["definitions"], *self._documents(args["templates"], task_vars)]
        items = objects.prepare(documents, args["component"])
        options = apply.Options(
            component=args["component"],
            prune=args["prune"],
            max_prune=args["max_prune"],
            take_over=tuple(Scope.read(text) for text in args["take_over"]),
            server_fields=tuple(Scope.read(text) for text in args["server_fields"]),
            recreated=frozenset(args["recreated"]),
            check=self.check_mode,
            diff=self.diff_mode,
            take_back=frozenset(str(task_vars.get("take_back") or "").replace(" ", "").split(",")) - {""},
            seal=_seal(task_vars),
        )
        if self.check_mode and not args["kubeconfig"]:
            return apply.render(items, options).as_result()
        with session.connected(args["kubeconfig"]) as client:
            return apply.Applier(client, items, options).run().as_result()

    def _documents(self, templates: list[str], task_vars: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for name in templates:
            content = self.rendered(name, task_vars)
            found += yaml_io.load_all(content, name) if isinstance(content, str) else [content]
        return found


def _seal(task_vars: dict[str, Any]) -> planned.Seal:
    """Return what makes the digests of secret values: under the region's key, where the task works for a region."""
    region = task_vars.get("region_name")
    return SecretStore(paths.region_state(str(region)), process.run).seal if region else planned.digest
