"""Upstream manifests: of many definitions in one file, those that are asked for."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils import yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache, made_by

Object = dict[str, Any]


def definitions(text: str, names: list[str], source: str) -> list[Object]:
    """Return the CustomResourceDefinitions of a manifest whose plural names are asked for.

    Raises:
        KontrolError: when the manifest lacks one.
    """
    found = {}
    for part in re.split(r"^---\s*$", text, flags=re.MULTILINE):
        plural = re.search(r"^    plural: (\S+)$", part, re.MULTILINE)
        if plural and plural[1] in names:
            found[plural[1]] = yaml_io.load(part, plural[1])
    missing = sorted(set(names) - set(found))
    if missing:
        raise KontrolError(f"Manifest '{source}' defines no {', '.join(missing)}")
    return [found[name] for name in names]


def read(path: str, names: list[str], kept: ObjectCache) -> list[Object]:
    """Return the definitions of a file; they are kept by its content, since a large one takes a second to read.

    Raises:
        KontrolError: when the file cannot be read, or lacks one.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise KontrolError(f"Manifest '{path}' cannot be read: {error.strerror}; run the set-up again") from error
    code = made_by(sys.modules[__name__], yaml_io)
    inputs = {"made by": code, "manifest": hashlib.sha256(data).hexdigest(), "definitions": names}
    return kept.objects(inputs, lambda: definitions(data.decode(), names, path))
