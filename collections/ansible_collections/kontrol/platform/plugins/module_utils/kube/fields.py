"""Field paths: named in `take_over`, `server_fields` and in a wait, and found in objects and in managedFields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import MANAGER
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, ObjectId

_STEP = re.compile(
    r"""\.?(?P<name>[A-Za-z_$][\w$/-]*)
      | \["(?P<quoted>[^"]+)"\]
      | \[(?P<index>\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<key>[\w.-]+)=(?P<value>[^\]]*)\]""",
    re.VERBOSE,
)


_PLAIN = re.compile(r"[A-Za-z_$][\w$/-]*")


@dataclass(frozen=True)
class Step:
    """One step of a path: a key, an index, all items, or the item whose key has a value.

    Attributes:
        kind: name, index, all or match.
        name: The key.
        value: What the key of a list item must be, or the index.
    """

    kind: str
    name: str = ""
    value: str = ""


def parse(path: str) -> tuple[Step, ...]:
    """Read a path such as `status.phase`, `webhooks[*].failurePolicy`, `status.conditions[type=Ready].status`.

    Keys with dots are written `metadata.labels["a.b/c"]`.

    Raises:
        KontrolError: It is not such a path.
    """
    steps, position = [], 0
    while position < len(path):
        found = _STEP.match(path, position)
        if not found:
            break
        steps.append(_step(found))
        position = found.end()
    if not steps or position < len(path):
        raise KontrolError(f"Field path '{path}' cannot be read at '{path[position:]}'; write it like status.phase")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return Step("index", value=found["index"])
    if found["all"]:
        return Step("all")
    if found["key"]:
        return Step("match", found["key"], found["value"].strip("\"'"))
    return Step("name", found["name"] or found["quoted"])


def lookup(obj: Any, path: tuple[Step, ...]) -> Any:
    """Return the value at a path, None when there is none; `[*]` is the first item."""
    for step in path:
        if step.kind == "name":
            obj = obj.get(step.name) if isinstance(obj, dict) else None
        elif not isinstance(obj, list):
            return None
        else:
            fitting = obj if step.kind != "match" else [i for i in obj if str(_key(i, step.name)) == step.value]
            index = int(step.value) if step.kind == "index" else 0
            obj = fitting[index] if index < len(fitting) else None
    return obj


def _key(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else None


@dataclass(frozen=True)
class Scope:
    """A field path, for all objects of a task or for some of them.

    Attributes:
        path: The path as written, with a leading dot as in the server's messages.
        target: `<Kind>[.<group>]`, an object id, or empty for all.
    """

    path: str
    target: str = ""

    @classmethod
    def read(cls, text: str) -> Scope:
        """Read `[<Kind>[.<group>] [[<namespace>/]<name>] ]<path>`."""
        target, _, path = text.strip().rpartition(" ")
        parse(path)
        return cls("." + path.removeprefix("."), target.strip())

    def fits(self, which: ObjectId) -> bool:
        """Whether it is meant for an object."""
        return not self.target or self.target in {which.type, str(which)}


def _entry(live: Object) -> Object:
    """Return the entry of our applies in managedFields, empty when there is none."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return dict(entry)
    return {}


def owned_fields(live: Object) -> Object | None:
    """Return what managedFields says that our applies own (source: FieldsV1), None when nothing."""
    return dict(_entry(live).get("fieldsV1") or {}) or None


def ours_differ(before: Object, after: Object) -> bool:
    """Whether any field that we own, or owned, differs between two states of an object.

    A controller may write between our look at an object and our apply of it (the Deployment controller adds an
    annotation just after the creation); what only others own is no change of ours.
    """
    entries = [_entry(before), _entry(after)]
    if any(entry.get("apiVersion", after["apiVersion"]) != after["apiVersion"] for entry in entries):
        return True  # the paths are those of another version: they cannot be followed here
    return any(_differ(entry.get("fieldsV1") or {}, before, after) for entry in entries if entry)


def _differ(owned: Object, before: Any, after: Any) -> bool:
    """Whether two values differ in what a set of owned fields names; a leaf names all that is below it."""
    steps = [key for key in owned if key != "."]
    if not steps:
        return bool(before != after) and not (before in _EMPTY and after in _EMPTY)
    return any(_differ(owned[key], _below(before, key), _below(after, key)) for key in steps)


