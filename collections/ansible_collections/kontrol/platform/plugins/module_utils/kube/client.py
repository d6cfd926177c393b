"""Talk to one API server: a pool of keep-alive connections, bounded retries, errors that say what to do.

A request is retried when that is safe: the server asked for it (Retry-After), or the connection broke and the request
has the same effect twice (GET, PUT, DELETE and server-side apply; never POST).
"""

from __future__ import annotations

import json
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.kubeconfig import Connection
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wire import Head, Wire, WireError

MANAGER = "kontrol"
WORKERS = 12
TIMEOUT = 65.0  # seconds without a byte; the API server itself gives up after 60
PAGE = 500
_ATTEMPTS = 5
_CONNECT_ATTEMPTS = 3
_PATIENCE = 30.0  # longest single wait that a Retry-After may ask for
_RETRIED_STATUS = {429, 500, 502, 503, 504}
_JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML; the server's fast path
MERGE_PATCH = "application/merge-patch+json"

T = TypeVar("T")
R = TypeVar("R")
Object = dict[str, Any]
Objects = list[Object]


class ApiError(KontrolError):
    """The API server refused a request.

    Attributes:
        status: HTTP status.
        reason: Reason word of the Status object, such as NotFound, Conflict, Invalid.
        message: The server's own text.
        details: Details of the Status object: kind, name, causes.
    """

    def __init__(self, request: str, status: int, body: bytes, source: str) -> None:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        if not isinstance(answer, dict) or answer.get("kind") != "Status":
            answer = {"message": body[:300].decode(errors="replace").strip()}
        self.status = status
        self.reason = str(answer.get("reason") or "")
        self.message = str(answer.get("message") or f"HTTP status {status}")
        self.details: Object = answer.get("details") or {}
        text = f"{request} failed with {status} {self.reason}".rstrip() + f": {self.message}"
        if status == 401:
            text = (
                f"{request} failed: the API server does not accept the credentials of '{source}' (401); make new ones"
            )
        super().__init__(text)

    @property
    def causes(self) -> list[Object]:
        """The single causes: {reason, message, field}."""
        return list(self.details.get("causes") or [])

    @property
    def is_missing_object(self) -> bool:
        """Whether a named object is not there (and not: its API is not there)."""
        return self.status == 404 and bool(self.details.get("name"))


