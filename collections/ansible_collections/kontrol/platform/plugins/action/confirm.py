"""Ask for the name of what is to be destroyed, and show what that is; documented in plugins/modules/confirm.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun


class ActionModule(KontrolAction):
    """Stands before every verb that destroys."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "protected": {"type": "bool", "required": True},
        "confirm": {"type": "str", "default": ""},
        "image": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show what will be hit, then refuse unless the caller named exactly this region and it is not protected."""
        del task_vars
        region = RegionRun(args["region"], "", Path())
        lines = [
            f"Region {region.region}: this is what is destroyed",
            *(f"  {line}" for line in hits(region, args["image"])),
        ]
        if problem := refusal(args["region"], args["confirm"], protected=args["protected"]):
            if self.check_mode:
                return {"changed": False, "kontrol_lines": [*lines, f"  A run would be refused: {problem}"]}
            raise KontrolError(problem, {"kontrol_lines": lines})
        return {"changed": False, "kontrol_lines": lines}


def hits(region: RegionRun, image: str) -> list[str]:
    """Return a line for each thing that decommissioning removes."""
    secrets = region.secret_store().names()
    return [
        *region.driver().hits(),
        *region.backup_store(image).hits(),
        f"{len(secrets)} secrets and their key in {region.folder}",
    ]


def refusal(region: str, confirm: str, *, protected: bool) -> str:
    """Return why the region may not be destroyed, "" when it may."""
    if protected:
        return (
            f'Region "{region}" is protected; to destroy it, set `protected: false` in the block `region` of its '
            "region.yml first, and have a second person see that change"
        )
    if confirm != region:
        said = f'"{confirm}" was confirmed' if confirm else "nothing was confirmed"
        return (
            f'Region "{region}" is only destroyed when its exact name is given, and {said}; add `-e confirm={region}`'
        )
    return ""
