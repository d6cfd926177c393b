# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the spec of a new region; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import new_spec, paths, spec
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError


class ActionModule(KontrolAction):
    """The spec of a region that is not declared yet."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "name": {"type": "str", "required": True},
        "market": {"type": "str", "default": ""},
        "driver": {"type": "str", "default": ""},
        "location": {"type": "str", "default": ""},
        "profile": {"type": "str", "default": ""},
        "components": {"type": "str", "default": ""},
        "sources": {"type": "list", "elements": "str", "required": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the spec unless it is there, and show it."""
        del task_vars
        if not args["name"]:
            raise KontrolError("No name was given to the new region; add `-e region_name=<name>`")
        names = ("name", "market", "driver", "location", "profile")
        components = tuple(one for one in args["components"].replace(" ", "").split(",") if one)
        wanted = new_spec.Wanted(**{name: args[name] for name in names}, components=components)
        root = paths.project_root()
        folder = _inventories(args["sources"])
        file, text = new_spec.ensure(wanted, folder, root, spec.load_roles(root), check=self.check_mode)
        verb = "Declared already" if not text else "Would write" if self.check_mode else "Written"
        lines = [f"{verb}: {file}", *(f"  {one}" for one in text.splitlines())]
        return {"changed": bool(text), "file": str(file), "kontrol_lines": lines}


def _inventories(sources: list[str]) -> Path:
    """Return the folder of regions that a new one goes into: the only source, and not a region itself."""
    folder = Path(sources[0]) if len(sources) == 1 else None
    if folder is None or not folder.is_dir() or (folder / spec.SPEC_FILE).exists():
        said = ", ".join(sources)
        raise KontrolError(f"A new region goes into a folder of regions, and '{said}' is none; give `-i inventories`")
    return folder
