"""Tries a database every few seconds as a client would, and tells Prometheus how that went.

Runs beside the database in its pod and listens on the loopback address alone: a collector there passes the numbers on.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from . import arguments, backup_watch
from .clickhouse_probe import ClickHouseProber
from .errors import ArgumentError, ToolError
from .neo4j_probe import Neo4jProber
from .serve import until_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOST: Final = "127.0.0.1"
PORT: Final = 9464
INTERVAL_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 120.0
"""A round that lasts longer than the timeouts of all its tries means that the prober itself hangs."""
BEAT_SECONDS: Final = 60.0
LARGEST_LOG_BYTES: Final = 1_000_000
OPERATIONS: Final = ("insert", "query")
OUTCOMES: Final = ("ok", "failed")
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram in seconds; the objectives of the databases are among them."""


class Prober(Protocol):
    """One database, tried in a place of its own. Each method raises ToolError when it cannot be done."""

    database: str

    def prepare(self) -> None:
        """Make the place where the canary lives; called again after each failure."""

    def insert(self) -> None:
        """Write a new canary."""

    def query(self) -> None:
        """Read the last canary back; one that is missing is an error."""

    def gauges(self) -> Mapping[str, float]:
        """Return more numbers by metric name, such as kontrol_store_bytes."""


class Numbers:
    """What was seen so far. All outcomes are there from the start, so that a first failure is an increase.

    Args:
        database: Value of the label `database`.
        more: Gives numbers that somebody else keeps, by metric name.
    """

    def __init__(self, database: str, more: Callable[[], Mapping[str, float]] = dict) -> None:
        self._database, self._more = database, more
        self._lock = threading.Lock()
        self._success: dict[str, int] = {}
        self._total = {(operation, outcome): 0 for operation in OPERATIONS for outcome in OUTCOMES}
        self._buckets = {operation: [0] * len(BUCKETS) for operation in OPERATIONS}
        self._seconds = dict.fromkeys(OPERATIONS, 0.0)
        self._gauges: dict[str, float] = {}

    def observe(self, operation: str, seconds: float, *, ok: bool) -> None:
        """Count one try; only a try that succeeded has a duration worth counting."""
        with self._lock:
            self._success[operation] = int(ok)
            self._total[operation, OUTCOMES[not ok]] += 1
            if ok:
                self._seconds[operation] += seconds
                counts = self._buckets[operation]
                self._buckets[operation] = [
                    count + (seconds <= bound) for count, bound in zip(counts, BUCKETS, strict=True)
                ]

    def gauge(self, values: Mapping[str, float]) -> None:
        """Replace the other numbers."""
        with self._lock:
            self._gauges = dict(values)

    def text(self) -> str:
        """Return the page in Prometheus' text format."""
        with self._lock:
            lines = [*self._outcomes(), *self._histogram()]
            for name, value in sorted({**self._gauges, **self._more()}.items()):
                lines += [f"# TYPE {name} gauge", f'{name}{{database="{self._database}"}} {_number(value)}']
        return "\n".join(lines) + "\n"

    def _outcomes(self) -> list[str]:
        lines = ["# HELP kontrol_probe_success Whether the last try succeeded.", "# TYPE kontrol_probe_success gauge"]
        lines += [f"kontrol_probe_success{{{self._labels(name)}}} {ok}" for name, ok in self._success.items()]
        lines += ["# HELP kontrol_probe_total Tries by outcome.", "# TYPE kontrol_probe_total counter"]
        for (operation, outcome), count in self._total.items():
            lines.append(f'kontrol_probe_total{{{self._labels(operation)},outcome="{outcome}"}} {count}')
        return lines

    def _histogram(self) -> list[str]:
        name = "kontrol_probe_duration_seconds"
        lines = [f"# HELP {name} How long the tries that succeeded took.", f"# TYPE {name} histogram"]
        for operation in OPERATIONS:
            labels, count = self._labels(operation), self._total[operation, OUTCOMES[0]]
            for bound, below in zip(BUCKETS, self._buckets[operation], strict=True):
                lines.append(f'{name}_bucket{{{labels},le="{bound:g}"}} {below}')
            lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {count}')
            lines += [f"{name}_sum{{{labels}}} {self._seconds[operation]!r}", f"{name}_count{{{labels}}} {count}"]
        return lines

    def _labels(self, operation: str) -> str:
        return f'database="{self._database}",operation="{operation}"'


def _number(value: float) -> str:
    """Return a number as Prometheus's text format writes it."""
    return "NaN" if math.isnan(value) else repr(value)


