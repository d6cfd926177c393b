"""HTTP/1.1 on one keep-alive connection: what the engine needs of it and no more.

The standard library's client sends head and body apart and parses headers as mail; with a thousand small requests that
is most of the time. Here a request is one write, and an answer is read from a buffer of our own, which also survives a
timeout in the middle of a line (a watch needs that).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 262_144
_HEAD_LIMIT = 262_144


class WireError(Exception):
    """The other side broke the protocol or closed the connection.

    Attributes:
        untouched: True when not one byte of an answer had arrived, as with a keep-alive connection that idled out.
    """

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer; header names in lower case."""

    status: int
    headers: dict[str, str]

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may be used again."""
        return self.headers.get("connection", "").lower() != "close"


class Wire:
    """One TCP or TLS connection.

    Args:
        host: Name or address of the server.
        port: Its port.
        context: TLS settings, or None for plain HTTP.
        timeout: Seconds that connecting, or one wait for bytes, may take.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, timeout: float) -> None:
        sock = socket.create_connection((host, port), timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = context.wrap_socket(sock, server_hostname=host) if context else sock
        except BaseException:
            sock.close()
            raise
        self._buffer = b""

    def settimeout(self, seconds: float) -> None:
        """Set how long one wait for bytes may take, in seconds."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def interrupt(self) -> None:
        """End a read that another thread is waiting in."""
        try:
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            return  # closed already: nobody waits

    def send(self, request: bytes) -> None:
        """Send a whole request in one write."""
        self._sock.sendall(request)

    def head(self) -> Head:
        """Read status line and headers; interim answers (1xx) are passed over."""
        status = 100
        while 100 <= status < 200:
            block = self._until(b"\r\n\r\n")
            first, *lines = block.decode("latin-1").split("\r\n")
            try:
                status = int(first.split(" ", 2)[1])
            except (IndexError, ValueError) as error:
                raise WireError(f"Not an HTTP answer: {first[:80]!r}") from error
        pairs = (line.partition(":") for line in lines)
        return Head(status, {name.strip().lower(): value.strip() for name, _, value in pairs})

    def body(self, head: Head) -> bytes:
        """Read the whole body that belongs to a head."""
        return b"".join(self.pieces(head))

    def pieces(self, head: Head) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        if head.status in {204, 304}:
            return
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in head.headers:
            yield self._exactly(int(head.headers["content-length"]))
        else:
            yield from self._rest()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = int(self._until(b"\r\n").partition(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):
                    pass  # trailers
                return
            yield self._exactly(size)
            self._exactly(2)

    def _rest(self) -> Iterator[bytes]:
        """Yield until the other side closes: an answer without a length."""
        data, self._buffer = self._buffer, b""
        while data:
            yield data
            data = self._sock.recv(_CHUNK)

    def _until(self, mark: bytes) -> bytes:
        """Return the bytes before a mark and drop the mark."""
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise WireError("An answer's head does not end")
            self._buffer += self._receive(untouched=not self._buffer)
        data, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return data

    def _exactly(self, size: int) -> bytes:
        if len(self._buffer) < size:
            parts, missing = [self._buffer], size - len(self._buffer)
            while missing > 0:
                parts.append(self._receive(untouched=False))
                missing -= len(parts[-1])
            self._buffer = b"".join(parts)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self, *, untouched: bool) -> bytes:
        data = self._sock.recv(_CHUNK)
        if not data:
            raise WireError("The connection was closed before the answer was complete", untouched=untouched)
        return data
