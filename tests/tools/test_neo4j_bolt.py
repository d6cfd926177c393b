"""What is read from Neo4j's protocol; a real server answers in tests/e2e/test_neo4j_dump.py."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from images.tools.kontrol_tools import neo4j_bolt, neo4j_proof
from images.tools.kontrol_tools.neo4j_database import Client, Neo4jError

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = bytes.fromhex("00000405")
SUCCESS = bytes.fromhex("b170a0")
VALUES = {
    "null": "c0",
    "true": "c3",
    "tiny": "2a",
    "negative": "f0",
    "byte": "c880",
    "short": "c904d2",
    "int": "ca00010000",
    "long": "cb7fffffffffffffff",
    "float": "c13ff0000000000000",
    "bytes": "cc03010203",
    "empty text": "80",
    "text": "8161",
    "long text": "d010" + "61" * 16,
    "longer text": "d10100" + "61" * 256,
    "list": "93010203",
    "long list": "d410" + "01" * 16,
    "nested": "9291019102",
    "map": "a1816101",
    "long map": "d802816101816202",
    "date": "b144c94b3b",
    "date and time": "b349ca6553f10000c93039",
    "point": "b358c91c23c13ff0000000000000c14000000000000000",
}


@pytest.mark.parametrize("name", VALUES)
def test_where_a_value_ends(name: str) -> None:
    value = bytes.fromhex(VALUES[name])
    assert neo4j_bolt.end_of(b"\x01" + value + b"\x02", 1) == 1 + len(value)


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("00", 0),
        ("7f", 127),
        ("f0", -16),
        ("ff", -1),
        ("c880", -128),
        ("c904d2", 1234),
        ("cb8000000000000000", -(2**63)),
    ],
)
def test_whole_numbers(sent: str, number: int) -> None:
    value = bytes.fromhex(sent)
    assert neo4j_bolt.number(value + b"\x01", 0) == (number, len(value))


def test_maps_and_lists_give_what_was_sent() -> None:
    long = bytes.fromhex(VALUES["longer text"])
    row = b"\x01" + b"\xd8\x02" + b"\x81b" + long + b"\x81a" + b"\x92\x01\x02"
    assert neo4j_bolt.pairs(row, 1) == [(b"\x81b", long), (b"\x81a", b"\x92\x01\x02")]
    assert neo4j_bolt.values(b"\x92" + long + b"\x07", 0) == [long, b"\x07"]
    assert neo4j_bolt.text(long) == "a" * 256


def chunks(message: bytes, size: int = 65_535) -> bytes:
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts) + b"\0\0"


@contextmanager
def server(*answers: bytes, version: bytes = VERSION) -> Iterator[Client]:
    """Answer every client with the same bytes, in pieces of seven; a query at a time."""

    def serve() -> None:
        for answer in answers:
            connection, _address = listener.accept()
            with connection:
                connection.recv(20)
                connection.sendall(version)
                for at in range(0, len(answer), 7):
                    connection.sendall(answer[at : at + 7])
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1024):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        yield Client("127.0.0.1", port, "neo4j", "CANARY-secret", driver=lambda address, login: None)
        thread.join(5)


def rows(*found: bytes, end: bytes = SUCCESS, size: int = 65_535) -> bytes:
    records = [b"\xb1\x71" + bytes((0x90 + 4,)) + row for row in found]
    return b"".join(chunks(one, size) for one in (SUCCESS, SUCCESS, SUCCESS, *records, end))


@pytest.mark.parametrize("size", [3, 65_535])
def test_rows_come_in_chunks_of_any_size(size: int) -> None:
    with server(rows(b"\x01\x02\x03\x04", b"\x05" * 70_000, size=size)) as client:
        assert list(neo4j_bolt.rows(client, "MATCH (n) RETURN n")) == [b"\x01\x02\x03\x04", b"\x05" * 70_000]


def failure(code: str, message: str) -> bytes:
    texts = [b"\xd0" + bytes((len(one),)) + one.encode() for one in ("code", code, "message", message)]
    return b"\xb1\x7f\xa2" + b"".join(texts)


def test_a_refusal_in_the_middle_is_an_error_and_no_end() -> None:
    refused = failure("Neo.TransientError.General.MemoryPoolOutOfMemoryError", "too much")
    with server(rows(b"\x01\x02\x03\x04", end=refused)) as client:
        found = neo4j_bolt.rows(client, "MATCH (n) RETURN n")
        assert next(found) == b"\x01\x02\x03\x04"
        with pytest.raises(Neo4jError, match="MemoryPoolOutOfMemoryError: too much") as caught:
            next(found)
    assert "secret" not in str(caught.value)


def test_a_connection_that_ends_early_is_an_error() -> None:
    with server(rows(b"\x01\x02\x03\x04", end=b"")[:-2]) as client:
        found = neo4j_bolt.rows(client, "MATCH (n) RETURN n")
        with pytest.raises(Neo4jError, match="does not answer: OSError it closed the connection"):
            list(found)


def test_another_version_of_the_protocol_is_refused() -> None:
    with (
        server(b"", version=bytes(4)) as client,
        pytest.raises(Neo4jError, match=r"does not speak version 5.4 of bolt but '00000000'"),
    ):
        list(neo4j_bolt.rows(client, "RETURN 1"))


def text(value: str) -> bytes:
    return bytes((0x80 + len(value),)) + value.encode()


def node(identity: int, labels: list[str], properties: dict[str, bytes]) -> bytes:
    packed = b"".join(text(key) + value for key, value in properties.items())
    names = b"".join(text(one) for one in labels)
    return bytes((identity, 0x90 + len(labels))) + names + bytes((0xA0 + len(properties),)) + packed


def link(start: int, end: int, kind: str = "T") -> bytes:
    return bytes((start, end)) + text(kind) + b"\xa0"


def proof(monkeypatch: pytest.MonkeyPatch, nodes: list[bytes], links: list[bytes]) -> neo4j_proof.Proof:
    monkeypatch.setattr(Client, "rows", lambda *_: [])
    with server(rows(*nodes), rows(*links)) as client:
        return neo4j_proof.proof(client)


ONE, TWO = {"a": b"\x01", "b": b"\x02"}, {"a": b"\x02"}


def test_a_proof_depends_on_no_order_and_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    first = proof(monkeypatch, [node(0, ["A", "B"], ONE), node(1, ["A"], TWO)], [link(0, 1), link(1, 1)])
    other = {"b": b"\x02", "a": b"\x01"}
    again = proof(monkeypatch, [node(7, ["A"], TWO), node(9, ["B", "A"], other)], [link(7, 7), link(9, 7)])
    assert first == again
    assert {name: one["rows"] for name, one in first.items()} == {
        "nodes": 2, "relationships": 2, ":A": 2, ":B": 1, "[:T]": 2,
    }  # fmt: skip


def test_a_proof_sees_ends_that_were_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node(0, ["A"], ONE), node(1, ["A"], TWO)]
    first, swapped = (proof(monkeypatch, nodes, [link(*ends)]) for ends in ((0, 1), (1, 0)))
    assert [name for name in first if first[name] != swapped[name]] == ["relationships", "[:T]"]


def test_a_proof_leaves_out_what_proofs_write(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node(0, ["A"], ONE), *(node(number, [label], {}) for number, label in enumerate(neo4j_proof.OWN, 1))]
    seen = proof(monkeypatch, nodes, [link(0, 1), link(2, 0), link(0, 0)])
    assert {name: one["rows"] for name, one in seen.items()} == {"nodes": 1, "relationships": 1, ":A": 1, "[:T]": 1}


def test_an_empty_graph_has_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"rows": 0, "sum": "0" * 16}
    assert proof(monkeypatch, [], []) == {"nodes": nothing, "relationships": nothing}