class Reply(NamedTuple):
    """An answer: status, headers and the whole body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def decoded(self) -> Object:
        """Return the body as an object."""
        return dict(json.loads(self.body.decode())) if self.body else {}


class Watch:
    """A running watch: iterate over it for events; `stop` ends it from another thread."""

    def __init__(self, wire: Wire, head: Head) -> None:
        self._wire, self._head = wire, head

    def stop(self) -> None:
        """End the iteration."""
        self._wire.interrupt()

    def __iter__(self) -> Iterator[Object]:
        """Yield {type, object} until the server or `stop` ends the stream."""
        rest = b""
        try:
            for piece in self._wire.pieces(self._head):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
        except (OSError, WireError):
            return  # a cut stream is resumed by the caller like one that ended


class Client:
    """A client with a connection pool; safe for threads, and made anew for each task.

    Args:
        connection: From `kubeconfig.load`.
        workers: How many requests run at once, and so how many connections are held.
        sleep: Replaced in tests.
    """

    def __init__(
        self, connection: Connection, workers: int = WORKERS, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.connection = connection
        self.workers = workers
        self._idle: deque[Wire] = deque()
        self._sleep = sleep

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, params: dict[str, str] | None = None) -> Object:
        """Return one object or document.

        Raises:
            ApiError: Any answer that is not a success, 404 too.
        """
        return self.request("GET", path, params=params)

    def find(self, path: str) -> Object | None:
        """Return one object, None when it is not there."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def discard(self, path: str, options: Object | None = None) -> Object | None:
        """Delete one object by its DeleteOptions; return the answer, None when the object was not there.

        The API server answers with the object while something still holds it, and with a Status when it is gone.
        """
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **(options or {})}
        try:
            return self.request("DELETE", path, body=body)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, params: dict[str, str] | None = None) -> Objects:
        """Return all objects of a collection, page by page."""
        return self.listing(path, params)[0]

    def listing(self, path: str, params: dict[str, str] | None = None) -> tuple[Objects, str]:
        """Return all objects of a collection and its resourceVersion.

        The items of a list carry no apiVersion and kind; they are filled in here.
        """
        items: Objects = []
        asked = {"limit": str(PAGE), **(params or {})}
        while True:
            page = self.get(path, asked)
            kind = str(page.get("kind", "")).removesuffix("List")
            items += [{"apiVersion": page.get("apiVersion"), "kind": kind, **item} for item in page.get("items") or []]
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                return items, str(meta.get("resourceVersion", ""))
            asked["continue"] = meta["continue"]

    def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = _JSON,
    ) -> Object:
        """Send a request and return the object that answers it."""
        return self.call(method, path, params=params, body=body, content_type=content_type).decoded()

    def apply(
        self, path: str, body: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER
    ) -> tuple[bool, Object]:
        """Server-side apply one object.

        Args:
            path: Path of the object.
            body: The object: the fields that we own.
            dry_run: Ask for the answer, write nothing.
            force: Take over the fields that others own.
            manager: Name of the field manager.

        Returns:
            Whether the object was (or would be) created, and the object as it is then.
        """
        params = {"fieldManager": manager, "force": "true" if force else "false", "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        reply = self.call("PATCH", path, params=params, body=body, content_type=APPLY_PATCH)
        return reply.status == 201, reply.decoded()

    def text(self, path: str, params: dict[str, str] | None = None) -> str:
        """Return an answer that is not JSON: a log."""
        return self.call("GET", path, params=params).body.decode(errors="replace")

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Sequence[R]:
        """Do a piece of work for many items at once; results keep the order of the items."""
        todo: Sequence[T] = list(items)
        if len(todo) < 2:
            return [work(item) for item in todo]
        with ThreadPoolExecutor(min(self.workers, len(todo)), thread_name_prefix="kube") as pool:
            return list(pool.map(work, todo))

    @contextmanager
    def watch(self, path: str, params: dict[str, str], timeout: float) -> Iterator[Watch]:
        """Open a watch on a connection of its own.

        Args:
            path: Path of the collection.
            params: resourceVersion and selectors.
            timeout: Seconds after which the server ends the stream.

        Raises:
            ApiError: The watch is refused; status 410 when the resourceVersion is too old.
        """
        asked = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(max(1, int(timeout))), **params}
        with self.stream(path, asked, timeout) as events:
            yield events

    @contextmanager
    def stream(self, path: str, params: dict[str, str], timeout: float) -> Iterator[Watch]:
        """Open an answer that goes on, a JSON document a line, on a connection of its own.

        Args:
            path: Path of what is followed.
            params: Parameters.
            timeout: Seconds without a line after which it is given up, and ten more.

        Raises:
            ApiError: It is refused.
        """
        wire = self._connect()
        try:
            wire.settimeout(timeout + 10)
            head = self._send(wire, self._encode("GET", self._target(path, params), None, _JSON))
            if head.status != 200:
                raise ApiError(f"Watch of {path}", head.status, wire.body(head), self.connection.source)
            yield Watch(wire, head)
        except (OSError, WireError) as error:
            raise self._unreachable(error) from error
        finally:
            wire.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = _JSON,
    ) -> Reply:
        """Send a request, retried within bounds, and return the raw answer.

        Raises:
            ApiError: The server answered with a status of 300 or above.
            KontrolError: No answer: refused, not verified, broken.
        """
        target = self._target(path, params or {})
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        renewed = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                reply = self._exchange(method, target, payload, content_type)
            except (OSError, WireError) as error:
                self._pause_or_raise(error, method, attempt)
                continue
            if reply.status < 300:
                return reply
            if reply.status == 401 and not renewed and self.connection.token.refused():
                renewed = True
                continue
            if not self._asked_to_wait(reply, attempt):
                break
        raise ApiError(f"{method} {path}", reply.status, reply.body, self.connection.source)

    def _asked_to_wait(self, reply: Reply, attempt: int) -> bool:
        """Sleep as long as Retry-After asks for; False when the answer is final."""
        wait = reply.headers.get("retry-after", "")
        if reply.status not in _RETRIED_STATUS or not wait.isdigit() or attempt == _ATTEMPTS:
            return False
        self._sleep(min(float(wait), _PATIENCE))
        return True

    def _pause_or_raise(self, error: Exception, method: str, attempt: int) -> None:
        """Sleep before a new attempt after a broken connection, or raise the error for a person."""
        refused = isinstance(error, ConnectionRefusedError)
        final = isinstance(error, (ssl.SSLError, TimeoutError)) or (method == "POST" and not refused)
        if final or attempt >= (_CONNECT_ATTEMPTS if refused else _ATTEMPTS):
            raise self._unreachable(error) from error
        self._sleep(0.2 * 2 ** (attempt - 1))

    def _unreachable(self, error: Exception) -> KontrolError:
        server, source = self.connection.server, self.connection.source
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not the one that '{source}' expects ({error.verify_message})"
            return KontrolError(f"API server '{server}' is not trusted: {why}; is this another cluster on that address")
        if isinstance(error, ssl.SSLError):
            return KontrolError(f"API server '{server}' cannot be talked to over TLS: {error.reason or error}")
        if isinstance(error, ConnectionRefusedError):
            return KontrolError(f"API server '{server}' refuses connections; is the cluster of '{source}' running")
        if isinstance(error, TimeoutError):
            return KontrolError(f"API server '{server}' did not answer within {TIMEOUT:.0f} s")
        return KontrolError(f"API server '{server}' cannot be reached: {error}")

    def _exchange(self, method: str, target: str, payload: bytes | None, content_type: str) -> Reply:
        """Send one request on an idle connection, on a new one where that had gone stale."""
        request = self._encode(method, target, payload, content_type)
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                break
            try:
                return self._finish(wire, self._send(wire, request))
            except (ConnectionError, ssl.SSLError, WireError) as error:
                wire.close()
                if method == "POST" or (isinstance(error, WireError) and not error.untouched):
                    raise
        wire = self._connect()
        try:
            return self._finish(wire, self._send(wire, request))
        except BaseException:
            wire.close()
            raise

    def _connect(self) -> Wire:
        link = self.connection
        return Wire(link.host, link.port, link.context, TIMEOUT)

    def _send(self, wire: Wire, request: bytes) -> Head:
        wire.send(request)
        return wire.head()

    def _finish(self, wire: Wire, head: Head) -> Reply:
        body = wire.body(head)
        if head.keeps_alive and "chunked" in head.headers.get("transfer-encoding", "chunked"):
            self._idle.append(wire)
        else:
            wire.close()
        return Reply(head.status, head.headers, body)

    @staticmethod
    def _target(path: str, params: dict[str, str]) -> str:
        target = quote(path, safe="/:-._~")
        return f"{target}?{urlencode(params)}" if params else target

    def _encode(self, method: str, target: str, payload: bytes | None, content_type: str) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.connection.host}:{self.connection.port}"]
        lines += ["User-Agent: kontrol", f"Accept: {_JSON}"]
        if token := self.connection.token.get():
            lines.append(f"Authorization: Bearer {token}")
        if payload is None:
            return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(payload)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + payload
