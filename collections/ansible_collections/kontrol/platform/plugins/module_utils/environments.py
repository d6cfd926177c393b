"""Whether a secret stands in the environment of a container, where every process of it could hand it on."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ansible_collections.kontrol.platform.plugins.module_utils import checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

SHORTEST: Final = 8
"""Shorter values are found everywhere by chance."""
READ: Final = ("/bin/sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null; true")
"""Prints the environments of all processes of a container that its user may read."""


def from_manifest(container: Object) -> list[str]:
    """Return which variables of a container the manifest takes from a Secret, without any value."""
    references = ((one["name"], (one.get("valueFrom") or {}).get("secretKeyRef")) for one in container.get("env") or [])
    whole = (one.get("secretRef") for one in container.get("envFrom") or [])
    return [
        *(f"variable '{name}' from Secret '{secret.get('name')}'" for name, secret in references if secret),
        *(f"all keys of Secret '{secret.get('name')}'" for secret in whole if secret),
    ]


def held(text: str, values: Mapping[str, str]) -> list[str]:
    """Return the names of the secrets that stand in a text: plain, in base64, or encoded for a URL."""
    return sorted(name for name, value in values.items() if any(one in text for one in _shapes(value)))


def _shapes(value: str) -> Iterable[str]:
    if len(value) < SHORTEST:
        return
    yield value
    yield base64.b64encode(value.encode()).decode().rstrip("=")
    yield quote(value, safe="")


def literals(container: Object, values: Mapping[str, str]) -> list[str]:
    """Return which variables hold a secret's value as a literal in the manifest."""
    return [
        f"variable '{variable['name']}' holds secret '{name}'"
        for variable in container.get("env") or []
        for name in held(str(variable.get("value", "")), values)
    ]


def check(pod: str, found: Iterable[str], looked_into: int, containers: int) -> Object:
    """Return the check of one pod.

    Args:
        pod: `namespace/name`.
        found: What is wrong, without values.
        looked_into: In how many containers the processes' environments could be read.
        containers: How many there are; those that hold no shell are judged by their manifest alone.
    """
    wrong = list(found)
    seen = f"none; read in {looked_into} of {containers} containers, in all by manifest"
    ok = not wrong and containers > 0
    return checks.check("no secret in an environment", pod, "none", "; ".join(wrong) if wrong else seen, ok)
