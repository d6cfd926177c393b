# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell of the backups of a region; documented in plugins/modules/backup_table.py."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import backup_lists, run_report
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError


class ActionModule(KontrolAction):
    """Reads only."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {"lists": {"type": "dict", "required": True}}

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show the table, hand the checks to the report, and fail when a backup is damaged or a component has none."""
        del task_vars
        if self.check_mode:
            return {"changed": False, "skipped": True, "msg": "No store is read in check mode"}
        lists, now = args["lists"], time.time()
        if not lists:
            raise KontrolError("No component of this region holds data that is backed up")
        found = [
            run_report.tagged(one, component)
            for component, listed in sorted(lists.items())
            for one in backup_lists.checks(listed, now)
        ]
        told = {"kontrol_lines": backup_lists.lines(lists, now), "kontrol_checks": found}
        red = [f"{one['component']} {one['target']}: {one['seen']}" for one in found if not one["ok"]]
        if red:
            raise KontrolError(f"Backups are not as they should be: {'; '.join(red)}", told)
        return {"changed": False, **told}
