"""What others did to our objects: which fields they set, and how what they added is taken away again."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable

from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import MANAGER
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import below, lookup, owners, parse
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, redacted


def claimed(live: Object) -> list[tuple[str, str, str]]:
    """Return (manager, path, value) of each field that a manager other than ours owns, as managedFields tells.

    Left out is the subresource status: it is the server's and its controllers' own. A value of a Secret is hidden.
    """
    shown, found = redacted(live), []
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") != MANAGER and entry.get("subresource") != "status":
            paths = _paths(entry.get("fieldsV1") or {}, "")
            found += [(str(entry.get("manager")), path, str(lookup(shown, parse(path)))) for path in paths]
    return found


def _paths(owned: Object, path: str) -> list[str]:
    """Return the paths of the leaves of a set of owned fields."""
    keys = [key for key in owned if key != "."]
    if not keys:
        return [path]
    return [leaf for key in keys for leaf in _paths(owned[key], _one_below(path, key))]


def _one_below(path: str, key: str) -> str:
    kind, _colon, rest = key.partition(":")
    if kind == "k":
        name, value = next(iter(json.loads(rest).items()))
        return f"{path}[{name}={value}]"
    if kind != "f":
        return f"{path}[*]"  # an item of a list that nothing names
    return below(path, rest)


def additions(live: Object, managers: Collection[str]) -> list[str]:
    """Return the paths that some managers added beside our fields, as far as they can be taken away one by one.

    What stands inside a list is left: its items are not told apart by every kind.
    """
    paths = [path for manager, path, _value in claimed(live) if manager in managers]
    return [path for path in paths if _only_names(path) and MANAGER not in owners(live, path)]


def removal(paths: Iterable[str]) -> Object:
    """Return the JSON merge patch (RFC 7386) that takes fields away."""
    patch: Object = {}
    for path in paths:
        *above, last = parse(path)
        inner = patch
        for step in above:
            inner = inner.setdefault(step.name, {})
        inner[last.name] = None
    return patch


def without(obj: Object, paths: Iterable[str]) -> Object:
    """Return a copy of an object without some fields, as the server would answer to `removal`."""
    left = copy.deepcopy(obj)
    for path in paths:
        *above, last = parse(path)
        inner = lookup(left, tuple(above)) if above else left
        if isinstance(inner, dict):
            inner.pop(last.name, None)
    return left


def _only_names(path: str) -> bool:
    return all(step.kind == "name" for step in parse(path))
