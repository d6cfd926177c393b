"""Runs the steps of the arguments file and prints one JSON document as the last line of standard output.

Exit code 0: every step could be done (its result may hold failed checks).
1: a step could not be done. 2: bad arguments.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import (
    alerts,
    arguments,
    backups,
    clickhouse_backup,
    clickhouse_drill,
    clickhouse_restore,
    exporter,
    neo4j_backup,
    neo4j_drill,
    neo4j_job,
    neo4j_restore,
    neo4j_roundtrip,
    neo4j_schema,
    otlp,
    probe,
    prometheus,
    roundtrip,
    schema,
    serve,
    silences,
)
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMMANDS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "probe": probe.run,
    "otlp-send": otlp.run,
    "prometheus-state": prometheus.state,
    "alertmanager-silence": silences.silence,
    "alertmanager-unsilence": silences.unsilence,
    "backup-list": backups.listed,
    "clickhouse-canary": clickhouse_drill.write,
    "clickhouse-recovered": clickhouse_drill.recovered,
    "clickhouse-held": clickhouse_drill.held,
    "clickhouse-destroy": clickhouse_drill.destroy,
    "clickhouse-roundtrip": roundtrip.run,
    "clickhouse-logins": roundtrip.logins,
    "clickhouse-schema": schema.run,
    "clickhouse-schema-check": schema.check,
    "clickhouse-backup": clickhouse_backup.backup,
    "clickhouse-restore": clickhouse_restore.restore,
    "clickhouse-compare": clickhouse_restore.compare,
    "clickhouse-look": clickhouse_restore.look,
    "neo4j-schema": neo4j_schema.run,
    "neo4j-schema-check": neo4j_schema.check,
    "neo4j-roundtrip": neo4j_roundtrip.run,
    "neo4j-logins": neo4j_roundtrip.logins,
    "neo4j-canary": neo4j_drill.write,
    "neo4j-recovered": neo4j_drill.recovered,
    "neo4j-held": neo4j_drill.held,
    "neo4j-destroy": neo4j_drill.destroy,
    "neo4j-keep": neo4j_job.keep,
    "neo4j-stop": neo4j_backup.stop,
    "neo4j-start": neo4j_backup.start,
    "neo4j-carry": neo4j_backup.carry,
    "neo4j-finish": neo4j_backup.finish,
    "neo4j-hold": neo4j_job.hold,
    "neo4j-choose": neo4j_restore.choose,
    "neo4j-download": neo4j_restore.download,
    "neo4j-loaded": neo4j_restore.loaded,
    "neo4j-compare": neo4j_restore.compare,
}


def run(steps: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Run the steps in order and return their results by name; an unknown command is found before any step runs."""
    for step in steps:
        if step.get("command") not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise ArgumentError(f"Unknown command '{step.get('command')}'; known: {known}")
    return {arguments.text(step, "name", step["command"]): COMMANDS[step["command"]](step) for step in steps}


def _told_to_end(*_: object) -> None:
    raise ToolError("It was told to end before it was done")


def main(argv: list[str]) -> int:
    """Read the arguments file, run, print; or be a target for probes."""
    parser = argparse.ArgumentParser(prog="kontrol_tools")
    parser.add_argument("--args", type=Path, default=Path("/etc/kontrol/args.json"))
    parser.add_argument("--serve", type=int, metavar="PORT", help="answer probes on this port until SIGTERM")
    parser.add_argument("--serve-alerts", type=int, metavar="PORT", help="take alerts and tell them until SIGTERM")
    parser.add_argument("--serve-metrics", type=Path, metavar="FILE", help="try a database and tell until SIGTERM")
    options = parser.parse_args(argv)
    if options.serve is not None:
        return serve.until_signal(serve.target(options.serve))
    if options.serve_alerts is not None:
        return serve.until_signal(alerts.server(options.serve_alerts))
    document: dict[str, Any]
    signal.signal(signal.SIGTERM, _told_to_end)  # without a handler the first process of a container ignores it
    try:
        if options.serve_metrics is not None:
            return exporter.serve_metrics(options.serve_metrics)
        document, code = {"results": run(arguments.load(options.args))}, 0
    except ArgumentError as error:
        document, code = {"error": str(error)}, 2
    except ToolError as error:
        document, code = {"error": str(error)}, 1
    print(json.dumps(document, sort_keys=True), flush=True)  # noqa: T201 - the result is read from standard output
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
