"""Definitions of kinds out of an upstream manifest, kept by its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import manifests, yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache

MANIFEST = """---
kind: CustomResourceDefinition
spec:
  names:
    plural: probes
---
kind: CustomResourceDefinition
spec:
  names:
    plural: prometheuses
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "crds.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    return path


def plurals(file: Path, kept: ObjectCache, *names: str) -> list[str]:
    return [one["spec"]["names"]["plural"] for one in manifests.read(str(file), list(names), kept)]


def test_only_the_definitions_that_are_asked_for_in_that_order(file: Path, tmp_path: Path) -> None:
    kept = ObjectCache(tmp_path / "kept")
    assert plurals(file, kept, "prometheuses") == ["prometheuses"]
    assert plurals(file, kept, "prometheuses", "probes") == ["prometheuses", "probes"]


def test_one_that_is_missing_is_an_error_each_time(file: Path, tmp_path: Path) -> None:
    for _time in range(2):
        with pytest.raises(KontrolError, match=r"Manifest '.*crds.yaml' defines no alertmanagers$"):
            plurals(file, ObjectCache(tmp_path / "kept"), "probes", "alertmanagers")


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KontrolError, match=r"none.yaml' cannot be read: No such file .*; run the set-up again"):
        manifests.read(str(tmp_path / "none.yaml"), ["probes"], ObjectCache(tmp_path))


def test_the_same_content_is_parsed_once_and_a_change_is_seen(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ObjectCache(tmp_path / "kept")
    first = plurals(file, kept, "probes")
    with monkeypatch.context() as no_yaml:
        no_yaml.setattr(yaml_io, "load", None)
        assert plurals(file, kept, "probes") == first
    file.write_text(MANIFEST.replace("kind: Cust", "more: true\nkind: Cust"), encoding="utf-8")
    assert manifests.read(str(file), ["probes"], kept)[0]["more"] is True
