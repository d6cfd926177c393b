"""Which step from one version to another a component's makers support.

Versions come from image tags: `1.31.0-kontrol`, `26.9-stand-in`, `v3.5.1`, `5.26.30-community`. What follows the
numbers is the maker's or the lab's business and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

Version = tuple[int, int, int]
Judge = Callable[[Version, Version], bool]

_NUMBERS: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_MONTHS: Final = 12


def version_of(text: str) -> Version:
    """Return the first three numbers of a version; the third is 0 where there are two, as in 26.9-stand-in.

    Raises:
        ValueError: It does not begin with two or three numbers.
    """
    match = _NUMBERS.match(text)
    if match is None:
        raise ValueError(f"Version '{text}' does not begin with numbers such as 1.31 or v3.5.1")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def version_in_image(reference: str) -> str:
    """Return the tag of an image reference `host/name:tag@digest`. Raises ValueError when it has none."""
    name = reference.partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag:
        raise ValueError(f"Image '{reference}' has no tag, so its version is not known")
    return tag


def _one_minor(old: Version, new: Version) -> bool:
    return new[0] == old[0] and abs(new[1] - old[1]) <= 1


def _same_major(old: Version, new: Version) -> bool:
    return new[0] == old[0]


def _same_minor(old: Version, new: Version) -> bool:
    return new[:2] == old[:2]


def _one_year(old: Version, new: Version) -> bool:
    return abs((new[0] - old[0]) * _MONTHS + new[1] - old[1]) <= _MONTHS


@dataclass(frozen=True)
class Rule:
    """How far a product may be moved in one step.

    Attributes:
        forward: Whether it may go from an older version to a newer one.
        back: Whether it may go from a newer version to an older one.
        words: The rule for a person.
        way_out: What to do instead of a step back that is too far.
    """

    forward: Judge
    back: Judge
    words: str
    way_out: str = "go through a version between"


_RESTORE: Final = "deploy it anew and restore a backup that the older version made"

RULES: Final[dict[str, Rule]] = {
    # istio.io/latest/docs/setup/upgrade: in place, one minor version at a time; the way back is the same command.
    "istio": Rule(_one_minor, _one_minor, "Istio goes one minor version at a time, either way"),
    # clickhouse.com/docs/operations/update: a compatibility window of one year; a step back within it is possible as
    # long as no feature of the newer version was used.
    "clickhouse": Rule(
        _one_year, _one_year, "ClickHouse servers read each other's data within one year of releases", _RESTORE
    ),
    # neo4j.com/docs/upgrade-migration-guide: minor versions of a major are compatible forward; no way back is promised.
    # That patches of one minor version go back rests on their definition there: they replace each other.
    "neo4j": Rule(
        _same_major, _same_minor, "Neo4j goes forward within a major version and back only between patches", _RESTORE
    ),
    # prometheus.io/docs/prometheus/latest/stability: stable within a major version; the format on disk is read by newer
    # versions only as a promise, so the way back is tried by our own tests and not promised by the makers.
    "prometheus": Rule(_same_major, _same_major, "Prometheus is stable within a major version"),
    # Both are before 1.0, where a minor version may break things (semver.org, rule 4): one at a time.
    "alertmanager": Rule(_one_minor, _one_minor, "Alertmanager goes one minor version at a time, either way"),
    "prometheus_operator": Rule(
        _one_minor, _one_minor, "The Prometheus operator goes one minor version at a time, either way"
    ),
}
"""Product -> rule, each with its source."""


def step_refusal(running: str, wanted: str, product: str) -> str:
    """Return why a product may not go from one version to another in one step; "" when it may.

    Args:
        running: The version that runs.
        wanted: The version to come.
        product: Key of `RULES`.

    Raises:
        ValueError: A version that cannot be read, or a product without a rule.
    """
    if product not in RULES:
        raise ValueError(f"No rule says how '{product}' is upgraded; there are rules for: {', '.join(sorted(RULES))}")
    old, new, rule = version_of(running), version_of(wanted), RULES[product]
    if new >= old:
        how = "" if rule.forward(old, new) else "go through a version between"
    else:
        how = "" if rule.back(old, new) else rule.way_out
    return f"Version '{wanted}' is too far from '{running}', which runs: {rule.words}; {how}" if how else ""


def refusal(
    workloads: Iterable[dict[str, Any]],
    container: str,
    wanted: str,
    product: str,
    pods: Iterable[dict[str, Any]] = (),
) -> str:
    """Return why a running workload may not be brought to a version; "" when it may or when nothing runs.

    What was declared last counts, not what the pods have come to. But a version that never started has not touched the
    data: the way back from it is always open, so that a broken roll can be got out of.

    Args:
        workloads: The live Deployment or StatefulSet, or nothing.
        container: Whose image tells the version.
        wanted: The version to come.
        product: Key of `RULES`.
        pods: The pods of its namespace; needed where the way back is narrower than the way forward.

    Raises:
        ValueError: A version that cannot be read, a container that is not there, or a product without a rule.
    """
    live = next(iter(workloads), None)
    if live is None:
        return ""
    images = {one["name"]: str(one["image"]) for one in live["spec"]["template"]["spec"]["containers"]}
    if container not in images:
        raise ValueError(f"'{live['metadata']['name']}' has no container '{container}'; it has: {', '.join(images)}")
    running = version_in_image(images[container])
    if version_of(wanted) < version_of(running) and _never_started(pods, container, images[container]):
        return ""
    return step_refusal(running, wanted, product)


def _never_started(pods: Iterable[dict[str, Any]], container: str, image: str) -> bool:
    """Whether there are pods of an image, and in none of them its container has ever run."""
    mine = [
        pod
        for pod in pods
        if any(one["name"] == container and one["image"] == image for one in pod["spec"]["containers"])
    ]
    return bool(mine) and not any(_has_run(pod, container) for pod in mine)


def _has_run(pod: dict[str, Any], container: str) -> bool:
    for one in (pod.get("status") or {}).get("containerStatuses") or []:
        if one["name"] == container:
            return bool(one.get("restartCount") or one.get("lastState")) or "waiting" not in (one.get("state") or {})
    return False
