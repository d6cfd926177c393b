"""Reports for tests: one with everything in it, and one that is hostile."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from ansible_collections.kontrol.platform.plugins.module_utils import memory, paths, run_report

RUN = "20261125T030000Z-0001"
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\x00\x1b[31m\' & ]]>'
PLACES = {"outside": "outside the mesh", "denied": "in the mesh, not allowed", "allowed": "in the mesh, allowed"}


def cell(target: str, place: str, expected: str, seen: str, *, ok: bool = True, **more: Any) -> dict[str, Any]:
    """A check that is a cell of the matrix, in the words of verify."""
    check = {"check": f"port, {PLACES[place]}", "target": target, "expected": expected, "seen": seen, "ok": ok}
    return {"component": "clickhouse", **check, **more}


def checks() -> list[dict[str, Any]]:
    """Green and red ones, in the matrix and beside it."""
    reason: dict[str, Any] = {"owner": "mesh", "reason": "the kubelet has no certificate"}
    return [
        {"component": "cluster", "check": "node", "target": "n", "expected": "ready", "seen": "ready", "ok": True},
        {"component": "cluster", "check": "disk", "target": "n", "expected": "free", "seen": "full", "ok": False},
        cell("db-0:1", "outside", "refused by the mesh", "reset"),
        cell("db-0:1", "denied", "refused by the mesh", "denied 403"),
        cell("db-0:1", "allowed", "answers 200", "open 200"),
        cell("db-0:2", "outside", "refused by the mesh", "open 200", ok=False),
        cell("db-0:15021", "outside", "open to all (exception)", "open 404", **reason),
    ]


def content(**more: Any) -> dict[str, Any]:
    """What a failed run tells; other keys by name."""
    known: dict[str, Any] = {
        "run": RUN,
        "region": "r",
        "playbook": "bootstrap",
        "status": "failed",
        "started": "2026-11-25T03:00:00Z",
        "ended": "2026-11-25T03:01:10Z",
        "seconds": 70.4,
        "command": "ansible-playbook -i inventories/r playbooks/bootstrap.yml",
        "directory": "/somewhere",
        "mode": {"check": False, "diff": True},
        "by": {"user": "someone", "host": "here", "pid": 7},
        "code": {"commit": "0123456789abcdef", "dirty": True},
        "versions": {"python": "3.11"},
        "target": {
            "driver": "kind",
            "api_server": "https://127.0.0.1:1",
            "ca_sha256": "ab" * 32,
            "components": ["mesh"],
        },
        "phases": [
            {"phase": "cluster deploy", "at": "T", "offset": 0.4, "seconds": 20.0},
            {"phase": "clickhouse verify", "at": "T", "offset": 20.4, "seconds": 50.0},
        ],
        "objects": [
            {"component": "cluster", "object": "Cluster r", "verb": "create", "known": "server"},
            {"component": "cluster", "object": "Namespace a", "verb": "none", "known": "server"},
            {"component": "mesh", "object": "Namespace b", "verb": "none", "known": "server"},
        ],
        "checks": checks(),
        "deviations": [{"artifact": "clickhouse", "deviation": "a stand-in"}],
        "failures": [{"component": "region", "task": "Fail when a part is red", "message": "Red are: cluster"}],
    }
    return {**known, **more}


def whole(**more: Any) -> dict[str, Any]:
    """A report of format 1 with everything in it."""
    return valid(run_report.complete(content(**more), memory.Peak(1, 200 * 1024, 4)))


def hostile() -> dict[str, Any]:
    """A report in which every text that comes from outside is hostile."""
    bad = HOSTILE
    return whole(
        region=bad,
        playbook=bad,
        command="ansible-playbook '" + "<script>" + "'",
        by={"user": bad, "host": bad, "pid": 1},
        target={"driver": bad, "profile": bad, "components": [bad], "api_server": bad, "ca_sha256": bad},
        phases=[{"phase": f"{bad} {bad}", "at": bad, "offset": 0, "seconds": 1}],
        objects=[{"component": bad, "object": bad, "verb": bad, "known": bad}],
        checks=[
            {"component": bad, "check": bad, "target": bad, "expected": bad, "seen": bad, "ok": False},
            cell(bad, "outside", bad, bad, ok=False, owner=bad, reason=bad),
        ],
        deviations=[{"artifact": bad, "deviation": bad}],
        failures=[{"component": bad, "task": bad, "message": bad}],
    )


def valid(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report that the schema accepts as JSON, or fail with what is wrong."""
    wrong = [error.message for error in _schema().iter_errors(json.loads(json.dumps(report)))]
    assert wrong == []
    return report


@cache
def _schema() -> Draft202012Validator:
    path = paths.project_root() / "schemas" / "report.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
