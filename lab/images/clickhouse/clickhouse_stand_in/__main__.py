"""Starts the stand-in as the server's program does, and ends it on SIGTERM after the running queries."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from . import config, log
from .engine import Engine
from .front import MetricsServer, Server
from .log import LOG
from .metrics import QueryMetrics

_GRACE_SECONDS = 25.0


def _arguments(argv: list[str]) -> Path:
    parser = argparse.ArgumentParser(prog="clickhouse-server", description="Stand-in for ClickHouse server (chdb)")
    parser.add_argument("-C", "--config-file", type=Path, default=Path("/etc/clickhouse-server/config.xml"))
    return Path(parser.parse_args(argv).config_file)


def serve(main_config: Path, stop: threading.Event) -> int:
    """Serve until `stop` is set; return 0 when all running queries ended in time, 1 when some did not."""
    settings = config.settings(config.read(main_config))
    log.start(settings.logger)
    LOG.info("Starting the ClickHouse stand-in")
    users = config.UserDirectory(main_config.with_name("users.xml"))
    engine = Engine(settings.data, settings.engine_xml)
    metrics = QueryMetrics()
    servers: list[Server | MetricsServer] = [Server((settings.listen_host, settings.http_port), engine, users, metrics)]
    if settings.metrics_port is not None:
        servers.append(MetricsServer((settings.listen_host, settings.metrics_port), engine, metrics))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    LOG.info("Ready for connections: engine %s on port %s", engine.version, settings.http_port)
    stop.wait()
    LOG.info("Received termination signal; waiting for running queries")
    ended = engine.close(_GRACE_SECONDS)
    for server in servers:
        server.shutdown()
    LOG.info("Stopped" if ended else "Stopped with queries still running")
    return 0 if ended else 1


def main(argv: list[str]) -> int:
    """Run the program; exit code 78 for a configuration that cannot be used."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return serve(_arguments(argv), stop)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 78


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
