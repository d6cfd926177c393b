# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide on the last backup of a region; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import paths
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    READY,
    Condition,
    load_record,
)
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun

GONE = {Condition.ABSENT, Condition.HALF_MADE}
"""Nothing was ever in it, or it is removed already: a removal that was killed goes on."""
LOST = "gone, and nobody decommissioned it"


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
        holding = paths.components_with("backup", args["components"])
        region = RegionRun(args["region"], "", Path(args["private"]))
        condition, record = region.driver().condition(), load_record(region.folder)
        lost = condition is Condition.ABSENT and record is not None and record.phase == READY
        if not holding or args["declined"] or (condition in GONE and not lost):
            return {"changed": False, "needed": False, "components": []}
        if condition is not Condition.RUNNING:
            way_out = "get it back with bootstrap and restore" if lost else "start it with bootstrap"
            raise KontrolError(
                f"Cluster of region '{args['region']}' is {LOST if lost else condition.value}, so no last backup of "
                f"{', '.join(holding)} can be taken; {way_out}, or decline it with `-e last_backup=declined`"
            )
        return {"changed": False, "needed": True, "components": holding}
