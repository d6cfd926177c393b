"""Exec over a WebSocket, against a server of a few lines: output, status, refusal, broken connections."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import pod_exec
from ansible_collections.kontrol.platform.plugins.module_utils.kube.kubeconfig import Connection, Token
from ansible_collections.kontrol.platform.plugins.module_utils.pod_exec import ExecError

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
SUCCESS = json.dumps({"status": "Success"}).encode()


def frame(channel: int, payload: bytes, opcode: int = 2) -> bytes:
    data = bytes([channel]) + payload
    size = len(data)
    if size < 126:
        head = bytes([0x80 | opcode, size])
    elif size < 65536:
        head = bytes([0x80 | opcode, 126]) + struct.pack(">H", size)
    else:
        head = bytes([0x80 | opcode, 127]) + struct.pack(">Q", size)
    return head + data


@contextmanager
def server(*answer: bytes, asked: list[bytes] | None = None) -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(65536)
                if asked is not None:
                    asked.append(request)
                for piece in answer:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = listener.getsockname()
        yield Connection("http://x", host, port, None, Token("CANARY-token"), "kubeconfig")
        thread.join(5)


Run = Callable[..., str]


def run(connection: Connection) -> str:
    return pod_exec.run(connection, "shop", "db-0", "db", ["cat", "/a b"], timeout=2)


def test_standard_output_is_returned() -> None:
    asked: list[bytes] = []
    answer = [UPGRADE + frame(1, b"he"), frame(1, b"llo"), frame(2, b"warn"), frame(3, SUCCESS)]
    with server(*answer, asked=asked) as connection:
        assert run(connection) == "hello"
    head = asked[0].decode()
    assert "/api/v1/namespaces/shop/pods/db-0/exec?command=cat&command=%2Fa+b&container=db&stdout=true" in head
    assert "stdin" not in head
    assert "Sec-WebSocket-Protocol: v4.channel.k8s.io" in head


@pytest.mark.parametrize("size", [10, 300, 70000])
def test_frames_of_every_length_are_read(size: int) -> None:
    with server(UPGRADE, frame(1, b"x" * size), frame(3, SUCCESS)) as connection:
        assert len(run(connection)) == size


def test_pings_and_empty_frames_are_passed_over() -> None:
    with server(UPGRADE, frame(0, b"", 9), b"\x82\x00", frame(1, b"a"), frame(3, SUCCESS)) as connection:
        assert run(connection) == "a"


def test_a_bad_exit_code_is_an_error_with_what_it_said() -> None:
    failure = json.dumps({"status": "Failure", "message": "command terminated with exit code 3"}).encode()
    with (
        server(UPGRADE, frame(1, b"partial"), frame(2, b"no such file"), frame(3, failure)) as connection,
        pytest.raises(
            ExecError, match="Pod 'shop/db-0': 'cat' failed: command terminated with exit code 3 no such file"
        ),
    ):
        run(connection)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([UPGRADE, frame(1, b"a")], "ended before the status"),
        ([UPGRADE, frame(1, b"a"), b"\x88\x00"], "no status came"),
        ([b"HTTP/1.1 403 Forbidden\r\n\r\nnot allowed"], "exec is refused: HTTP/1.1 403 Forbidden: not allowed"),
        ([b""], "closed the connection of exec"),
        ([UPGRADE, bytes([0x82, 127]) + struct.pack(">Q", 1 << 40)], "longer than"),
    ],
)
def test_trouble_is_an_error(answer: list[bytes], text: str) -> None:
    with server(*answer) as connection, pytest.raises(ExecError, match=text) as error:
        run(connection)
    assert "CANARY" not in str(error.value)


def test_nobody_there_is_an_error() -> None:
    connection = Connection("http://x", "127.0.0.1", 1, None, Token(None), "kubeconfig")
    with pytest.raises(ExecError, match="exec cannot be reached"):
        run(connection)
