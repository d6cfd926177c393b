"""A target for probes: answers every GET with `ok` until it is told to end."""

from __future__ import annotations

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BODY = b"ok\n"


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer ok."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing: the kubelet asks every few seconds."""


def target(port: int) -> ThreadingHTTPServer:
    """Return a server that answers ok; raises OSError when the port is taken."""
    return ThreadingHTTPServer(("", port), _Page)


def serve(served: ThreadingHTTPServer, stop: threading.Event) -> None:
    """Serve until `stop` is set."""
    with served as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stop.wait()
        server.shutdown()


def until_signal(served: ThreadingHTTPServer) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(served, stop)
    return 0
