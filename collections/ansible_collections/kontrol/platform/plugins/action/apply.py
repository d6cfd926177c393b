# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply objects to the cluster: see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import helm, paths, process, yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, objects, planned, session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope
from ansible_collections.kontrol.platform.plugins.module_utils.manifests import read as read_manifest
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore


class ActionModule(KontrolAction):
    """Server-side apply of a component's objects."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str", "default": ""},
        "definitions": {"type": "list", "elements": "raw", "default": []},
        "templates": {"type": "list", "elements": "str", "default": []},
        "manifests": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "str", "required": True},
                "definitions": {"type": "list", "elements": "str", "required": True},
            },
        },
        "charts": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "release": {"type": "str", "required": True},
                "namespace": {"type": "str", "required": True},
                "artifact": {"type": "dict", "required": True},
                "values": {"type": "dict", "default": {}},
                "hooks": {"type": "dict", "default": {}},
            },
        },
        "helm": {"type": "str", "default": ""},
        "prune": {"type": "bool", "default": False},
        "max_prune": {"type": "int", "default": 5},
        "take_over": {"type": "list", "elements": "str", "default": []},
        "server_fields": {"type": "list", "elements": "str", "default": []},
        "recreated": {"type": "list", "elements": "str", "default": []},
    }
    BULK = frozenset({"definitions"})

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Apply, or judge in check mode."""
        given = [*args["definitions"], *_of_manifests(args["manifests"]), *_of_charts(args["charts"], args["helm"])]
        documents = [*given, *self._documents(args["templates"], task_vars)]
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


# Both make their objects here, so that no variable ever holds them: Ansible would template each of a thousand fields.
def _of_manifests(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = ObjectCache()
    return [obj for one in manifests for obj in read_manifest(one["path"], one["definitions"], kept)]


def _of_charts(charts: list[dict[str, Any]], program: str) -> list[dict[str, Any]]:
    if charts and not program:
        raise KontrolError("Argument 'helm' is missing: the program renders the charts")
    renders = helm.Helm(program, process.run)
    return [obj for one in charts for obj in renders.objects(_chart(one))]


def _chart(given: dict[str, Any]) -> helm.Chart:
    """Return the chart of an artifact, which has its version in a repository and is a folder in the lab."""
    artifact = {name: str(given["artifact"].get(name) or "") for name in ("ref", "repository", "version")}
    return helm.Chart(given["release"], given["namespace"], values=given["values"], hooks=given["hooks"], **artifact)


def _seal(task_vars: dict[str, Any]) -> planned.Seal:
    """Return what makes the digests of secret values: under the region's key, where the task works for a region."""
    region = task_vars.get("region_name")
    return SecretStore(paths.region_state(str(region)), process.run).seal if region else planned.digest
