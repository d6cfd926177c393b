# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory plugin: one declared region is one host; nothing starts before every spec was judged."""

from __future__ import annotations

DOCUMENTATION = r"""
name: region
short_description: Regions declared in region.yml
version_added: 0.1.0
author: KONTROL platform team (@kontrol)
description:
  - Reads C(<inventories>/<region>/region.yml) with its profile as data, without templating, and judges it by the
    argument specs of the roles, by the rules of each role and against the regions beside it.
  - Every problem of every inventory source is shown in one message and the command ends, before any task starts.
    The plugin ends the command itself, because Ansible would hand a refused file to the next plugin and go on.
  - A source is the folder of one region, a folder of such folders, or a region.yml.
  - Each region is a host in the group C(regions) with the variables C(<role>_<option>) of all its blocks, and
    C(kontrol_components), C(kontrol_artifacts), C(kontrol_check), C(kontrol_decision),
    C(kontrol_spec) and C(kontrol_root).
  - Extra variables other than those of the playbooks (module_utils/extra_vars.py) are refused unless they repeat the
    spec.
notes:
  - The file ansible.cfg enables this plugin alone and sets C(any_unparsed_is_failed), for what no plugin is asked
    about, such as an empty folder.
requirements:
  - jsonschema
  - PyYAML
options: {}
"""

EXAMPLES = r"""
# inventories/local/region.yml
region:
  name: local
  driver: kind
mesh: {}
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.inventory.manager import IGNORED
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.vars import load_extra_vars

from ansible_collections.kontrol.platform.plugins.module_utils import artifacts, regions, spec
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.extra_vars import allowed as extra_vars_of
from ansible_collections.kontrol.platform.plugins.module_utils.paths import lab_file, project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import ProblemsError, render

GROUP = "regions"


class Refused(SystemExit):
    """Ends the command with exit code 1; after an AnsibleError Ansible would go on to its next source."""


class InventoryModule(BaseInventoryPlugin):
    """Makes a host of each region."""

    NAME = "kontrol.platform.region"
    trusted_by_default = False  # a value is data: no template in it is ever rendered

    def verify_file(self, path: str) -> bool:
        """Take whatever was given, so that what is wrong with it becomes an error.

        The exception is Ansible's own default where the settings allow a source to stay unread, as ansible-lint does.
        """
        return path != regions.NOBODYS_SOURCE or Path(path).exists() or bool(constants.INVENTORY_ANY_UNPARSED_IS_FAILED)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the region that a file declares; the first call judges all sources of the command.

        Raises:
            Refused: there are problems; they were shown.
        """
        del cache  # only for plugins that ask other machines
        super().parse(inventory, loader, path, cache=False)
        try:
            judgement, shared = _read(path, loader)
        except KontrolError as error:
            self._refuse(str(error))
        for warning in judgement.warnings:
            self.display.warning(warning)
        if judgement.problems:
            count = len(judgement.problems)
            heading = f"{count} problem{'' if count == 1 else 's'} in what was declared; nothing was started"
            self._refuse(f"{heading}\n{render(judgement.problems)}")
        self._add(judgement.regions[Path(path).resolve()], shared)

    def _refuse(self, message: str) -> NoReturn:
        self.display.error(message)
        raise Refused(1)

    def _add(self, region: spec.Region, shared: dict[str, Any]) -> None:
        own: dict[str, Any] = {"kontrol_components": region.components, "ansible_connection": "local"}
        own["kontrol_spec"] = str(region.file)
        own["kontrol_decision"] = list(region.decision.reasons) if region.decision else []
        own["kontrol_check"] = bool(context.CLIARGS.get("check"))  # a play that plans says true by itself
        interpreter = {"ansible_python_interpreter": sys.executable}  # a local host would look for some other Python
        self.inventory.add_group(GROUP)
        self.inventory.add_host(region.name, group=GROUP)
        for name, value in (region.variables() | shared | own | interpreter).items():
            self.inventory.set_variable(region.name, name, value)


def _read(path: str, loader: Any) -> tuple[regions.Judgement, dict[str, Any]]:
    """Return what read_all tells; a region that was declared since, by new_region, makes it read anew."""
    question = (_sources(path), json.dumps(_extra_vars(loader), default=str))
    judgement, shared = read_all(*question)
    if not judgement.problems and Path(path).resolve() not in judgement.regions:
        read_all.cache_clear()
        judgement, shared = read_all(*question)
    return judgement, shared


@cache  # Ansible asks for each file of each source
def read_all(sources: tuple[str, ...], extra_vars: str) -> tuple[regions.Judgement, dict[str, Any]]:
    """Judge all sources, and return with the judgement the variables that every region shares.

    Args:
        sources: what `-i` was given.
        extra_vars: what `-e` was given, as a JSON map.

    Raises:
        KontrolError: the project itself is broken, such as an argument spec.
    """
    root = project_root()
    allowed = extra_vars_of(context.CLIARGS.get("args") or ())
    judgement = regions.judge(sources, root, spec.load_roles(root), json.loads(extra_vars), _ignored, allowed)
    try:
        resolved = artifacts.resolve(artifacts.load(root / "artifacts.yml"), artifacts.load_lab(lab_file()))
    except ProblemsError as error:
        judgement.problems.extend(error.problems)
        resolved = {}
    return judgement, {"kontrol_artifacts": resolved, "kontrol_root": str(root)}


def _ignored(name: str) -> bool:
    """Return True for what Ansible itself leaves out of a folder: README.md, editors' copies, what its settings say."""
    return bool(IGNORED.search(name.encode()))


def _sources(path: str) -> tuple[str, ...]:
    """Return every source of the command; only `path` where that is not one of them, such as in a program."""
    given = tuple(str(source) for source in context.CLIARGS.get("inventory") or ())
    within = any(Path(path).is_relative_to(source) or path == source for source in given)
    return given if within else (path,)


def _extra_vars(loader: Any) -> dict[str, Any]:
    try:
        return dict(load_extra_vars(loader))
    except AnsibleError:  # Ansible reads them again after the inventory, and says what is wrong
        return {}
