"""A plan: what a bootstrap would do, as data with one hash, and whether a later look still finds the same.

A step is one object that would not stay as it is. The hash covers region, address, action and values of every step, in
an order of its own; of a secret value it covers a digest under the region's key, of a value that only the run makes a
token. How a verdict is known (by the server or by rendering) is shown and not covered: it changes as a region grows.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.apply import SERVER
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import UNKNOWN

FORMAT: Final = 1
FILE: Final = "plan.json"
FOLDER: Final = "plans"
COLLECTED: Final = "objects.jsonl"
"""Where, in a run's private folder, the verdicts are collected of which a plan is made."""
NONE: Final = "none"
SHORTEST: Final = 8
"""Digits of a hash that a person may give instead of all."""
LOSSES: Final = frozenset(
    {"Namespace", "PersistentVolumeClaim", "PersistentVolume", "Cluster", "BackupStore", "SecretStore"}
)
"""Kinds whose deletion takes data with it."""
Step = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What would be done in one region.

    Attributes:
        region: Name of the region.
        steps: Each a map of address, action, component, known, and either changes or content (see kube/planned.py).
        same: How many objects are as declared.
        protected: Whether the region is protected.
        made: When the look was taken.
        failure: Why the look ended before its end; such a plan is shown and never carried out.
    """

    region: str
    steps: tuple[Step, ...]
    same: int = 0
    protected: bool = False
    made: str = field(default_factory=state.now)
    failure: str = ""

    @classmethod
    def of(cls, region: str, objects: Iterable[Mapping[str, Any]], **more: Any) -> Plan:
        """Return the plan that the verdicts of a check make; what is deleted and then made is made again (recreate)."""
        told: dict[str, Mapping[str, Any]] = {}
        for one in objects:
            again = one["verb"] == "create" and told.get(str(one["object"]), {}).get("verb") == "delete"
            told[str(one["object"])] = {**one, "verb": "recreate"} if again else one
        steps = tuple(_step(one) for one in told.values() if one["verb"] != NONE)
        return cls(region, steps, len(told) - len(steps), **more)

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Return the plan that was written to a folder.

        Raises:
            KontrolError: There is none, or it is of another format.
        """
        kept = state.read_json(folder / FILE)
        if kept is None or kept.get("format") != FORMAT:
            raise KontrolError(f'No plan of format {FORMAT} in "{folder}"; make a new one with the playbook plan')
        names = ("region", "same", "protected", "made", "failure")
        return cls(steps=tuple(kept["steps"]), **{name: kept[name] for name in names})

    @property
    def hash(self) -> str:
        """Hash over region, address, action and values of all steps."""
        covered = sorted(_text([one["address"], one["action"], _values(one)]) for one in self.steps)
        whole = [FORMAT, self.region, covered, bool(self.failure)]
        return hashlib.sha256(_text(whole).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Return how many steps there are of each action."""
        return dict(Counter(str(one["action"]) for one in self.steps))

    def refusals(self) -> list[str]:
        """Return why the plan must not be applied: what is replaced, and what a protected region would lose."""
        found = [f"the look ended before its end: {self.failure}"] if self.failure else []
        for one in self.steps:
            if one["action"] == "replace":
                found.append(f"{one['address']} would have to be replaced, and nothing is replaced by itself")
            elif self.protected and one["action"] == "delete" and one["address"].partition(" ")[0] in LOSSES:
                found.append(f"{one['address']} would be deleted, and region '{self.region}' is protected")
        return found

    def as_data(self) -> dict[str, Any]:
        """Return the plan as it is written."""
        return {
            "format": FORMAT,
            "hash": self.hash,
            "region": self.region,
            "made": self.made,
            "protected": self.protected,
            "same": self.same,
            "counts": self.counts(),
            "refusals": self.refusals(),
            "failure": self.failure,
            "steps": list(self.steps),
        }


def seen(objects: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], str]:
    """Return the verdicts that say something, and why the others do not.

    Of a cluster that is there but stopped nothing could be asked: what was only rendered says nothing of what is in it.
    """
    told = list(objects)
    stopped = [
        str(one["object"]) for one in told if str(one["object"]).startswith("Cluster ") and one["verb"] == "update"
    ]
    if not stopped:
        return told, ""
    why = f"{stopped[0]} is stopped, so nobody can tell what is in it; bootstrap starts it"
    return [one for one in told if one["known"] == SERVER], why


@dataclass(frozen=True)
class Comparison:
    """How a plan that was reviewed and one made now differ.

    Attributes:
        refused: Why what is planned now is not what was reviewed: a line for each step.
        done: Steps that are true by now.
        learned: Steps of which a value became known, and nothing else changed.
    """

    refused: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()


def compare(reviewed: Plan, now: Plan) -> Comparison:
    """Compare what was reviewed with what would be done now.

    What is true by now may be missing: so a run that was stopped goes on under the same plan. All else must be the
    same; only a value that was not known may have become known.
    """
    before = {one["address"]: one for one in reviewed.steps}
    after = {one["address"]: one for one in now.steps}
    refused, learned = [], []
    for address, step in after.items():
        if address not in before:
            refused.append(f"{step['action']} {address} was not in the plan")
        elif problem := _problem(before[address], step):
            refused.append(f"{address}: {problem}")
        elif _values(before[address]) != _values(step):
            learned.append(address)
    done = [f"{one['action']} {address}" for address, one in before.items() if address not in after]
    return Comparison(tuple(refused), tuple(done), tuple(learned))


def find(plans: Path, wanted: str) -> Plan:
    """Return the plan of a hash, or of the beginning of one.

    Args:
        plans: The region's folder of plans.
        wanted: What a person gave.

    Raises:
        KontrolError: There is no such plan, or more than one.
    """
    folders = sorted(one for one in plans.glob("*") if one.is_dir())
    found = [one for one in folders if one.name.startswith(wanted)] if len(wanted) >= SHORTEST else []
    if len(found) == 1:
        return Plan.read(found[0])
    known = ", ".join(one.name[:12] for one in folders) or "none"
    what = "is the beginning of several" if found else "is not known here"
    raise KontrolError(
        f"Plan '{wanted}' {what}; plans of this region are: {known}. Make a new one with the playbook plan, read it, "
        f"and give at least {SHORTEST} digits of its hash"
    )


def _step(one: Mapping[str, Any]) -> Step:
    step: Step = {"address": str(one["object"]), "action": str(one["verb"]), "known": str(one["known"])}
    step["component"] = str(one.get("component", ""))
    for key in ("changes", "content"):
        if one.get(key):
            step[key] = one[key]
    return step


def _values(step: Mapping[str, Any]) -> Any:
    """Return what the hash covers of a step's values; who owned a field is not a value."""
    fields = [[one["path"], one["before"], one["after"]] for one in step.get("changes") or []]
    return sorted(fields, key=_text) or step.get("content") or {}


def _problem(before: Step, after: Step) -> str:
    """Return how a step differs from the reviewed one, "" when it does not, or only by what became known."""
    if before["action"] != after["action"]:
        return f"the plan says {before['action']}, now it would be {after['action']}"
    old, new = _by_path(before), _by_path(after)
    differing = sorted(path for path in {*old, *new} if old.get(path) != UNKNOWN and old.get(path) != new.get(path))
    if not differing:
        return ""
    return f"{_listed(differing)} {'is' if len(differing) == 1 else 'are'} not as in the plan"


def _by_path(step: Step) -> dict[str, Any]:
    changed = {one["path"]: [one["before"], one["after"]] for one in step.get("changes") or []}
    return changed or dict(step.get("content") or {})


def _listed(paths: Sequence[str], most: int = 5) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path or "its content" for path in paths[:most]) + more


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
