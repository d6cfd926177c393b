"""The filters as templates call them: plain values, errors of Ansible, all documented."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.kontrol.platform.plugins.filter import components, monitoring, sidecars
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import SENTINEL

PLUGINS = (components, monitoring, sidecars)
FILTERS = {name: work for plugin in PLUGINS for name, work in plugin.FilterModule().filters().items()}
FOLDER = Path(str(components.__file__)).parent


def test_every_filter_is_documented_under_its_name() -> None:
    assert set(FILTERS) == {path.stem for path in FOLDER.glob("*.yml")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_the_documentation_is_about_this_filter(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert document["DOCUMENTATION"]["name"] == path.stem
    assert f"kontrol.platform.{path.stem}" in document["EXAMPLES"]


def test_a_hash_of_something_unknown_is_unknown() -> None:
    assert FILTERS["sha256_of"]("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert FILTERS["sha256_of"](f"x{SENTINEL}y") == SENTINEL


def test_a_bad_value_is_an_error_of_ansible() -> None:
    with pytest.raises(AnsibleFilterError, match="'much' is not a whole number"):
        FILTERS["to_bytes"]("much")
