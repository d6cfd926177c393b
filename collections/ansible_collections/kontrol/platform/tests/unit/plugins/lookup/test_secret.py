from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError

from ansible_collections.kontrol.platform.plugins.lookup.secret import LookupModule
from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, state
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import UNKNOWN, SecretStore


def look_up(*names: str, **variables: object) -> list[str]:
    found: list[str] = LookupModule().run(list(names), {"region_name": "r", **variables})
    return found


def test_values_come_in_the_order_of_the_names() -> None:
    store = SecretStore(state.make_private_dir(paths.region_state("r")), process.run)
    store.create()
    store.ensure_all(["a/b", "c/d"])
    assert look_up("c/d", "a/b") == [store.get("c/d"), store.get("a/b")]
    assert look_up("a/b", ansible_check_mode=True) == [store.get("a/b")]
    assert look_up("a/b", "e/f", ansible_check_mode=True) == [store.get("a/b"), UNKNOWN]
    with pytest.raises(AnsibleLookupError, match='Secret "e/f" is not in the store'):
        look_up("e/f")


def test_before_there_is_a_store() -> None:
    assert look_up("a/b", ansible_check_mode=True) == [UNKNOWN]
    with pytest.raises(AnsibleLookupError, match="run the playbook bootstrap first"):
        look_up("a/b")


def test_outside_of_a_region() -> None:
    with pytest.raises(AnsibleLookupError, match="region_name"):
        look_up("a/b", region_name="")
