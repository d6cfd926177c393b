"""A receiver of alerts for tests: takes what Alertmanager sends, keeps the last ones in memory, tells them again."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEPT = 1000
LARGEST_BYTES = 1_000_000


class Book:
    """What was received, newest last: {status, labels, startsAt, received (seconds since 1970)}."""

    def __init__(self, kept: int = KEPT) -> None:
        self._alerts: deque[dict[str, Any]] = deque(maxlen=kept)
        self._lock = threading.Lock()

    def add(self, notification: dict[str, Any]) -> None:
        """Keep the alerts of one notification of Alertmanager (its webhook format, version 4)."""
        now = time.time()
        with self._lock:
            for alert in notification.get("alerts") or []:
                kept = {key: alert.get(key) for key in ("status", "labels", "startsAt", "endsAt")}
                self._alerts.append({**kept, "received": now})

    def all(self) -> list[dict[str, Any]]:
        """Return all that is kept."""
        with self._lock:
            return list(self._alerts)


class Page(BaseHTTPRequestHandler):
    """POST takes a notification, GET /alerts tells all, GET of anything else is `ok`."""

    protocol_version = "HTTP/1.1"
    book = Book()

    def do_POST(self) -> None:
        """Take a notification."""
        size = int(self.headers.get("Content-Length") or 0)
        if size > LARGEST_BYTES:
            self._answer(413, b"too large\n", "text/plain")
            return
        try:
            notification = json.loads(self.rfile.read(size))
        except ValueError:
            self._answer(400, b"not JSON\n", "text/plain")
            return
        self.book.add(notification if isinstance(notification, dict) else {})
        self._answer(200, b"ok\n", "text/plain")

    def do_GET(self) -> None:
        """Tell what was received."""
        if self.path == "/alerts":
            self._answer(200, json.dumps(self.book.all()).encode(), "application/json")
        else:
            self._answer(200, b"ok\n", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing: the kubelet asks every few seconds."""


def server(port: int) -> ThreadingHTTPServer:
    """Return a server on all addresses."""
    return ThreadingHTTPServer(("", port), Page)
