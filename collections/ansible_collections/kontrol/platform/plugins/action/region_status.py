"""Tell what there is of a region; documented in plugins/modules/region_status.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun
from ansible_collections.kontrol.platform.plugins.module_utils.region_status import read


class ActionModule(KontrolAction):
    """Reads only: no lock, no Lease; all that it may write is the report of a run that died."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "image": {"type": "str", "default": ""},
        "bucket": {"type": "str", "default": ""},
        "components": {"type": "list", "elements": "str", "default": []},
        "description": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the status as data, and as lines for people."""
        del task_vars
        with tempfile.TemporaryDirectory(prefix="kontrol-status-", dir=_runtime_dir()) as private:
            region = RegionRun(args["region"], "", Path(private))
            status = read(region, args["image"], args["components"], bucket=args["bucket"], write=not self.check_mode)
        title = f"Region {args['region']}" + (f": {args['description']}" if args["description"] else "")
        lines = ["", title, *(f"  {name:<15} {text}" for name, text in status.items())]
        return {"changed": False, "status": status, "kontrol_lines": lines}


def _runtime_dir() -> str:
    offered = os.environ.get("XDG_RUNTIME_DIR", "")
    return offered if offered and os.access(offered, os.W_OK) else tempfile.gettempdir()
