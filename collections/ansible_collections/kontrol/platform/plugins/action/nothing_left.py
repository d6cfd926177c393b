# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove by listing that a region is gone; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.backup_store import REGION_LABEL
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import RECORD_FILE
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import PERSON_FILE, RegionRun, verified

RECORDS = frozenset({"runs", "plans", "lock"})
"""What stays of a region that is gone: what was done, what was planned, and the lock that this very run holds."""
OF_CLUSTER = (RECORD_FILE, PERSON_FILE)


class ActionModule(KontrolAction):
    """Containers, volumes and files of a region that was decommissioned."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "foundation": {"type": "bool", "required": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fail with all that is left; in check mode nothing was removed, so nothing is judged."""
        del task_vars
        if self.check_mode:
            return {"changed": False, "skipped": True, "msg": "Nothing was removed in check mode"}
        region = RegionRun(args["region"], "", Path(args["private"]))
        left = {
            "containers of the cluster": region.driver().hits(),
            "files of the cluster": _files(region, OF_CLUSTER),
        }
        if args["foundation"]:
            left |= {
                "containers of the region": _containers(region),
                "files of the region": [name for name in _names(region.folder) if name not in RECORDS],
            }
        checks = [
            check(f"nothing is left: {what}", region.region, "none", ", ".join(found) or "none", ok=not found)
            for what, found in left.items()
        ]
        return verified("the decommission", checks)


def _files(region: RegionRun, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (region.folder / name).exists()]


def _names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def _containers(region: RegionRun) -> list[str]:
    found = region.docker.labelled(f"{REGION_LABEL}={region.region}")
    return [str(one.get("Name", "")).lstrip("/") for one in found]
