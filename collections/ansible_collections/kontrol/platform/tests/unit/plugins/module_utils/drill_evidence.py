"""The evidence of a drill in which everything went well."""

from __future__ import annotations

import copy

from ansible_collections.kontrol.platform.plugins.module_utils.drill import Acknowledged, Evidence

FAULT_AT = 10_000.0
HEARD = {"clickhouse": Acknowledged(60, FAULT_AT - 1, 60), "neo4j": Acknowledged(58, FAULT_AT - 0.5, 58)}


def evidence(fault: str = "database") -> Evidence:
    """Return what a drill finds in which everything went well."""
    names = ("clickhouse", "neo4j")
    counts = {"rows": 500, "kinds": {"a": 400, "b": 100}}
    return {
        "run": "r1",
        "region": "lab",
        "mode": "practice",
        "fault": fault,
        "phase": "judge",
        "databases": list(names),
        "targets": {"rto": 600.0, "rpo": 900.0},
        "backups": {name: {"id": f"{name}-7", "started": FAULT_AT - 300} for name in names},
        "history": {name: [FAULT_AT - 300, FAULT_AT - 800] for name in names},
        "before": {name: copy.deepcopy(counts) for name in names},
        "fault_at": FAULT_AT,
        "hit": {name: {"before": "u1", "after": "u2"} for name in names},
        "emptied": {name: {"rows": 0, "kinds": {}, "count": 0, "heartbeat": None} for name in names},
        "restored": {name: {"id": f"{name}-7", "compared": 4, "rows": 480} for name in names},
        "after": {name: copy.deepcopy(counts) for name in names},
        "recovered": {
            "clickhouse": {"missing": [], "last_seq": 20, "last_written": FAULT_AT - 301, "heartbeat": FAULT_AT - 303},
            "neo4j": {"missing": [], "last_seq": 0, "last_written": None, "heartbeat": FAULT_AT - 310},
        },
        "secrets_before": "s",
        "secrets_after": "s",
        "verified_at": FAULT_AT + 120,
        "verified": {"mesh": 9, **dict.fromkeys(names, 6)},
    }
