# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Enter a region into the register of this machine; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import identity, paths, register
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import current_run, entry, result


class ActionModule(KontrolAction):
    """The register: which regions were made here, where they are declared, and why they are where they are."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "spec": {"type": "str", "required": True},
        "market": {"type": "str", "default": ""},
        "driver": {"type": "str", "required": True},
        "location": {"type": "str", "required": True},
        "reasons": {"type": "list", "elements": "str", "default": []},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the entry where it is not there already with the same content."""
        del task_vars
        folder = paths.region_state(args["region"])
        own = identity.load(folder)
        if own is None and not self.check_mode:
            raise KontrolError(f"Region '{args['region']}' has no identity, so it cannot be registered; bootstrap it")
        content = {name: args[name] for name in ("spec", "market", "driver", "location", "reasons")}
        verb = register.verdict(folder, content)
        if not self.check_mode and own is not None:
            register.write(folder, own.id, content, current_run())
        return result([entry(f"Registration {args['region']}", verb)])
