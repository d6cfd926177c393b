"""The difference between two states of an object, as YAML of the changed paths alone, without any secret."""

from __future__ import annotations

from typing import Any

import yaml

from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import (
    HIDDEN,
    LAST_APPLIED,
    Object,
    comparable,
    redacted,
    without_nulls,
)

_ABSENT: Any = object()
NAMES = ("name", "type", "containerPort", "port", "mountPath", "key")
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def changes(before: Any, after: Any) -> tuple[Any, Any]:
    """Return the parts of two values that differ.

    Dictionaries are followed key by key, lists of named things name by name (the name is kept for the reader); other
    lists count as a whole.

    Args:
        before: The one value.
        after: The other; not equal to the first.

    Returns:
        What is left of the two.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return _dict_changes(before, after)
    if isinstance(before, list) and isinstance(after, list):
        for key in NAMES:
            left, right = by(key, before), by(key, after)
            if left is not None and right is not None and (left or right):
                one, two = _dict_changes(left, right)
                return _unnamed(key, one), _unnamed(key, two)
    return before, after


def _dict_changes(before: Object, after: Object) -> tuple[Object, Object]:
    left, right = {}, {}
    for key in [*before, *(key for key in after if key not in before)]:
        one, two = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if one is _ABSENT:
            right[key] = two
        elif two is _ABSENT:
            left[key] = one
        elif one != two:
            left[key], right[key] = changes(one, two)
    return left, right


def by(key: str, items: list[Any]) -> dict[Any, Any] | None:
    """Return list items by a key that all of them have and no two share; None where it names them not."""
    named: dict[Any, Any] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get(key), (str, int)) or item[key] in named:
            return None
        named[item[key]] = item
    return named


def _unnamed(key: str, named: Object) -> list[Any]:
    return [{key: name, **item} for name, item in named.items()]


def _hide(obj: Object, other: Object, word: str) -> Object:
    """Redact a Secret so that differing keys still differ and equal ones do not."""
    shown = dict(redacted(obj))
    if obj.get("kind") != "Secret":
        return shown
    for part in ("data", "stringData"):
        values, others = obj.get(part) or {}, other.get(part) or {}
        if values:
            shown[part] = {
                key: HIDDEN if others.get(key, value) == value else f"(hidden, {word})" for key, value in values.items()
            }
    notes = (shown.get("metadata") or {}).get("annotations") or {}
    notes.pop(LAST_APPLIED, None)
    return shown


def render(title: str, before: Object | None, after: Object | None) -> dict[str, str]:
    """Return one entry of a task's diff.

    Args:
        title: Id of the object.
        before: Its state before, None when it was not there.
        after: Its state after, None when it is gone.

    Returns:
        before, after and their headers, as Ansible prints them.
    """
    old, new = (without_nulls(comparable(state)) if state else {} for state in (before, after))
    left, right = changes(_hide(old, new, "before"), _hide(new, old, "after"))
    return {
        "before_header": title,
        "after_header": title,
        "before": _dump(left) if left else "",
        "after": _dump(right) if right else "",
    }


def _dump(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=120))
