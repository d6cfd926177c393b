"""What a plan tells of one object: the fields that would change, or a digest of each field that would be made.

A value of a Secret is never shown: it is replaced by a digest under a key that only the region has, so that two plans
can be compared and nobody can try passwords against a plan. A value that only the run itself makes is a token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.kube.diff import NAMES, by
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import below, owners
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import (
    LAST_APPLIED,
    SENTINEL,
    Object,
    comparable,
    without_nulls,
)

UNKNOWN: Final = "(known after apply)"
"""Stands for a value, or the digest of one, that only the run itself makes."""
DIGITS: Final = 16  # hexadecimal; two different values meet once in 2^32 plans
MOST_FIELDS: Final = 500  # of an object whose every field gets a digest; a definition of a kind has thousands
_SECRET_PARTS: Final = frozenset({"data", "stringData"})
_ABSENT: Any = object()
Seal = Callable[[str], str]


def digest(text: str) -> str:
    """Return a digest of what is not secret."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def changes(before: Object, after: Object, seal: Seal) -> list[dict[str, Any]]:
    """Return the fields of an object that would change.

    Args:
        before: The object as it is.
        after: The object as it would be.
        seal: Makes the digest of a secret value.

    Returns:
        A map for each field: `path` (written as in `take_over`), `before` and `after` (None where there is nothing) and
        `owner`, who last wrote the field as the server tells it ("" where nobody did).
    """
    old, new = (_sealed(without_nulls(comparable(state)), seal) for state in (before, after))
    found = [{"path": path, "before": shown(one), "after": shown(two)} for path, one, two in differing(old, new, "")]
    return [{**one, "owner": ", ".join(owners(before, str(one["path"])))} for one in found]


def shown(value: Any) -> Any:
    """Return a value that `differing` gave; None for what is not there."""
    return None if value is _ABSENT else value


def content(body: Object, seal: Seal) -> dict[str, str]:
    """Return a digest for each field of an object that would be made; a single one of an object that has too many."""
    fields = dict(leaves(_sealed(body, seal), ""))
    if len(fields) > MOST_FIELDS:
        return {"": digest(text_of(body))}
    return {path: UNKNOWN if _unknown(value) else digest(text_of(value)) for path, value in fields.items()}


def _sealed(obj: Object, seal: Seal) -> Object:
    """Return an object in which each value of a Secret is a digest."""
    if obj.get("kind") != "Secret":
        return obj
    shown: Object = {
        key: {name: _sealed_value(text, seal) for name, text in value.items()}
        if key in _SECRET_PARTS and isinstance(value, dict)
        else value
        for key, value in obj.items()
    }
    notes = (shown.get("metadata") or {}).get("annotations") or {}
    if LAST_APPLIED in notes:
        kept = {**notes, LAST_APPLIED: seal(str(notes[LAST_APPLIED]))}
        shown["metadata"] = {**shown["metadata"], "annotations": kept}
    return shown


def _sealed_value(value: Any, seal: Seal) -> str:
    return UNKNOWN if _unknown(value) else seal(str(value))


def _unknown(value: Any) -> bool:
    text = text_of(value)
    return SENTINEL in text or value == UNKNOWN


def text_of(value: Any) -> str:
    """Return a value as text that is the same for the same content."""
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of all that is not a map, or a list of named things; an empty one counts as a value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, below(path, key))
    elif (named := _named(value)) is not None and named[1]:
        for name, inner in named[1].items():
            yield from leaves(inner, f"{path}[{named[0]}={name}]")
    else:
        yield path, value


def differing(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, before and after of each field that differs; what is missing is `_ABSENT`."""
    if before == after:
        return
    left, right = _named(before), _named(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from differing(before.get(key, _ABSENT), after.get(key, _ABSENT), below(path, key))
    elif left and right and left[0] == right[0]:
        for name in [*left[1], *(name for name in right[1] if name not in left[1])]:
            one, two = left[1].get(name, _ABSENT), right[1].get(name, _ABSENT)
            yield from differing(one, two, f"{path}[{left[0]}={name}]")
    else:
        yield path, before, after


def _named(value: Any) -> tuple[str, dict[Any, Any]] | None:
    """Return the key that names the items of a list, and the items by it; None where nothing names them."""
    if not isinstance(value, list) or not value:
        return None
    named = ((key, by(key, value)) for key in NAMES)
    return next(((key, items) for key, items in named if items), None)
