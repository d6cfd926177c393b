"""Ask for the name of what is to be destroyed, and show what that is; documented in plugins/modules/confirm.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun

DECLINED = "declined"
FIRST = "  before that a last backup is taken of every component that holds data"


class ActionModule(KontrolAction):
    """Stands before every verb that destroys."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "protected": {"type": "bool", "required": True},
        "confirm": {"type": "str", "default": ""},
        "remove_foundation": {"type": "str", "default": ""},
        "last_backup": {"type": "str", "default": "", "choices": ["", DECLINED]},
        "image": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show what will be hit, then refuse unless the caller named exactly this region and it is not protected."""
        del task_vars
        region = RegionRun(args["region"], "", Path())
        lines = [
            f"Region {region.region}: this is what is destroyed",
            *(f"  {line}" for line in hits(region, args["image"], foundation=bool(args["remove_foundation"]))),
            *([] if args["last_backup"] == DECLINED else [FIRST]),
        ]
        said = {"confirm": args["confirm"], "remove_foundation": args["remove_foundation"]}
        if problem := refusal(args["region"], said, protected=args["protected"]):
            if self.check_mode:
                return {"changed": False, "kontrol_lines": [*lines, f"  A run would be refused: {problem}"]}
            raise KontrolError(problem, {"kontrol_lines": lines})
        return {"changed": False, "kontrol_lines": lines}


def hits(region: RegionRun, image: str, *, foundation: bool) -> list[str]:
    """Return a line for each thing that decommissioning removes, and one for what stays."""
    secrets = region.secret_store().names()
    kept = [*region.backup_store(image).hits(), f"{len(secrets)} secrets and their key in {region.folder}"]
    if foundation:
        return [*region.driver().hits(), *kept]
    return [*region.driver().hits(), f"these stay: {'; '.join(kept)}; to remove them, too, add {_too(region.region)}"]


def _too(region: str) -> str:
    return f"`-e remove_foundation={region}`"


def refusal(region: str, said: dict[str, str], *, protected: bool) -> str:
    """Return why the region may not be destroyed, "" when it may.

    Args:
        region: Its name.
        said: What the caller said for `confirm`, and for `remove_foundation`, which may be "".
        protected: Whether it is protected.
    """
    confirm, foundation = said["confirm"], said["remove_foundation"]
    if protected:
        return (
            f'Region "{region}" is protected; to destroy it, set `protected: false` in the block `region` of its '
            "region.yml first, and have a second person see that change"
        )
    if confirm != region:
        heard = f'"{confirm}" was confirmed' if confirm else "nothing was confirmed"
        return (
            f'Region "{region}" is only destroyed when its exact name is given, and {heard}; add `-e confirm={region}`'
        )
    if foundation not in {"", region}:
        return f'`remove_foundation` names "{foundation}", not "{region}"; give {_too(region)}, or leave it out'
    return ""
