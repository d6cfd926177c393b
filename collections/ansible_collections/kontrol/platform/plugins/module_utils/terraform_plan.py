"""What terraform would change, read from `show -json` of a plan file, and our own judgement of it.

`prevent_destroy` takes only literals and is gone together with the block that held it. So what is protected, what
belongs to another region and what is too much is judged here, on the plan itself (design rule 9).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import without_nulls
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import (
    UNKNOWN,
    Seal,
    differing,
    digest,
    leaves,
    shown,
    text_of,
)

NONE: Final = "none"
READ: Final = "read"
DELETE: Final = "delete"
REPLACE: Final = "replace"
LOSSES: Final = frozenset({DELETE, REPLACE})
VERBS: Final[dict[tuple[str, ...], str]] = {
    ("no-op",): NONE,
    ("create",): "create",
    ("read",): READ,
    ("update",): "update",
    ("delete",): DELETE,
    ("delete", "create"): REPLACE,
    ("create", "delete"): REPLACE,
    ("forget",): "forget",  # a `removed` block: it leaves the state and stays in the cloud
    ("create", "forget"): REPLACE,
}
MANAGED: Final = "managed"
FORMAT: Final = "1."
TAGS: Final = ("tags", "tags_all", "labels", "effective_labels")
FACTOR: Final = 3
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class Change:
    """What would become of one resource, or of one output (address `output.<name>`).

    Attributes:
        address: Where it stands in the configuration, with its module and index.
        action: create, update, replace, delete, read, forget or none.
        type: Its type; "output" for an output.
        mode: "managed", "data" or "output".
        before: Its values as they are, refreshed; None where it does not exist. Never shown.
        after: Its values as they would be, without those that only the apply makes. Never shown.
        unknown: Paths of the values that only the apply makes.
        sensitive: Paths of the values that are sensitive before or after.
        replace_paths: Paths of the values that make a replacement necessary.
        deposed: Key of an old object that an interrupted replacement left, else "".
        previous: Its address before a move, else "".
    """

    address: str
    action: str
    type: str
    mode: str
    before: Any = field(repr=False)
    after: Any = field(repr=False)
    unknown: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    replace_paths: tuple[str, ...] = ()
    deposed: str = ""
    previous: str = ""
    unknown_mask: Any = field(default=False, repr=False)
    sensitive_mask: Any = field(default=False, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], change: Mapping[str, Any]) -> Change:
        """Return the record of one entry of `resource_changes`, `resource_drift` or `output_changes`.

        Raises:
            KontrolError: Actions that this version of the code does not know.
        """
        verb = VERBS.get(tuple(change["actions"]))
        if verb is None:
            raise KontrolError(
                f'Plan has actions "{"+".join(change["actions"])}" for "{data["address"]}", which are not known here; '
                "use a version of terraform that this project was tested with"
            )
        unknown = change.get("after_unknown", False)
        sensitive = _either(change.get("before_sensitive", False), change.get("after_sensitive", False))
        return cls(
            address=data["address"],
            action=verb,
            type=data["type"],
            mode=data["mode"],
            before=change.get("before"),
            after=change.get("after"),
            unknown=tuple(_marked(unknown)),
            sensitive=tuple(_marked(sensitive)),
            replace_paths=tuple(_path(one) for one in change.get("replace_paths") or ()),
            deposed=data.get("deposed", ""),
            previous=data.get("previous_address", ""),
            unknown_mask=unknown,
            sensitive_mask=sensitive,
        )

    def canonical(self, seal: Seal) -> dict[str, Any]:
        """Return address, action and values, in the same order at every look; see `Plan.canonical`."""
        values = _known(self.after, self.unknown_mask, self.sensitive_mask, seal)
        extra = {"deposed": self.deposed} if self.deposed else {}
        return {"address": self.address, "action": self.action, "values": values, **extra}


@dataclass(frozen=True)
class Plan:
    """A plan file that was read.

    Attributes:
        file: The plan file; it holds every value in the clear.
        digest: SHA-256 of the file that was read; only this very file is applied.
        changed: Whether applying it would change anything, outputs included.
        destroy: Whether it was made to destroy everything.
        changes: One record per resource, those that stay as they are included.
        outputs: One record per output.
        drift: What was changed behind terraform's back since the last apply.
    """

    file: Path
    digest: str
    changed: bool
    destroy: bool = False
    changes: tuple[Change, ...] = ()
    outputs: tuple[Change, ...] = ()
    drift: tuple[Change, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, file: Path, digest: str, changed: bool, destroy: bool) -> Plan:
        """Return the plan that `terraform show -json` printed.

        Raises:
            KontrolError: A format that is not known, or a plan that ended with an error.
        """
        version = str(data.get("format_version", ""))
        if not version.startswith(FORMAT):
            raise KontrolError(f'Plan has format "{version}", known is {FORMAT}x; use an older version of terraform')
        if data.get("errored"):
            raise KontrolError(f'Plan "{file.name}" ended with an error and is not complete; plan again')
        outputs = {
            name: Change.from_json({"address": f"output.{name}", "type": "output", "mode": "output"}, change)
            for name, change in (data.get("output_changes") or {}).items()
        }
        return cls(
            file=file,
            digest=digest,
            changed=changed,
            destroy=destroy,
            changes=tuple(Change.from_json(one, one["change"]) for one in data.get("resource_changes") or ()),
            outputs=tuple(outputs[name] for name in sorted(outputs)),
            drift=tuple(Change.from_json(one, one["change"]) for one in data.get("resource_drift") or ()),
        )

    def losses(self) -> list[Change]:
        """Return the resources that would be deleted, or replaced, which deletes them first or last."""
        return [one for one in self.changes if one.mode == MANAGED and one.action in LOSSES]

    def counts(self) -> dict[str, int]:
        """Return how many resources each action would hit; what stays as it is counts as none."""
        return dict(sorted(Counter(one.action for one in self.changes if one.mode == MANAGED).items()))

    def canonical(self, seal: Seal) -> list[dict[str, Any]]:
        """Return what would be done, such that two plans of the same changes are equal.

        Args:
            seal: Gives for the text of a sensitive value what stands in its place, such as a digest under a key.

        Returns:
            A map of address, action and values for all that does not stay as it is, in the order of the addresses.
            A value that only the apply makes is a token; of what is deleted there are no values.
        """
        told = [one for one in (*self.changes, *self.outputs) if one.action != NONE]
        return [one.canonical(seal) for one in sorted(told, key=lambda one: (one.address, one.deposed))]


def verdicts(plan: Plan, seal: Seal) -> list[dict[str, Any]]:
    """Return what a plan would do as the tasks of a run tell it, so that it is part of the plan of the region.

    Args:
        plan: The plan.
        seal: As for `Plan.canonical`.

    Returns:
        A map for each managed resource that does not stay as it is: object, verb, known, and `changes` or `content`
        (see kube/planned.py).
    """
    moving = [one for one in plan.changes if one.mode == MANAGED and one.action not in {NONE, READ}]
    return [_verdict(one, seal) for one in moving]


def _verdict(one: Change, seal: Seal) -> dict[str, Any]:
    told: dict[str, Any] = {"object": one.address, "verb": one.action, "known": "server"}
    before, after = (
        _known(value, mask, one.sensitive_mask, seal)
        for value, mask in ((one.before, False), (one.after, one.unknown_mask))
    )
    if one.before is None:
        fields = leaves(without_nulls(after), "")
        return {
            **told,
            "content": {path: value if value == UNKNOWN else digest(text_of(value)) for path, value in fields},
        }
    if one.after is None:
        return told
    found = differing(without_nulls(before), without_nulls(after), "")
    changes = [{"path": path, "before": shown(left), "after": shown(right)} for path, left, right in found]
    return {**told, "changes": changes}


def protected_problems(plan: Plan, protected: Sequence[str]) -> list[str]:
    """Return a line for each protected resource that would be deleted or replaced.

    Args:
        plan: The plan to judge.
        protected: Types (`aws_s3_bucket`, `aws_eks_*`) or addresses (`module.backup`, which protects all within and
            all its instances); `*` stands for any text.
    """
    patterns = [_pattern(one) for one in protected]
    lines = []
    for one in plan.losses():
        names = [name for name in (one.type, one.address, one.previous) if name]
        if any(pattern.fullmatch(name) for pattern in patterns for name in names):
            why = f", since these would change: {', '.join(one.replace_paths)}" if one.replace_paths else ""
            old = f" (an old object, {one.deposed}, that an interrupted run left)" if one.deposed else ""
            lines.append(f'Resource "{one.address}"{old} is protected and would be {_past(one.action)}{why}')
    return lines


def foreign_problems(plan: Plan, tag_key: str, region: str) -> list[str]:
    """Return a line for each resource that would be touched and is tagged for another region."""
    lines = []
    for one in plan.changes:
        if one.mode == MANAGED and one.action not in {NONE, READ}:
            others = sorted({owner for owner in _owners(one, tag_key) if owner != region})
            owners = '", "'.join(others)
            if others:
                lines.append(f'Resource "{one.address}" would be {_past(one.action)} and is tagged for "{owners}"')
    return lines


def too_many_problems(plan: Plan, expected: int, factor: int = FACTOR) -> list[str]:
    """Return a line when a plan would delete `factor` times as many resources as are expected, or more.

    Where none is expected, one is too many.
    """
    count, limit = len(plan.losses()), max(expected * factor, expected + 1)
    if count < limit:
        return []
    return [f'Plan would delete or replace "{count}" resources, "{expected}" are expected and {limit} are too many']


def _past(verb: str) -> str:
    """Return "deleted" for "delete"."""
    return "forgotten" if verb == "forget" else f"{verb}d"


def _pattern(text: str) -> re.Pattern[str]:
    """Return what a pattern matches: brackets stand for themselves, since they are part of addresses."""
    if not text.strip("*. "):
        raise KontrolError(f'Protection "{text}" names nothing; give a type or an address of a resource')
    return re.compile(re.escape(text).replace(r"\*", ".*") + r"(?:[\[.].*)?", re.DOTALL)


def _owners(change: Change, tag_key: str) -> Iterator[str]:
    """Yield the values of a tag before and after; some types have a list of key and value instead of a map."""
    for values in (change.before, change.after):
        attributes = values if isinstance(values, dict) else {}
        for tags in (attributes.get(name) for name in TAGS):
            if isinstance(tags, dict) and tags.get(tag_key) is not None:
                yield str(tags[tag_key])
        for pair in attributes.get("tag") or ():
            if isinstance(pair, dict) and pair.get("key") == tag_key and pair.get("value") is not None:
                yield str(pair["value"])


def _known(value: Any, unknown: Any, sensitive: Any, seal: Seal) -> Any:
    """Return a value with a token for what is unknown, and sealed where it is sensitive."""
    if unknown is True:
        return UNKNOWN
    if sensitive is True:
        hidden = _known(value, unknown, False, seal)  # what is unknown within it stays recognisable as that
        return seal(json.dumps(hidden, sort_keys=True, ensure_ascii=False))
    if isinstance(value, dict) or (value is None and isinstance(unknown, dict) and _any(unknown)):
        inner = value or {}
        names = sorted({*inner, *(name for name, mask in _entries(unknown) if _any(mask))}, key=str)
        return {name: _known(inner.get(name), _at(unknown, name), _at(sensitive, name), seal) for name in names}
    if isinstance(value, list):
        return [_known(one, _at(unknown, at), _at(sensitive, at), seal) for at, one in enumerate(value)]
    return value


def _entries(mask: Any) -> list[tuple[str | int, Any]]:
    """Return the parts of a mask, which terraform writes as a tree of the value's shape with `true` as leaves."""
    if isinstance(mask, dict):
        return list(mask.items())
    return list(enumerate(mask)) if isinstance(mask, list) else []


def _at(mask: Any, key: str | int) -> Any:
    return dict(_entries(mask)).get(key, False)


def _any(mask: Any) -> bool:
    """Return whether anything within a mask is marked."""
    return mask is True or any(_any(part) for _key, part in _entries(mask))


def _either(one: Any, other: Any) -> Any:
    """Return the mask of all that either mask marks."""
    if one is True or other is True:
        return True
    first, second = dict(_entries(one)), dict(_entries(other))
    return {key: _either(first.get(key, False), second.get(key, False)) for key in {**first, **second}}


def _marked(mask: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Yield the path of each mark; that of a value that is marked as a whole is empty."""
    if mask is True:
        yield _path(path)
    for key, part in _entries(mask):
        yield from _marked(part, (*path, key))


def _path(steps: Sequence[str | int]) -> str:
    """Return a path as terraform writes it: `rule[0].tags["a b"]`."""
    text = ""
    for step in steps:
        if isinstance(step, str) and _NAME.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text
