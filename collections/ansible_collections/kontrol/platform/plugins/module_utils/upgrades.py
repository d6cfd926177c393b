"""Which step from one version to another a component's makers support."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Version = tuple[int, int]

_NUMBERS: Final = re.compile(r"(?:[a-z.-]*)(\d+)\.(\d+)")


def version_of(text: str) -> Version:
    """Return the first two numbers of a version such as 1.31.0 or 26.9-stand-in. Raises ValueError without them."""
    match = _NUMBERS.match(text)
    if match is None:
        raise ValueError(f"Version '{text}' does not begin with two numbers such as 1.31")
    return int(match[1]), int(match[2])


def version_in_image(reference: str) -> str:
    """Return the tag of an image reference `host/name:tag@digest`. Raises ValueError when it has none."""
    name = reference.partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag:
        raise ValueError(f"Image '{reference}' has no tag, so its version is not known")
    return tag


def _one_minor(old: Version, new: Version) -> bool:
    return new[0] == old[0] and new[1] - old[1] <= 1


def _one_year(old: Version, new: Version) -> bool:
    return (new[0] - old[0]) * 12 + new[1] - old[1] <= 12


_RULES: Final[dict[str, tuple[Callable[[Version, Version], bool], str]]] = {
    "istio": (_one_minor, "Istio is upgraded one minor version at a time"),
    "clickhouse": (_one_year, "ClickHouse servers are compatible within one year of releases"),
}
"""Product -> (rule, its words). Sources: Istio's upgrade guide; ClickHouse's guide on updating."""


def refusal(workloads: Iterable[dict[str, Any]], container: str, wanted: str, product: str) -> str:
    """Return why a running workload may not be brought to a version; empty when it may.

    Args:
        workloads: The live Deployment or StatefulSet, or nothing.
        container: Whose image tells the version.
        wanted: The version to come.
        product: Key of the rules: istio or clickhouse.
    """
    live = next(iter(workloads), None)
    if live is None:
        return "There is nothing to upgrade: deploy it first (playbook bootstrap)"
    images = {one["name"]: one["image"] for one in live["spec"]["template"]["spec"]["containers"]}
    running = version_in_image(images[container])
    old, new = version_of(running), version_of(wanted)
    allowed, words = _RULES[product]
    if new < old:
        return f"Version '{wanted}' is older than '{running}', which runs: a way back is a restore, not an upgrade"
    if not allowed(old, new):
        return f"Version '{wanted}' is too far from '{running}', which runs: {words}; go through a version between"
    return ""
