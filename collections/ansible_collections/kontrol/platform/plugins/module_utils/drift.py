"""Drift: what of a region is not as declared, who did it as far as anybody tells, and what undoes it.

Made of the same verdicts as a plan, so drift and plan cannot disagree. Beside them stands what others added to our
objects: server-side apply leaves it alone, so no plan tells of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import MANAGER
from ansible_collections.kontrol.platform.plugins.module_utils.text_table import table

CONTROLLERS: Final = frozenset(
    {
        "kube-apiserver",
        "kube-controller-manager",  # revisions of a Deployment, volumes of a claim, finalizers
        "kube-scheduler",
        "kubelet",
        "pilot-discovery",  # istiod puts its CA into its webhooks
        "PrometheusOperator",
        "local-path-provisioner",
    }
)
"""Managers whose fields in our objects are their work and no drift."""
UNKNOWN: Final = "nobody tells"
NOT_APPLIED: Final = f"{MANAGER}, as declared before"
WIDTH: Final = 140
"""Of the table; a line that is searched for should stay one line."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as declared.

    Attributes:
        target: Object, container or cluster.
        what: missing, differs, added or no longer declared.
        field: Path of the field, "" for the whole.
        declared: What the declaration says.
        seen: What is there.
        owner: Who set it, as far as the API server or the engine tells.
    """

    target: str
    what: str
    field: str
    declared: str
    seen: str
    owner: str

    @property
    def managers(self) -> list[str]:
        """Names that `-e take_back=` takes; none where the declaration itself went on."""
        return [] if self.owner in {UNKNOWN, NOT_APPLIED} else self.owner.split(", ")


def findings(objects: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return all that is not as declared, of the verdicts that the tasks gave in check mode."""
    found: list[Finding] = []
    for one in objects:
        target = str(one["object"])
        found += _of_verdict(target, one)
        changed = {str(change["path"]) for change in one.get("changes") or []}
        found += [
            Finding(target, "added", path, "nothing", value, manager)
            for manager, path, value in one.get("foreign") or []
            if manager not in CONTROLLERS and path not in changed
        ]
    return list(dict.fromkeys(found))


def lines(region: str, found: list[Finding]) -> list[str]:
    """Return the verdict for a terminal: a table, and the command that makes it true again."""
    if not found:
        return [f"Region {region} is as declared"]
    rows = [[one.what, one.target, one.field, one.declared, one.seen, one.owner] for one in found]
    told = [f"Region {region}: {len(found)} found that {'is' if len(found) == 1 else 'are'} not as declared", ""]
    told += [*table(["", "on", "field", "declared", "seen", "set by"], rows, WIDTH), ""]
    managers = sorted({name for one in found for name in one.managers})
    back = f" -e take_back={','.join(managers)}" if managers else ""
    return [*told, f"To make it as declared: ansible-playbook -i inventories/{region} playbooks/bootstrap.yml{back}"]


def _of_verdict(target: str, one: Mapping[str, Any]) -> list[Finding]:
    verb, changes = one["verb"], one.get("changes") or []
    if verb == "none":
        return []
    if verb == "create":
        return [Finding(target, "missing", "", "there", "nothing", UNKNOWN)]
    if verb in {"prune", "delete"}:
        return [Finding(target, "no longer declared", "", "nothing", "there", NOT_APPLIED)]
    if not changes:
        return [Finding(target, "differs", "", "as declared", "otherwise", UNKNOWN)]
    return [
        Finding(target, "differs", str(change["path"]), _text(change["after"]), _text(change["before"]), _owner(change))
        for change in changes
    ]


def _owner(change: Mapping[str, Any]) -> str:
    """Return who set a field that differs: others beside us, else we ourselves before the declaration changed."""
    owners = [name for name in str(change.get("owner") or "").split(", ") if name]
    others = [name for name in owners if name != MANAGER]
    return ", ".join(others) or (NOT_APPLIED if owners else UNKNOWN)


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)
