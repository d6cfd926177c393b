"""The verify matrix: every port from every place, and what turns it red."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import matrix

NAMED = {"8123": {"host": "db-0.db.shop.svc", "port": 8123, "protocol": "http"}}
POD = {"name": "shop/db-0", "ip": "10.0.0.9", "ports": [8123, 15006, 15020], "declared": [8123], "names": NAMED}
BOLT = {**POD, "ports": [7687], "declared": [7687], "names": {"7687": {"host": "db", "port": 7687, "protocol": "tcp"}}}
OPENED = [{"port": 8123, "path": "/ping"}]
GREEN: dict[str, list[dict[str, Any]]] = {
    "outside": [
        {"name": "shop/db-0:8123", "outcome": "reset", "detail": "Connection reset by peer"},
        {"name": "shop/db-0:15006", "outcome": "closed"},
        {"name": "shop/db-0:15020", "outcome": "open", "status": 404},
    ],
    "denied": [
        {"name": "shop/db-0:8123", "outcome": "denied", "status": 403},
        {"name": "shop/db-0:15006", "outcome": "closed"},
    ],
}
SERVED: list[dict[str, Any]] = [
    {"name": "shop/db-0:8123", "outcome": "open", "status": 200},
    {"name": "shop/db-0:15006", "outcome": "reset"},
]


def red(checks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(check["check"], check["target"]) for check in checks if not check["ok"]]


def replaced(answers: list[dict[str, Any]], name: str, **answer: Any) -> list[dict[str, Any]]:
    return [{"name": name, **answer} if one["name"] == name else one for one in answers]


def test_all_as_it_should_be_is_green() -> None:
    assert red(matrix.judge([POD], GREEN)) == []
    assert red(matrix.judge_allowed([POD], OPENED, SERVED)) == []


def test_a_port_that_the_mesh_knows_is_asked_by_name_from_inside_and_by_address_from_outside() -> None:
    outside, denied = (matrix.strangers([POD], place) for place in (matrix.OUTSIDE, matrix.DENIED))
    assert [(one["port"], one["host"]) for one in outside] == [(port, "10.0.0.9") for port in (8123, 15006, 15020)]
    inside = [(8123, "db-0.db.shop.svc"), (15006, "10.0.0.9")]
    assert [(one["port"], one["host"]) for one in denied] == inside
    assert [(one["port"], one["host"]) for one in matrix.allowed([POD], OPENED)] == inside


def test_only_who_is_allowed_is_wanted_in() -> None:
    assert [one["want"] for one in matrix.allowed([POD], OPENED)] == ["open", "refused"]
    assert [one["want"] for one in matrix.strangers([POD], matrix.DENIED)] == ["refused", "refused"]
    assert [one["want"] for one in matrix.strangers([POD], matrix.OUTSIDE)] == ["refused", "refused", ""]


@pytest.mark.parametrize(
    ("place", "port", "answer"),
    [
        ("outside", 8123, {"outcome": "open", "status": 200}),
        ("outside", 8123, {"outcome": "denied", "status": 403}),  # plaintext got in: PERMISSIVE
        ("outside", 8123, {"outcome": "closed"}),
        ("outside", 8123, {"outcome": "timeout"}),
        ("outside", 8123, {"outcome": "refused"}),
        ("outside", 8123, {"outcome": "unresolved"}),
        ("denied", 8123, {"outcome": "open", "status": 200}),
        ("denied", 8123, {"outcome": "open", "status": 403}),
        ("denied", 8123, {"outcome": "closed"}),
        ("denied", 15006, {"outcome": "open", "status": 200}),
    ],
)
def test_any_other_answer_to_a_stranger_is_red(place: str, port: int, answer: dict[str, Any]) -> None:
    name = f"shop/db-0:{port}"
    answers = GREEN | {place: replaced(GREEN[place], name, **answer)}
    assert [target for _check, target in red(matrix.judge([POD], answers))] == [name]


@pytest.mark.parametrize(
    "answer",
    [
        {"outcome": "denied", "status": 403},
        {"outcome": "open", "status": 500},
        {"outcome": "unreachable", "status": 503},
    ],
)
def test_any_other_answer_to_who_is_allowed_is_red(answer: dict[str, Any]) -> None:
    served = replaced(SERVED, "shop/db-0:8123", **answer)
    assert red(matrix.judge_allowed([POD], OPENED, served)) == [("port, in the mesh, allowed", "shop/db-0:8123")]


@pytest.mark.parametrize("place", [matrix.OUTSIDE, matrix.DENIED])
def test_a_missing_answer_is_red(place: str) -> None:
    answers = {where: given for where, given in GREEN.items() if where != place}
    found = [check for check in matrix.judge([POD], answers) if not check["ok"]]
    assert len(found) == len(matrix.strangers([POD], place))
    assert {check["seen"] for check in found} == {"no answer of the probe"}


@pytest.mark.parametrize("answers", [None, []])
def test_no_answer_of_who_is_allowed_is_red(answers: list[Any] | None) -> None:
    assert len(red(matrix.judge_allowed([POD], OPENED, answers))) == 2


def test_an_undeclared_port_is_red_even_when_it_refuses_everybody() -> None:
    pod = {**POD, "ports": [8123, 9000, 15006, 15020]}
    refusing = {place: [*given, {"name": "shop/db-0:9000", "outcome": "reset"}] for place, given in GREEN.items()}
    (check,) = [check for check in matrix.judge([pod], refusing) if not check["ok"]]
    assert (check["check"], check["seen"]) == ("listening ports are declared", "undeclared: 9000")


def test_an_undeclared_port_is_asked_from_everywhere() -> None:
    pod = {**POD, "ports": [9000]}
    for place in (matrix.OUTSIDE, matrix.DENIED):
        assert 9000 in {one["port"] for one in matrix.strangers([pod], place)}
    answers = {"outside": [], "denied": [{"name": "shop/db-0:9000", "outcome": "open", "status": 200}]}
    assert ("port, in the mesh, not allowed", "shop/db-0:9000") in red(matrix.judge([pod], answers))


def test_a_declared_port_that_does_not_listen_is_asked_too() -> None:
    pod = {**POD, "ports": []}
    assert [one["port"] for one in matrix.strangers([pod], matrix.DENIED)] == [8123]


def test_a_refusal_on_a_tcp_port_is_an_end_without_a_byte_but_not_from_outside() -> None:
    refused = [{"name": "shop/db-0:7687", "outcome": "closed"}]
    assert red(matrix.judge([BOLT], {"outside": refused, "denied": refused})) == [
        ("port, outside the mesh", "shop/db-0:7687")
    ]


def test_a_tcp_port_answers_who_is_allowed_by_staying_open() -> None:
    opened = [{"port": 7687, "protocol": "tcp"}]
    (endpoint,) = matrix.allowed([BOLT], opened)
    assert (endpoint["protocol"], endpoint["host"]) == ("tcp", "db")
    assert red(matrix.judge_allowed([BOLT], opened, [{"name": "shop/db-0:7687", "outcome": "open"}])) == []
    assert len(red(matrix.judge_allowed([BOLT], opened, [{"name": "shop/db-0:7687", "outcome": "closed"}]))) == 1


def test_an_exception_carries_owner_and_reason() -> None:
    (exception,) = [check for check in matrix.judge([POD], GREEN) if "owner" in check]
    assert (exception["target"], exception["owner"], exception["ok"]) == ("shop/db-0:15020", "mesh", True)
    assert exception["reason"]


def test_an_open_port_that_does_not_listen_is_red() -> None:
    pod = {**POD, "ports": [15006]}
    assert ("open port listens", "port 8123") in red(matrix.judge_allowed([pod], OPENED, SERVED))


def test_an_open_port_that_no_pod_declares_is_red_and_a_pod_without_one_is_not() -> None:
    other = {**POD, "name": "shop/web", "ports": [], "declared": [], "names": {}}
    assert red(matrix.judge_allowed([POD, other], OPENED, SERVED)) == []
    opened = [*OPENED, {"port": 9999, "path": "/"}]
    assert red(matrix.judge_allowed([POD], opened, SERVED)) == [("open port listens", "port 9999")]


def test_no_pod_is_red() -> None:
    assert len(red(matrix.judge([], {}))) == 1
    assert len(red(matrix.judge_allowed([], OPENED, []))) == 1
