# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Delete objects: see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session
from ansible_collections.kontrol.platform.plugins.module_utils.kube.delete import Deleter, Options, Report


class ActionModule(KontrolAction):
    """Delete objects and wait until they are gone."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str"},
        "objects": {"type": "list", "elements": "dict", "options": session.REFERENCE},
        "include_data": {"type": "bool", "default": False},
        "propagation": {"type": "str", "choices": ["Foreground", "Background"], "default": "Foreground"},
        "wait": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 120},
    }
    RULES: ClassVar[dict[str, Any]] = {
        "required_one_of": [["component", "objects"]],
        "mutually_exclusive": [["component", "objects"]],
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Delete, or say what would be deleted."""
        del task_vars
        if self.check_mode and not args["kubeconfig"]:
            return Report().as_result()
        options = Options(
            component=args["component"] or "",
            include_data=args["include_data"],
            wait=args["wait"],
            timeout=args["timeout"],
            propagation=args["propagation"],
            check=self.check_mode,
            diff=self.diff_mode,
        )
        with session.connected(args["kubeconfig"]) as client:
            deleter = Deleter(client, options, self._display.display)
            report = deleter.component() if args["component"] else deleter.objects(session.object_ids(args["objects"]))
            return report.as_result()
