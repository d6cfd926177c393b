"""What a probe tells apart: an answer, the mesh saying no, a reset, a close, silence, nothing there."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from images.tools.kontrol_tools import probe
from images.tools.kontrol_tools.errors import ArgumentError

Handler = Callable[[socket.socket], None]


def answering(status: str, body: str) -> Handler:
    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body.encode())

    return handle


def resetting(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(connection: socket.socket) -> None:
    connection.recv(4096)


def talking(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"SSH-2.0\r\n")


@contextmanager
def server(handle: Handler) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    handle(connection)

        threading.Thread(target=loop, daemon=True).start()
        yield listener.getsockname()[1]


def ask(
    port: int, protocol: str = "http", want: str = "", settle: float = 0.0, timeout: float = 2.0
) -> dict[str, object]:
    raw = {"name": "x", "host": "127.0.0.1", "port": port, "protocol": protocol, "path": "/ping", "want": want}
    step = {"endpoints": [raw], "timeout": timeout, "settle": settle}
    return dict(probe.run(step)["endpoints"][0])


@pytest.mark.parametrize(
    ("handle", "protocol", "outcome", "status"),
    [
        (answering("200 OK", "Ok."), "http", "open", 200),
        (answering("403 Forbidden", "RBAC: access denied"), "http", "denied", 403),
        (answering("403 Forbidden", "Code: 516. DB::Exception"), "http", "open", 403),
        (
            answering("503 Service Unavailable", "upstream connect error or disconnect/reset before headers"),
            "http",
            "reset",
            503,
        ),
        (answering("503 Service Unavailable", "no healthy upstream"), "http", "unreachable", 503),
        (answering("503 Service Unavailable", "busy"), "http", "open", 503),
        (resetting, "http", "reset", None),
        (closing, "http", "closed", None),
        (talking, "http", "closed", None),
        (resetting, "tcp", "reset", None),
        (closing, "tcp", "closed", None),
        (talking, "tcp", "open", None),
    ],
)
def test_outcomes(handle: Handler, protocol: str, outcome: str, status: int | None) -> None:
    with server(handle) as port:
        answer = ask(port, protocol)
    assert (answer["outcome"], answer["status"]) == (outcome, status)


def test_a_silent_port_is_open_for_tcp_and_a_timeout_for_http() -> None:
    stop = threading.Event()

    def silent(connection: socket.socket) -> None:
        stop.wait(5)

    with server(silent) as port:
        assert ask(port, "tcp", timeout=0.3)["outcome"] == "open"
    with server(silent) as port:
        assert ask(port, timeout=0.3)["outcome"] == "timeout"
    stop.set()


def test_nothing_there_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask(port)["outcome"] == "refused"


def test_an_unknown_name_is_unresolved() -> None:
    raw = {"name": "x", "host": "nobody.invalid", "port": 80, "protocol": "http"}
    assert probe.run({"endpoints": [raw]})["endpoints"][0]["outcome"] == "unresolved"


def test_it_repeats_until_the_outcome_is_as_wanted() -> None:
    calls = iter([resetting, resetting, answering("200 OK", "Ok.")])

    def handle(connection: socket.socket) -> None:
        next(calls)(connection)

    with server(handle) as port:
        answer = ask(port, want="open", settle=10)
    assert (answer["outcome"], answer["tries"]) == ("open", 3)


def test_it_stops_repeating_when_the_time_is_over() -> None:
    with server(answering("200 OK", "Ok.")) as port:
        answer = ask(port, want="refused", settle=0.3)
    assert answer["outcome"] == "open"
    assert answer["tries"] == 2


def test_no_endpoints_is_an_empty_answer() -> None:
    assert probe.run({"endpoints": []}) == {"endpoints": []}


@pytest.mark.parametrize("change", [{"protocol": "udp"}, {"want": "maybe"}, {"port": "http"}, {"name": ""}])
def test_a_wrong_endpoint_is_refused(change: dict[str, object]) -> None:
    raw = {"name": "x", "host": "h", "port": 1, "protocol": "tcp", **change}
    with pytest.raises(ArgumentError):
        probe.endpoint(raw)
