# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide on the last backup of a region; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import paths
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import Condition
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun

GONE = {Condition.ABSENT, Condition.HALF_MADE}
"""Nothing was ever in it, or it is removed already: a removal that was killed goes on."""


class ActionModule(KontrolAction):
    """Tells which components are backed up before the cluster goes."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "components": {"type": "list", "elements": "str", "required": True},
        "declined": {"type": "bool", "required": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Refuse to lose data of which no last backup can be taken, unless that was declined."""
        del task_vars
        roles = paths.project_root() / "roles"
        holding = [name for name in args["components"] if (roles / name / "tasks" / "backup.yml").is_file()]
        driver = RegionRun(args["region"], "", Path(args["private"])).driver()
        condition = driver.condition()
        if not holding or args["declined"] or condition in GONE:
            return {"changed": False, "needed": False, "components": []}
        if condition is not Condition.RUNNING:
            raise KontrolError(
                f"Cluster of region '{args['region']}' is {condition.value}, so no last backup of {', '.join(holding)} "
                "can be taken; start it with bootstrap, or decline it with `-e last_backup=declined`"
            )
        return {"changed": False, "needed": True, "components": holding}