class Beat:
    """Writes a line each minute to a log file, so that a silent way of logs is told from a silent database.

    Args:
        path: The file, or None for none; it begins anew when it is large.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._next = 0.0

    def tell(self, text: str) -> None:
        """Write a line when it is time."""
        now = time.monotonic()
        if self._path is None or now < self._next:
            return
        self._next = now + BEAT_SECONDS
        try:
            large = self._path.exists() and self._path.stat().st_size > LARGEST_LOG_BYTES
            with self._path.open("w" if large else "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
        except OSError as error:
            sys.stderr.write(f"Cannot write the log '{self._path}': {error.strerror}\n")


class Loop:
    """Tries a database again and again.

    Args:
        prober: The database.
        interval: Seconds from the start of one round to that of the next.
        log: File of the beat, see Beat.
        more: Gives more numbers, see Numbers.
    """

    def __init__(
        self,
        prober: Prober,
        interval: float = INTERVAL_SECONDS,
        log: Path | None = None,
        more: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.numbers = Numbers(prober.database, more)
        self._prober, self._interval = prober, interval
        self._prepared = False
        self._told: dict[str, str] = {}
        self._last = time.monotonic()
        self._beat = Beat(log)

    @property
    def stuck(self) -> bool:
        """Whether the last round did not end in time."""
        return time.monotonic() - self._last > STUCK_SECONDS

    def run(self, stop: threading.Event) -> None:
        """Try until `stop` is set."""
        while not stop.is_set():
            started = time.monotonic()
            self.round()
            stop.wait(max(0.0, started + self._interval - time.monotonic()))

    def round(self) -> None:
        """Try each operation once."""
        problems = [] if self._prepared else self._try(self._prober.prepare)
        self._prepared = not problems
        for operation, work in zip(OPERATIONS, (self._prober.insert, self._prober.query), strict=True):
            started = time.monotonic()
            wrong = problems or self._try(work)
            self.numbers.observe(operation, time.monotonic() - started, ok=not wrong)
            self._prepared = self._prepared and not wrong
            self._tell(operation, wrong)
        if self._prepared:
            self._try(lambda: self.numbers.gauge(self._prober.gauges()))
        self._beat.tell(
            ", ".join(f"{operation} {'failed' if self._told[operation] else 'ok'}" for operation in OPERATIONS)
        )
        self._last = time.monotonic()

    def _try(self, work: Callable[[], None]) -> list[str]:
        try:
            work()
        except ToolError as error:
            return [str(error)]
        return []

    def _tell(self, operation: str, wrong: list[str]) -> None:
        """Write one line when a problem appears, changes or is over."""
        before, now = self._told.get(operation, ""), wrong[0] if wrong else ""
        if now != before:
            sys.stderr.write(f"{operation}: {now or 'works again'}\n")
        self._told[operation] = now


def answer(loop: Loop, path: str) -> tuple[int, str]:
    """Return status and body for a path: /metrics, or /healthz, which is 503 when the loop hangs."""
    if path == "/metrics":
        return 200, loop.numbers.text()
    if path == "/healthz":
        return (503, "stuck\n") if loop.stuck else (200, "ok\n")
    return 404, "not found\n"


def server(loop: Loop, port: int = PORT) -> ThreadingHTTPServer:
    """Return the server of /metrics and /healthz on the loopback address; raises OSError when the port is taken."""

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer."""
            status, body = answer(loop, self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            """Log nothing: this is asked every few seconds."""

    return ThreadingHTTPServer((HOST, port), Page)


PROBERS: Final[dict[str, Callable[[Mapping[str, Any]], Prober]]] = {
    "clickhouse": ClickHouseProber,
    "neo4j": Neo4jProber,
}


def serve_metrics(path: Path) -> int:
    """Try the database that the first step of an arguments file names until SIGTERM; return the exit code.

    The step: `database` (a name in PROBERS), what its prober needs, `interval` (seconds, 5), `listen` (a port, 9464),
    `log` (a file for a line each minute), `backups` (which ones to watch, see backup_watch). A loop that hangs ends the
    program: the kubelet starts it again.
    """
    step = arguments.load(path)[0]
    name = arguments.text(step, "database")
    if name not in PROBERS:
        raise ArgumentError(f"Unknown database '{name}'; known: {', '.join(PROBERS)}")
    log = Path(step["log"]) if step.get("log") else None
    more = backup_watch.start(step["backups"]) if step.get("backups") else dict
    loop = Loop(PROBERS[name](step), arguments.number(step, "interval", INTERVAL_SECONDS), log, more)
    served = server(loop, int(arguments.number(step, "listen", PORT)))
    threading.Thread(target=loop.run, args=(threading.Event(),), daemon=True).start()
    threading.Thread(target=_end_when_stuck, args=(loop,), daemon=True).start()
    return until_signal(served)


def _end_when_stuck(loop: Loop) -> None:
    while not loop.stuck:
        time.sleep(INTERVAL_SECONDS)
    sys.stderr.write(f"A round did not end within {STUCK_SECONDS:g} s\n")
    os._exit(1)
