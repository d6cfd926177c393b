"""A small API server for the tools: one StatefulSet, whose only pod comes and goes as fast as it is asked for."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from images.tools.kontrol_tools.stateful_set import StatefulSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

PATH = "/apis/apps/v1/namespaces/neo4j/statefulsets/neo4j"


@dataclass
class Api:
    """What is asked for and ready; the next `broken` requests get 503; a `stuck` pod neither comes nor goes."""

    replicas: int = 1
    pods: int = 1
    image: str = "neo4j:1"
    broken: int = 0
    stuck: bool = False
    scaled: list[int] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, path: str, body: bytes) -> dict[str, object]:
        """Answer a request to the StatefulSet or its scale."""
        if body:
            self.replicas = int(json.loads(body)["spec"]["replicas"])
            self.scaled.append(self.replicas)
            self.pods = self.pods if self.stuck else self.replicas
        if path.endswith("/scale"):
            return {"spec": {"replicas": self.replicas} if self.replicas else {}}  # zero is left out by a real one
        template = {"spec": {"containers": [{"name": "probe", "image": "t"}, {"name": "neo4j", "image": self.image}]}}
        return {"spec": {"template": template}, "status": {"replicas": self.pods, "readyReplicas": self.pods}}


class Handler(BaseHTTPRequestHandler):
    """Answers as far as the tools ask."""

    api: Api

    def do_GET(self) -> None:
        """Tell of the StatefulSet."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.api.tokens.add(self.headers["Authorization"])
        path = self.path.partition("?")[0]
        status = HTTPStatus.OK if path.startswith(PATH) else HTTPStatus.FORBIDDEN
        if self.api.broken:
            self.api.broken -= 1
            status = HTTPStatus.SERVICE_UNAVAILABLE
        text = json.dumps(self.api.answer(path, body) if status == HTTPStatus.OK else {"message": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_PATCH(self) -> None:
        """Take a new scale."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


@contextmanager
def serving(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Serve it on loopback, without the encryption that a cluster's has."""
    handler = type("OneApi", (Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        port = server.server_port
        monkeypatch.setattr(StatefulSet, "_connection", lambda _: http.client.HTTPConnection("127.0.0.1", port))
        yield api
        server.shutdown()
