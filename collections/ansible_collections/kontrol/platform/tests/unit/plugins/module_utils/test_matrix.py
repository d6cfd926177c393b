"""The verify matrix: every port from every place, and what turns it red."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import matrix

POD = {"name": "db-0", "ip": "10.0.0.9", "host": "db-0.db.shop.svc", "ports": [8123, 15006, 15020]}
DECLARED = [{"port": 8123, "path": "/ping"}]
GREEN: dict[str, list[dict[str, Any]]] = {
    "outside": [
        {"name": "db-0:8123", "outcome": "reset", "detail": "Connection reset by peer"},
        {"name": "db-0:15006", "outcome": "closed"},
        {"name": "db-0:15020", "outcome": "open", "status": 404},
    ],
    "denied": [
        {"name": "db-0:8123", "outcome": "denied", "status": 403},
        {"name": "db-0:15006", "outcome": "closed"},
    ],
    "allowed": [
        {"name": "db-0:8123", "outcome": "open", "status": 200},
        {"name": "db-0:15006", "outcome": "reset"},
    ],
}


def judged(place: str = "", name: str = "", **answer: Any) -> list[dict[str, Any]]:
    """Return the red checks when one answer is another one."""
    answers = {
        where: [one if (where, one["name"]) != (place, name) else {"name": name, **answer} for one in given]
        for where, given in GREEN.items()
    }
    plan = matrix.plan([POD], DECLARED)
    return [check for check in matrix.judge(plan, answers, [POD], DECLARED) if not check["ok"]]


def test_all_as_it_should_be_is_green() -> None:
    assert judged() == []


def test_declared_ports_are_asked_by_name_from_inside_and_by_address_from_outside() -> None:
    plan = matrix.plan([POD], DECLARED)
    hosts = {place: {one["port"]: one["host"] for one in plan[place]} for place in matrix.PLACES}
    assert hosts["outside"] == dict.fromkeys((8123, 15006, 15020), "10.0.0.9")
    assert hosts["denied"] == hosts["allowed"] == {8123: "db-0.db.shop.svc", 15006: "10.0.0.9"}


def test_only_who_is_allowed_is_wanted_in() -> None:
    plan = matrix.plan([POD], DECLARED)
    wanted = {place: {one["port"]: one["want"] for one in plan[place]} for place in matrix.PLACES}
    assert wanted["allowed"] == {8123: "open", 15006: "refused"}
    assert set(wanted["denied"].values()) == {"refused"}
    assert wanted["outside"] == {8123: "refused", 15006: "refused", 15020: ""}


@pytest.mark.parametrize(
    ("place", "name", "answer"),
    [
        ("outside", "db-0:8123", {"outcome": "open", "status": 200}),
        ("outside", "db-0:8123", {"outcome": "denied", "status": 403}),  # plaintext got in: PERMISSIVE
        ("outside", "db-0:8123", {"outcome": "closed"}),
        ("outside", "db-0:8123", {"outcome": "timeout"}),
        ("outside", "db-0:8123", {"outcome": "refused"}),
        ("outside", "db-0:8123", {"outcome": "unresolved"}),
        ("denied", "db-0:8123", {"outcome": "open", "status": 200}),
        ("denied", "db-0:8123", {"outcome": "open", "status": 403}),
        ("denied", "db-0:8123", {"outcome": "closed"}),
        ("denied", "db-0:15006", {"outcome": "open", "status": 200}),
        ("allowed", "db-0:8123", {"outcome": "denied", "status": 403}),
        ("allowed", "db-0:8123", {"outcome": "open", "status": 500}),
        ("allowed", "db-0:8123", {"outcome": "unreachable", "status": 503}),
    ],
)
def test_any_other_answer_is_red(place: str, name: str, answer: dict[str, Any]) -> None:
    (red,) = judged(place, name, **answer)
    assert red["target"] == name


@pytest.mark.parametrize("place", matrix.PLACES)
def test_a_missing_answer_is_red(place: str) -> None:
    answers = {where: given for where, given in GREEN.items() if where != place}
    plan = matrix.plan([POD], DECLARED)
    red = [check for check in matrix.judge(plan, answers, [POD], DECLARED) if not check["ok"]]
    assert len(red) == len(plan[place])
    assert {check["seen"] for check in red} == {"no answer of the probe"}


def test_an_undeclared_port_of_the_service_must_refuse_everybody() -> None:
    pod = {**POD, "ports": [8123, 9000]}
    answers = {
        "outside": [GREEN["outside"][0], {"name": "db-0:9000", "outcome": "closed"}],
        "denied": [GREEN["denied"][0], {"name": "db-0:9000", "outcome": "closed"}],
        "allowed": [GREEN["allowed"][0], {"name": "db-0:9000", "outcome": "open", "status": 400}],
    }
    red = [check for check in matrix.judge(matrix.plan([pod], DECLARED), answers, [pod], DECLARED) if not check["ok"]]
    assert [check["check"] for check in red] == ["port, outside the mesh", "port, in the mesh, allowed"]


def test_an_exception_carries_owner_and_reason() -> None:
    plan = matrix.plan([POD], DECLARED)
    (exception,) = [check for check in matrix.judge(plan, GREEN, [POD], DECLARED) if "owner" in check]
    assert (exception["target"], exception["owner"], exception["ok"]) == ("db-0:15020", "mesh", True)
    assert exception["reason"]


def test_a_declared_port_that_does_not_listen_is_red() -> None:
    pod = {**POD, "ports": [15006]}
    checks = matrix.judge(matrix.plan([pod], DECLARED), GREEN, [pod], DECLARED)
    (red,) = [check for check in checks if not check["ok"]]
    assert (red["check"], red["expected"], red["seen"]) == ("declared ports listen", "8123", "15006")


def test_no_pod_is_red() -> None:
    (red,) = matrix.judge(matrix.plan([], DECLARED), {}, [], DECLARED)
    assert not red["ok"]
