"""Whether the volumes that a component asks for can be made."""

from __future__ import annotations

from typing import Any, Final

DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def storage_class_problem(classes: list[dict[str, Any]], wanted: str, option: str) -> str:
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
