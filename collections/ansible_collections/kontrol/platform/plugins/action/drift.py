# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what of a region is not as declared; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import drift, plan, state
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError


class ActionModule(KontrolAction):
    """One verdict over foundation, cluster and objects."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "failure": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fail when something is not as declared; be unreachable when that could not be looked at."""
        del task_vars
        verdicts, stopped = plan.seen(state.read_lines(Path(args["private"]) / plan.COLLECTED))
        found = drift.findings(verdicts)
        told = {"kontrol_lines": drift.lines(args["region"], found), "drift": [vars(one) for one in found]}
        if args["failure"]:
            why = f"Drift of region '{args['region']}' could not be looked at to its end: {args['failure']}"
            return {"changed": False, "unreachable": True, "msg": why, **told}
        if found:
            more = f"; {stopped}" if stopped else ""
            raise KontrolError(f"{len(found)} of region '{args['region']}' not as declared{more}", told)
        return {"changed": False, **told}
