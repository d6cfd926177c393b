"""Judge what Prometheus and the test receiver told: targets and series, rules and inputs, alerts that arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.checks import check

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]

DEAD_MAN_SECONDS: Final = 180
"""Older than this, the alert that always fires has not been told again: three times its repetition."""


def checks(step: Object | None, shipped: Object, receiver: bool) -> list[Object]:
    """Return the checks on monitoring; whatever is missing in the answer is red.

    Args:
        step: Result of the step `prometheus-state` of the tools image.
        shipped: What the components ship, as of `monitoring.shipped`.
        receiver: Whether there is a test receiver that must have got the alert that always fires.
    """
    told = step or {}
    return [
        *_targets(told.get("jobs") or {}, shipped["targets"]),
        *_groups(told.get("groups") or {}, shipped["groups"]),
        _inputs(told.get("without_series")),
        check(
            "configuration is loaded",
            "prometheus",
            "yes",
            _yes(told.get("config_loaded")),
            told.get("config_loaded") is True,
        ),
        _alertmanager(told.get("alertmanagers")),
        *([_dead_man(told.get("dead_man_age"))] if receiver else []),
    ]


def _yes(value: Any) -> str:
    return {True: "yes", False: "no, the last reload failed"}.get(value, "no answer")


def _targets(jobs: Object, targets: Iterable[Object]) -> list[Object]:
    found = []
    for target in targets:
        job = jobs.get(target["job"])
        found.append(_up(target["job"], job))
        missing = [one for one in target["series"] if one not in (job or {}).get("series", [])]
        seen = f"missing: {', '.join(missing)}" if missing else f"all {len(target['series'])}"
        found.append(check("target carries its series", target["job"], "all", seen, ok=bool(job) and not missing))
    return found


def _up(name: str, job: Object | None) -> Object:
    if not job:
        return check("target is up", name, "up", "no target of this job: no monitor, or it selects nothing", ok=False)
    down = job.get("down") or []
    seen = "; ".join(down[:3]) if down else f"{job['up']} up"
    return check("target is up", name, "all up", seen, ok=not down and job["up"] > 0)


def _groups(groups: Object, expected: Iterable[str]) -> list[Object]:
    wrong = {}
    names = list(expected)
    for name in names:
        if name not in groups:
            wrong[name] = "not loaded"
        elif groups[name]:
            wrong[name] = groups[name]
    seen = "; ".join(f"{name}: {what}" for name, what in wrong.items()) or f"{len(names)} groups"
    return [
        check("rules are loaded and healthy", "prometheus", f"{len(names)} groups", seen, ok=bool(names) and not wrong)
    ]


def _inputs(without: list[str] | None) -> Object:
    if without is None:
        return check("inputs of rules have series", "prometheus", "all", "no answer", ok=False)
    seen = "; ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "") if without else "all"
    return check("inputs of rules have series", "prometheus", "all", seen, ok=not without)


def _alertmanager(active: int | None) -> Object:
    seen = "no answer" if active is None else f"{active} found"
    return check("Prometheus reaches Alertmanager", "alertmanager", "1 found", seen, ok=active == 1)


def _dead_man(age: float | None) -> Object:
    expected = f"told within {DEAD_MAN_SECONDS} s"
    seen = "the test receiver never got it" if age is None else f"{age:.0f} s ago"
    return check(
        "the alert that always fires arrives",
        "alert-receiver",
        expected,
        seen,
        ok=age is not None and age <= DEAD_MAN_SECONDS,
    )
