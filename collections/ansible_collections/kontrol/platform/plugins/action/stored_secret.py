"""Make secrets of a component once; documented in plugins/modules/stored_secret.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import entry, result
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore


class ActionModule(KontrolAction):
    """Secrets in the region's store, made once and never changed."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "names": {"type": "list", "elements": "str", "required": True},
        "region": {"type": "str"},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Make what is missing; the result holds names only."""
        region = args["region"] or task_vars.get("region_name")
        if not region:
            raise KontrolError("Argument 'region' is missing and no variable region_name is there; name the region")
        store = SecretStore(paths.region_state(str(region)), process.run)
        there = set(store.names())
        if not self.check_mode:
            store.ensure_all(args["names"])
        return result([entry(f"StoredSecret {name}", "none" if name in there else "create") for name in args["names"]])
