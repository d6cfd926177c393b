"""What a schema cannot say about a block: one module per role, named as the role.

A module may hold:

- `REQUIRES: tuple[str, ...]`: blocks that must be there, and come first, when this one is
- `AFTER: tuple[str, ...]`: blocks that come first when they are there
- `rules(block, region) -> list[Problem]`: `block` = this role's options with defaults applied; `region` = all blocks
  that are there, by name. A value that was refused before is replaced by its default. A Problem's path is the whole
  path (`clickhouse.storage`); its `file` is left empty, the judge fills it in
- `PATTERNS`: what the texts of options must look like, see `schema.Patterns`; part of the editor's schema
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.schema import Patterns

Block = dict[str, Any]
Rules = Callable[[Block, dict[str, Block]], list[Problem]]


@dataclass(frozen=True)
class RoleRules:
    """The rules of one role."""

    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    check: Rules = lambda _block, _region: []
    patterns: Patterns = field(default_factory=dict)


def rules_of(role: str) -> RoleRules:
    """Return the rules of a role; a role without a module of rules has none."""
    name = f"{__name__}.{role}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return RoleRules()
    patterns: Mapping[str, tuple[str, str]] = getattr(module, "PATTERNS", {})
    requires, after = getattr(module, "REQUIRES", ()), getattr(module, "AFTER", ())
    return RoleRules(requires, after, getattr(module, "rules", RoleRules.check), patterns)
