# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Report checks and fail when one is red; documented in plugins/modules/checks.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

CHECK: dict[str, dict[str, Any]] = {
    "check": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "expected": {"type": "str", "required": True},
    "seen": {"type": "str", "required": True},
    "ok": {"type": "bool", "required": True},
    "owner": {"type": "str"},
    "reason": {"type": "str"},
}


def red(check: dict[str, Any]) -> str:
    """Return one failed check as a line."""
    return f"{check['check']}: {check['target']}: expected {check['expected']}, seen {check['seen']}"


class ActionModule(KontrolAction):
    """Hands checks to the report of the run."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "component": {"type": "str", "required": True},
        "checks": {"type": "list", "elements": "dict", "required": True, "options": CHECK},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fail when there is no check or a red one; in check mode nothing was probed, so nothing is judged."""
        del task_vars
        if self.check_mode:
            return {"changed": False, "skipped": True, "msg": "Nothing is probed in check mode"}
        found = [{key: value for key, value in check.items() if value is not None} for check in args["checks"]]
        if not found:
            raise KontrolError(f"Verify of '{args['component']}' made no check; that is a failure")
        failed = [red(check) for check in found if not check["ok"]]
        if failed:
            text = "\n".join(f"  {line}" for line in failed)
            message = f"Verify of '{args['component']}': {len(failed)} of {len(found)} checks are red:\n{text}"
            raise KontrolError(message, {"kontrol_checks": found})
        return {"changed": False, "kontrol_checks": found, "msg": f"{len(found)} checks are green"}
