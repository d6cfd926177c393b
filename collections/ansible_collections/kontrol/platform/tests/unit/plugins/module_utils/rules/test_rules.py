"""Rules are found by the name of the role."""

from __future__ import annotations

import re

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import rules
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.spec import load_roles


def test_a_role_without_rules() -> None:
    found = rules.rules_of("nothing_of_that_name")
    assert (found.requires, found.check({}, {}), dict(found.patterns)) == ((), [], {})


def test_a_broken_module_is_not_taken_for_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(rules, "import_module", broken)
    with pytest.raises(ModuleNotFoundError):
        rules.rules_of("region")


@pytest.mark.parametrize("name", sorted(load_roles(project_root())))
def test_every_role_of_the_project(name: str) -> None:
    roles = load_roles(project_root())
    role = roles[name]
    assert set(role.rules.requires) <= roles.keys()
    assert role.summary
    for path, (pattern, words) in role.rules.patterns.items():
        assert re.split(r"[.\[]", path)[0] in role.options
        assert pattern.startswith("^"), "an editor searches, so the pattern names both ends"
        assert pattern.endswith("$")
        assert words
    assert all(option.get("description") for option in role.options.values())
