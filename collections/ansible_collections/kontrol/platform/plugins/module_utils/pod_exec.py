"""Run a program in a container and read what it prints: the exec API over a WebSocket, standard output only.

Nothing is sent to the program, so there is no standard input whose end could get lost (kubernetes.core#506).
The exit status comes on its own channel and is always judged. Protocol: v4.channel.k8s.io over RFC 6455.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.kube.kubeconfig import Connection

PROTOCOL: Final = "v4.channel.k8s.io"
STDOUT, STDERR, STATUS = 1, 2, 3
_CLOSE, _PING = 0x8, 0x9
_LIMIT: Final = 4 * 1024 * 1024


class ExecError(KontrolError):
    """A program in a container could not be run or ended badly."""


class _Stream:
    """The connection after the upgrade: reads frames from a buffer."""

    def __init__(self, sock: socket.socket, rest: bytes) -> None:
        self._sock, self._buffer = sock, rest

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._sock.recv(65536)
            if not data:
                raise ExecError("The connection ended before the status of the program came")
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame: opcode and payload (a server's frames are not masked)."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        if size > _LIMIT:
            raise ExecError(f"A message of {size} bytes is longer than the {_LIMIT} that are accepted")
        return first & 0x0F, self._exactly(size)


def _request(connection: Connection, target: str) -> bytes:
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {connection.host}:{connection.port}",
        "User-Agent: kontrol",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Sec-WebSocket-Protocol: {PROTOCOL}",
    ]
    if token := connection.token.get():
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _upgrade(sock: socket.socket, request: bytes, pod: str) -> bytes:
    """Send the request, check the answer and return the bytes that came after its head."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece or len(data) > _LIMIT:
            raise ExecError(f"Pod '{pod}': the API server closed the connection of exec")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].decode("latin-1")
    if " 101 " not in f"{status} ":
        raise ExecError(f"Pod '{pod}': exec is refused: {status}: {rest[:300].decode(errors='replace')}")
    return rest


def _judge(pod: str, argv: list[str], status: bytes, errors: bytes) -> None:
    """Raise unless the status says that the program succeeded."""
    try:
        verdict = json.loads(status)
    except ValueError:
        verdict = {"message": "no status came"}
    if verdict.get("status") != "Success":
        said = errors.decode(errors="replace").strip()[:200]
        raise ExecError(f"Pod '{pod}': '{argv[0]}' failed: {verdict.get('message', 'no reason')} {said}".rstrip())


def _read(stream: _Stream) -> dict[int, bytes]:
    """Read all channels until the status is there or the server says that it is done."""
    channels = {STDOUT: b"", STDERR: b"", STATUS: b""}
    while not channels[STATUS]:
        opcode, payload = stream.frame()
        if opcode == _CLOSE:
            break
        if opcode != _PING and payload:
            channels[payload[0]] = channels.get(payload[0], b"") + payload[1:]
            if len(channels[STDOUT]) > _LIMIT:
                raise ExecError(f"The program printed more than {_LIMIT} bytes")
    return channels


def run(
    connection: Connection, namespace: str, pod: str, container: str, argv: list[str], timeout: float = 15.0
) -> str:
    """Run a program and return its standard output.

    Args:
        connection: From `kubeconfig.load`.
        namespace: Of the pod.
        pod: Its name.
        container: Which of its containers.
        argv: Program and arguments; no shell.
        timeout: Seconds that connecting, or one wait for bytes, may take.

    Raises:
        ExecError: It cannot be run, or its exit code is not 0.
    """
    query = [("command", part) for part in argv] + [("container", container), ("stdout", "true"), ("stderr", "true")]
    target = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"
    name = f"{namespace}/{pod}"
    try:
        with socket.create_connection((connection.host, connection.port), timeout) as plain:
            context = connection.context
            sock = context.wrap_socket(plain, server_hostname=connection.host) if context else plain
            rest = _upgrade(sock, _request(connection, target), name)
            channels = _read(_Stream(sock, rest))
    except (OSError, ssl.SSLError) as error:
        raise ExecError(f"Pod '{name}': exec cannot be reached: {error}") from error
    _judge(name, argv, channels[STATUS], channels[STDERR])
    return channels[STDOUT].decode(errors="replace")
