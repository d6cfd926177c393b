"""Asks Prometheus whether what the components ship is true: targets up, series there, rules healthy, inputs not empty.

Uses Prometheus's own parser of expressions (/api/v1/parse_query, Prometheus 3), so that no rule is understood otherwise
than it is evaluated.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TIMEOUT_SECONDS = 10.0
_PAUSE_SECONDS = 2.0
_DEAD_MAN = "Watchdog"


class Prometheus:
    """The HTTP API of one Prometheus.

    Args:
        host: Its name.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._base = f"http://{host}:{port}/api/v1/"
        self._parsed: dict[str, set[tuple[str, str]]] = {}

    def reads(self, expression: str) -> set[tuple[str, str]]:
        """Return what an expression reads, as `selectors` does; it is parsed once, however often it is looked at."""
        if expression not in self._parsed:
            self._parsed[expression] = set(selectors(self.ask("parse_query", query=expression)))
        return self._parsed[expression]

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer. Raises ToolError when there is none."""
        url = f"{self._base}{path}?{urllib.parse.urlencode(query)}"
        return _json(url)["data"]

    def count(self, selector: str) -> dict[tuple[str, str], float]:
        """Return how many series a selector has, by metric name and job."""
        found = self.ask("query", query=f"count by (__name__, job) ({selector})")["result"]
        return {
            (one["metric"].get("__name__", ""), one["metric"].get("job", "")): float(one["value"][1]) for one in found
        }


def _json(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - an http address by the arguments
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ToolError(f"'{url}' answers {error.code}: {error.read(200).decode('utf-8', 'replace')}") from error
    except (OSError, ValueError) as error:
        raise ToolError(f"'{url}' cannot be asked: {error}") from error


def _jobs(prometheus: Prometheus, wanted: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what there is of each job: how many targets are up, which are down and why, which series it carries."""
    found: dict[str, Any] = {}
    for target in prometheus.ask("targets", state="active")["activeTargets"]:
        job = found.setdefault(target["labels"]["job"], {"up": 0, "down": [], "series": []})
        if target["health"] == "up":
            job["up"] += 1
        else:
            error = target.get("lastError") or "not scraped yet"
            job["down"].append(f"{target['labels'].get('instance')}: {error}")
    names = sorted({name for one in wanted for name in one["series"]})
    if names:
        for name, job_name in prometheus.count(f'{{__name__=~"{"|".join(names)}"}}'):
            if job_name in found:
                found[job_name]["series"].append(name)
    return found


def selectors(tree: Any) -> Iterator[tuple[str, str]]:
    """Return the metric names that a parsed expression reads, each with the value of a matcher `job="..."` or ""."""
    if isinstance(tree, list):
        for item in tree:
            yield from selectors(item)
    elif isinstance(tree, dict):
        if tree.get("type") in ("vectorSelector", "matrixSelector") and tree.get("name"):
            jobs = [one["value"] for one in tree.get("matchers") or [] if one["name"] == "job" and one["type"] == "="]
            yield str(tree["name"]), jobs[0] if jobs else ""
        for value in tree.values():
            yield from selectors(value)


def _without_series(prometheus: Prometheus, groups: list[Mapping[str, Any]]) -> list[str]:
    """Return which rules read a metric that has no series; a label's value that did not occur yet is no fault."""
    readers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for rule in (rule for group in groups for rule in group["rules"]):
        for reads in prometheus.reads(rule["query"]):
            readers[reads].append(rule["name"])
    names = sorted({name for name, _job in readers} - {"ALERTS"})
    there = prometheus.count(f'{{__name__=~"{"|".join(names)}"}}') if names else {}
    missing = []
    for (name, job), rules in sorted(readers.items()):
        if name == "ALERTS" or any(key[0] == name and (not job or key[1] == job) for key in there):
            continue
        missing.append(f"{name}{f' of job {job}' if job else ''} (read by {', '.join(sorted(set(rules))[:3])})")
    return missing


def _groups(loaded: list[Mapping[str, Any]]) -> dict[str, str]:
    """Return each loaded group with the first error of its rules, "" when all are healthy."""
    found = {}
    for group in loaded:
        wrong = [f"{rule['name']}: {rule.get('lastError')}" for rule in group["rules"] if rule["health"] == "err"]
        waiting = [f"{rule['name']} was not evaluated yet" for rule in group["rules"] if rule["health"] == "unknown"]
        found[group["name"]] = (wrong + waiting)[0] if wrong or waiting else ""
    return found


def _dead_man_age(receiver: str) -> float | None:
    """Return how many seconds ago the receiver got the alert that always fires; None when it never did."""
    got = [alert["received"] for alert in _json(f"{receiver}/alerts") if alert["labels"].get("alertname") == _DEAD_MAN]
    return time.time() - max(got) if got else None


def _look(prometheus: Prometheus, step: Mapping[str, Any]) -> dict[str, Any]:
    loaded = prometheus.ask("rules")["groups"]
    reload = prometheus.ask("query", query="prometheus_config_last_reload_successful")["result"]
    return {
        "jobs": _jobs(prometheus, arguments.objects(step, "targets")),
        "groups": _groups(loaded),
        "without_series": _without_series(prometheus, loaded),
        "config_loaded": bool(reload) and reload[0]["value"][1] == "1",
        "alertmanagers": len(prometheus.ask("alertmanagers")["activeAlertmanagers"]),
        "dead_man_age": _dead_man_age(str(step["receiver"])) if step.get("receiver") else None,
    }


def settled(found: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """Tell whether all is as the step wants it: then there is nothing more to wait for."""
    jobs, groups = found["jobs"], found["groups"]
    for want in arguments.objects(step, "targets"):
        job = jobs.get(want["job"])
        if not job or job["down"] or set(want["series"]) - set(job["series"]):
            return False
    loaded = all(groups.get(str(name), "missing") == "" for name in step.get("groups") or [])
    told = not step.get("receiver") or found["dead_man_age"] is not None
    return loaded and told and not found["without_series"] and found["config_loaded"] and found["alertmanagers"] == 1


def state(step: Mapping[str, Any]) -> dict[str, Any]:
    """Look until all is as wanted or `settle` seconds are over, and return what was seen last.

    Arguments: host, port, targets [{job, series}], groups (names), receiver (address of the test receiver or ""),
    settle (seconds; after a first deployment the first scrapes and evaluations are waited for).
    """
    prometheus = Prometheus(arguments.text(step, "host"), int(arguments.number(step, "port", 9090)))
    end = time.monotonic() + arguments.number(step, "settle", 0.0)
    while True:
        try:
            found = _look(prometheus, step)
        except ToolError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
            continue
        if settled(found, step) or time.monotonic() > end:
            return found
        time.sleep(_PAUSE_SECONDS)
