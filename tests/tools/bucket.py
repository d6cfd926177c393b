"""A small S3 server that remembers, for tests; what it holds can be looked at and damaged."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 2


@dataclass
class Bucket:
    """Objects by path `/<bucket>/<key>`; the next `broken` requests are answered with 500; a `full` one takes nothing.

    It keeps no versions: `pages` holds the answers to who lists them, `asked` the queries that came.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    broken: int = 0
    full: bool = False
    pages: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    endpoint: str = ""

    def listing(self, path: str, query: dict[str, str]) -> bytes:
        """Return the answer to a request for the keys of a bucket that begin with a prefix, two at a time."""
        keys = {unquote(key).removeprefix(f"{path}/"): len(body) for key, body in sorted(self.objects.items())}
        found = [(key, size) for key, size in keys.items() if key.startswith(query.get("prefix", ""))]
        start = int(query.get("continuation-token", "0"))
        more = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if len(found) > start + PAGE else ""
        lines = [
            f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size></Contents>"
            for key, size in found[start : start + PAGE]
        ]
        return ("".join(lines) + more).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers as far as the tools ask."""

    bucket: Bucket

    def say(self, status: HTTPStatus, body: bytes = b"") -> None:
        """Answer; instead with 500 while the bucket is broken."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def broken(self) -> bool:
        """Answer with 500 and return True while the bucket is broken."""
        if self.bucket.broken:
            self.bucket.broken -= 1
            self.say(HTTPStatus.INTERNAL_SERVER_ERROR)
            return True
        return False

    def do_PUT(self) -> None:
        """Make a bucket, or store an object."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.broken():
            return
        if self.bucket.full:
            self.say(HTTPStatus.INSUFFICIENT_STORAGE)
            return
        if self.headers.get("If-None-Match") and self.path in self.bucket.objects:
            self.say(HTTPStatus.PRECONDITION_FAILED)
            return
        same = hashlib.sha256(body).hexdigest() == self.headers["x-amz-content-sha256"]
        if same and self.path.count("/") > 1:
            self.bucket.objects[self.path] = body
        self.say(HTTPStatus.OK if same else HTTPStatus.BAD_REQUEST)

    def do_DELETE(self) -> None:
        """Delete an object."""
        if not self.broken():
            self.bucket.objects.pop(self.path, None)
            self.say(HTTPStatus.NO_CONTENT)

    def do_GET(self) -> None:
        """List a bucket, or read an object."""
        if self.broken():
            return
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if "versions=" in address.query:
            self.bucket.asked.append(address.query)
            page = "".join(self.bucket.pages[len(self.bucket.asked) - 1 :][:1])
            self.say(HTTPStatus.OK, page.encode())
        elif "list-type" in query:
            self.say(HTTPStatus.OK, self.bucket.listing(address.path, query))
        elif self.path in self.bucket.objects:
            self.say(HTTPStatus.OK, self.bucket.objects[self.path])
        else:
            self.say(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


@contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    """Serve a bucket on loopback."""
    handler = type("OneBucket", (Handler,), {"bucket": bucket})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        bucket.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield bucket
        server.shutdown()
