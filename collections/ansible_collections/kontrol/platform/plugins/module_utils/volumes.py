"""Whether the volumes that a component asks for can be made, and how those that are there are made larger.

A StatefulSet's claim templates cannot be changed. What can: the claims themselves (kubernetes.io/docs/concepts/storage/
persistent-volumes, "Expanding Persistent Volumes Claims": only larger, only where the class says allowVolumeExpansion).
The StatefulSet is then deleted without its pods, and made again with the new template by the next apply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import quantities

DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
Object = dict[str, Any]


def storage_class_problem(classes: list[Object], wanted: str, option: str) -> str:
    """Return why a volume would stay Pending for ever, "" when it would be made.

    Args:
        classes: The cluster's StorageClass objects.
        wanted: Name of the class that the spec asks for; "" means the cluster's default.
        option: The option of the spec that names it, for the message.
    """
    names = [str(one["metadata"]["name"]) for one in classes]
    defaults = [one for one in classes if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    if wanted in names or (not wanted and defaults):
        return ""
    missing = f"'{wanted}'" if wanted else "that is marked as its default"
    there = ", ".join(sorted(names)) or "none"
    return f"The cluster has no storage class {missing}; it has: {there}. Set {option} to one of them"


@dataclass(frozen=True)
class Growth:
    """What brings the volumes of a StatefulSet to the declared size.

    Attributes:
        refusal: Why it cannot be done; then nothing else is set.
        larger: The claims that must ask for more.
        recreate: The StatefulSet has another size in its template, so it must be made again.
    """

    refusal: str = ""
    larger: list[Object] = field(default_factory=list)
    recreate: bool = False


def growth(
    stateful_set: Object | None,
    claims: list[Object],
    classes: list[Object],
    target: tuple[str, str],
    size: str,
    option: str,
) -> Growth:
    """Compare the declared size with the claims and the template that are there.

    Args:
        stateful_set: The live StatefulSet, None when there is none.
        claims: The claims of its namespace.
        classes: The cluster's StorageClass objects.
        target: Names of the StatefulSet and of its claim template.
        size: The declared size, such as 20Gi.
        option: The option of the spec that holds it, for messages.

    Returns:
        The plan. A run that was killed in the middle of it finds the rest of it here.

    Raises:
        ValueError: A size that cannot be read.
    """
    wanted = quantities.to_bytes(size)
    mine = claims_of(claims, *target)
    larger = [one for one in mine if _asked(one) < wanted]
    refusal = _too_small(mine, wanted, size, option) or _cannot_grow(larger, classes, size, option)
    if refusal:
        return Growth(refusal)
    return Growth("", larger, stateful_set is not None and _template_bytes(stateful_set, target[1]) != wanted)


def growth_problem(claims: list[Object], classes: list[Object], target: list[str], size: str, option: str) -> str:
    """Return why the volumes cannot be brought to the declared size; "" when they can, or when there are none.

    Args:
        claims: The claims of the namespace.
        classes: The cluster's StorageClass objects.
        target: Names of the StatefulSet and of its claim template.
        size: The declared size.
        option: The option of the spec that holds it.
    """
    return growth(None, claims, classes, (target[0], target[1]), size, option).refusal


def claims_of(claims: list[Object], stateful_set: str, template: str) -> list[Object]:
    """Return the claims that belong to a StatefulSet's claim template, by their names: template-set-number."""
    pattern = re.compile(rf"{re.escape(template)}-{re.escape(stateful_set)}-\d+")
    return [one for one in claims if pattern.fullmatch(str(one["metadata"]["name"]))]


def _asked(claim: Object) -> int:
    return quantities.to_bytes(str(claim["spec"]["resources"]["requests"]["storage"]))


def _template_bytes(stateful_set: Object, template: str) -> int:
    found = stateful_set["spec"].get("volumeClaimTemplates") or []
    return next((_asked(one) for one in found if one["metadata"]["name"] == template), 0)


def _too_small(claims: list[Object], wanted: int, size: str, option: str) -> str:
    for one in claims:
        if _asked(one) > wanted:
            return (
                f"Volume claim '{_name(one)}' has {_size(one)}, and {option} '{size}' is less: a volume cannot be made "
                f"smaller; set it to '{_size(one)}' or more, or {_WAY_OUT}"
            )
    return ""


def _cannot_grow(claims: list[Object], classes: list[Object], size: str, option: str) -> str:
    able = {str(one["metadata"]["name"]) for one in classes if one.get("allowVolumeExpansion")}
    for one in claims:
        name = str(one["spec"].get("storageClassName") or "")
        if name not in able:
            return (
                f"Volume claim '{_name(one)}' has {_size(one)} and cannot grow to '{size}': its storage class '{name}' "
                f"does not allow it (allowVolumeExpansion); set {option} back to '{_size(one)}', or {_WAY_OUT}"
            )
    return ""


_WAY_OUT: Final = (
    "make a backup, delete the StatefulSet and its claims, bootstrap, and restore (docs/runbooks/upgrade.md)"
)


def _name(claim: Object) -> str:
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def _size(claim: Object) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])