_EMPTY: Any = (None, [], {})


def _below(value: Any, key: str) -> Any:
    """Follow one step of FieldsV1: `f:` a field, `k:` an item by its keys, `v:` an item by its value, `i:` by index."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return _key(value, rest)
    if not isinstance(value, list):
        return None
    wanted = json.loads(rest)
    if kind == "i":
        return value[wanted] if wanted < len(value) else None
    if kind == "v":
        return wanted if wanted in value else None
    return next((item for item in value if all(_key(item, name) == part for name, part in wanted.items())), None)


def owners(live: Object, path: str) -> list[str]:
    """Return the managers that own a field of an object, or something below it, as managedFields tells; sorted.

    Args:
        live: The object as the server answered it.
        path: The field, such as `spec.containers[name=a].image`.
    """
    steps = parse(path)
    entries = live["metadata"].get("managedFields") or []
    found = {str(one.get("manager")) for one in entries if _owns(one.get("fieldsV1") or {}, steps)}
    return sorted(found)


def _owns(owned: Object, steps: tuple[Step, ...]) -> bool:
    """Whether a set of owned fields names a path; one that names a value as a whole names all that is below it."""
    if not steps or not [key for key in owned if key != "."]:
        return True
    step = steps[0]
    keys = [f"f:{step.name}"] if step.kind == "name" else [key for key in owned if _names_item(key, step)]
    return any(_owns(owned[key], steps[1:]) for key in keys if key in owned)


def _names_item(key: str, step: Step) -> bool:
    kind, _, rest = key.partition(":")
    return kind == "k" and str(json.loads(rest).get(step.name)) == step.value


def below(path: str, key: str) -> str:
    """Return the path of a key of the map at a path, as `parse` reads it."""
    if not _PLAIN.fullmatch(key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def leave_to_server(body: Object, live: Object, scopes: Iterable[Scope]) -> None:
    """Change a body so that it leaves fields of an existing object as they are.

    What another manager owns is not sent at all. What is still ours is sent as it is: to leave it out would remove it.

    Args:
        body: What is about to be sent; changed in place.
        live: The object as it is.
        scopes: The fields.
    """
    owned = owned_fields(live)
    for scope in scopes:
        if scope.fits(ObjectId.of(body)):
            _leave(body, live, owned, parse(scope.path))


def _leave(body: Any, live: Any, owned: Any, path: tuple[Step, ...]) -> None:
    step, rest = path[0], path[1:]
    if step.kind != "name":
        for item, its_live, its_owned in _paired(body, live, owned, step):
            if rest:
                _leave(item, its_live, its_owned, rest)
        return
    if not isinstance(body, dict) or step.name not in body:
        return
    below, mine = _key(live, step.name), _owned_below(owned, f"f:{step.name}")
    if rest:
        _leave(body[step.name], below, mine, rest)
    elif mine is None:
        del body[step.name]
    elif below is not None:
        body[step.name] = below


def _owned_below(owned: Any, key: str) -> Any:
    """Return the owned set one step down; a leaf (an atomic value) owns all that is below it, None owns nothing."""
    return owned if not owned else owned.get(key)


def _paired(body: Any, live: Any, owned: Any, step: Step) -> list[tuple[Any, Any, Any]]:
    """Return the items of a list that a step means, each with its live twin and its owned set."""
    if not isinstance(body, list):
        return []
    found = []
    lives = live if isinstance(live, list) else []
    for index, item in enumerate(body):
        if (step.kind == "index" and index != int(step.value)) or (
            step.kind == "match" and str(_key(item, step.name)) != step.value
        ):
            continue
        name = _key(item, "name")
        twins = [twin for twin in lives if name is not None and _key(twin, "name") == name] or lives[index : index + 1]
        found.append((item, twins[0] if twins else None, _owned_item(owned, item)))
    return found


def _owned_item(owned: Any, item: Any) -> Any:
    if not owned:
        return owned
    for key, below in owned.items():
        if key.startswith("k:") and _below([item], key) is not None:
            return below
    return None
