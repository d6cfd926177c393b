"""What a plan's JSON means, and what our own checks of it refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import plan as region_plan
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import UNKNOWN
from ansible_collections.kontrol.platform.plugins.module_utils.terraform_plan import (
    Change,
    Plan,
    foreign_problems,
    protected_problems,
    too_many_problems,
    verdicts,
)


def entry(address: str, *actions: str, mode: str = "managed", **change: Any) -> dict[str, Any]:
    """One of resource_changes; the type is what stands before its name."""
    kind = re.sub(r"\[.*?\]", "", address).split(".")[-2]
    extra: dict[str, Any] = {name: change.pop(name) for name in ("deposed", "previous_address") if name in change}
    return {"address": address, "type": kind, "mode": mode, "change": {"actions": list(actions), **change}, **extra}


def plan(*entries: dict[str, Any], **more: Any) -> Plan:
    data = {"format_version": "1.2", "resource_changes": list(entries), **more}
    return Plan.from_json(data, file=Path("/w/kontrol.plan"), digest="0", changed=True, destroy=False)


def seal(text: str) -> str:
    return f"<{len(text)}>"


@pytest.mark.parametrize(
    ("actions", "verb"),
    [
        (["no-op"], "none"),
        (["create"], "create"),
        (["read"], "read"),
        (["update"], "update"),
        (["delete"], "delete"),
        (["delete", "create"], "replace"),
        (["create", "delete"], "replace"),
        (["forget"], "forget"),
        (["create", "forget"], "replace"),
    ],
)
def test_actions_are_one_verb(actions: list[str], verb: str) -> None:
    assert plan(entry("a_b.c", *actions)).changes[0].action == verb


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(KontrolError, match=r'actions "create\+update" for "a_b\.c", which are not known here'):
        plan(entry("a_b.c", "create", "update"))
    with pytest.raises(KontrolError, match=r'Plan has format "2\.0", known is 1\.x'):
        plan(format_version="2.0")
    with pytest.raises(KontrolError, match=r'Plan "kontrol\.plan" ended with an error'):
        plan(errored=True)


def test_a_record_has_what_is_unknown_sensitive_and_why_it_is_replaced() -> None:
    (found,) = plan(
        entry(
            'module.net["eu west"].aws_vpc.main[0]',
            "delete",
            "create",
            before={"cidr": "a", "key": "OLD"},
            after={"cidr": "b", "key": "NEW", "rule": [{"port": 1}]},
            after_unknown={"id": True, "rule": [{"arn": True}], "tags": {"a b": True, "c": False}},
            before_sensitive={"key": True},
            after_sensitive={"rule": [{"port": True}]},
            replace_paths=[["cidr"], ["rule", 0, "port"]],
            previous_address="aws_vpc.main",
        ),
    ).changes
    assert found.action == "replace"
    assert found.type == "aws_vpc"
    assert found.unknown == ("id", "rule[0].arn", 'tags["a b"]')
    assert found.sensitive == ("key", "rule[0].port")
    assert found.replace_paths == ("cidr", "rule[0].port")
    assert found.previous == "aws_vpc.main"
    assert found.before["key"] == "OLD"
    assert "OLD" not in repr(found)
    assert "NEW" not in repr(found)


def test_outputs_and_drift_are_read() -> None:
    found = plan(
        output_changes={
            "url": {"actions": ["create"], "before": None, "after_unknown": True},
            "pw": {"actions": ["update"], "before": "o", "after": "n", "after_unknown": False, "after_sensitive": True},
        },
        resource_drift=[entry("a_b.c", "update", before={"n": 1}, after={"n": 2})],
    )
    assert [(one.address, one.action) for one in found.outputs] == [("output.pw", "update"), ("output.url", "create")]
    assert [(one.address, one.action, one.after) for one in found.drift] == [("a_b.c", "update", {"n": 2})]
    assert found.canonical(seal) == [
        {"address": "output.pw", "action": "update", "values": "<3>"},
        {"address": "output.url", "action": "create", "values": UNKNOWN},
    ]


VALUES: list[tuple[Any, Any, Any, Any]] = [
    ({"a": 1, "b": None}, {}, {}, {"a": 1, "b": None}),
    ({"a": 1}, {"id": True}, {}, {"a": 1, "id": UNKNOWN}),
    ({"a": {"x": 1}}, {"a": {"y": True}}, {}, {"a": {"x": 1, "y": UNKNOWN}}),
    ({"l": ["x", None]}, {"l": [False, True]}, {}, {"l": ["x", UNKNOWN]}),
    ({"l": [{"k": 1}]}, {"l": [{"arn": True}]}, {"l": [{"k": True}]}, {"l": [{"arn": UNKNOWN, "k": "<1>"}]}),
    ({"pw": "x"}, {}, {"pw": True}, {"pw": "<3>"}),
    ({"pw": {"b": 1, "a": 2}}, {}, {"pw": True}, {"pw": "<16>"}),
    ({}, {"pw": True}, {"pw": True}, {"pw": UNKNOWN}),
    (None, {"tags": {"a": True}}, {}, {"tags": {"a": UNKNOWN}}),
    (None, {"tags": {}}, {}, None),
    ("x", False, True, "<3>"),
]


@pytest.mark.parametrize(("after", "unknown", "sensitive", "values"), VALUES)
def test_canonical_values(after: Any, unknown: Any, sensitive: Any, values: Any) -> None:
    one = entry("a_b.c", "create", after=after, after_unknown=unknown, after_sensitive=sensitive)
    assert plan(one).canonical(seal)[0]["values"] == values


def test_canonical_is_the_same_in_any_order_and_leaves_out_what_stays() -> None:
    entries = [
        entry("a_b.z", "delete", before={"k": "v"}),
        entry("a_b.m", "no-op", after={"k": "v"}),
        entry("a_b.d", "delete", deposed="1a2b"),
        entry("a_b.d", "update", after={"k": "v"}),
    ]
    found = plan(*entries).canonical(seal)
    assert found == plan(*reversed(entries)).canonical(seal)
    assert [(one["address"], one["action"]) for one in found] == [
        ("a_b.d", "update"),
        ("a_b.d", "delete"),
        ("a_b.z", "delete"),
    ]
    assert found[1]["deposed"] == "1a2b"
    json.dumps(found)


def test_a_secret_that_stops_being_marked_is_still_sealed() -> None:
    one = entry("a_b.c", "update", before={"pw": "x"}, after={"pw": "CANARY"}, before_sensitive={"pw": True})
    assert "CANARY" not in str(plan(one).canonical(seal))


DB = 'module.data["r1"].aws_db_instance.main[0]'


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("aws_db_instance", True),
        ("aws_db_*", True),
        ("*_instance", True),
        (DB, True),
        ('module.data["r1"].aws_db_instance.main', True),
        ("module.data", True),
        ('module.data["r1"]', True),
        ("module.*", True),
        ("aws_db", False),
        ("aws_db_instance.main", False),
        ("module.dat", False),
        ('module.data["r2"]', False),
        ('module.data["r1"].aws_db_instance.main[1]', False),
        ("aws_db_instance.main[0-9]", False),
    ],
)
def test_a_protection_names_types_addresses_and_modules(pattern: str, hit: bool) -> None:
    assert bool(protected_problems(plan(entry(DB, "delete")), ["other", pattern])) is hit


@pytest.mark.parametrize(
    ("actions", "hit"),
    [(["delete"], True), (["delete", "create"], True), (["create", "delete"], True), (["update"], False)]
    + [([verb], False) for verb in ("create", "no-op", "read", "forget")],
)
def test_only_losses_are_refused(actions: list[str], hit: bool) -> None:
    assert bool(protected_problems(plan(entry("a_b.c", *actions)), ["a_b"])) is hit


def test_a_refusal_names_the_resource_and_the_reason() -> None:
    found = protected_problems(
        plan(
            entry("a_b.c", "delete", "create", replace_paths=[["size"], ["zone"]]),
            entry("a_b.d", "delete", deposed="1a2b"),
            entry("a_b.new", "delete", "create", previous_address="old_b.c"),
            entry("a_b.data", "delete", mode="data"),
        ),
        ["a_b.c", "a_b.d", "old_b.c", "a_b.data"],
    )
    assert found == [
        'Resource "a_b.c" is protected and would be replaced, since these would change: size, zone',
        'Resource "a_b.d" (an old object, 1a2b, that an interrupted run left) is protected and would be deleted',
        'Resource "a_b.new" is protected and would be replaced',
    ]


@pytest.mark.parametrize("pattern", ["", "*", " ", "*.*"])
def test_a_protection_that_names_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(KontrolError, match="names nothing"):
        protected_problems(plan(), [pattern])


@pytest.mark.parametrize(
    ("action", "values", "hit"),
    [
        ("delete", {"before": {"tags": {"region": "r2"}}}, True),
        ("delete", {"before": {"tags": {"region": "r1"}}}, False),
        ("delete", {"before": {"tags": {"other": "r2"}}}, False),
        ("delete", {"before": {"tags": None, "tags_all": {"region": "r2"}}}, True),
        ("update", {"before": {"labels": {"region": "r2"}}, "after": {"labels": {"region": "r1"}}}, True),
        ("update", {"before": {"tag": [{"key": "region", "value": "r2"}]}}, True),
        ("create", {"after": {"tags": {"region": "r2"}}}, True),
        ("forget", {"before": {"tags": {"region": "r2"}}}, True),
        ("no-op", {"before": {"tags": {"region": "r2"}}}, False),
        ("delete", {"before": None}, False),
    ],
)
def test_what_is_tagged_for_another_region_is_foreign(action: str, values: dict[str, Any], hit: bool) -> None:
    assert bool(foreign_problems(plan(entry("a_b.c", action, **values)), "region", "r1")) is hit


def test_forty_foreign_resources_are_forty_lines() -> None:
    found = foreign_problems(
        plan(*(entry(f"a_b.c[{at}]", "delete", before={"tags": {"region": "r2"}}) for at in range(40))), "region", "r1"
    )
    assert len(set(found)) == 40
    assert found[3] == 'Resource "a_b.c[3]" would be deleted and is tagged for "r2"'


@pytest.mark.parametrize(
    ("count", "expected", "hit"),
    [(0, 0, False), (1, 0, True), (1, 1, False), (2, 1, False), (3, 1, True), (29, 10, False), (30, 10, True)],
)
def test_three_times_what_is_expected_is_too_many(count: int, expected: int, hit: bool) -> None:
    entries = [entry(f"a_b.c[{at}]", "delete") for at in range(count)]
    others = [entry("a_b.x", "update"), entry("a_b.y", "create"), entry("a_b.z", "delete", mode="data")]
    assert bool(too_many_problems(plan(*entries, *others), expected)) is hit


def test_the_factor_is_the_callers() -> None:
    found = plan(*(entry(f"a_b.c[{at}]", "delete", "create") for at in range(6)))
    assert too_many_problems(found, 5, factor=1) == [
        'Plan would delete or replace "6" resources, "5" are expected and 6 are too many'
    ]
    assert too_many_problems(found, 6, factor=1) == []


def test_counts_are_by_action_and_without_data() -> None:
    found = plan(
        entry("a_b.c", "delete"), entry("a_b.d", "delete"), entry("a_b.e", "no-op"), entry("a.b", "read", mode="data")
    )
    assert found.counts() == {"delete": 2, "none": 1}


def test_a_plan_shows_no_values() -> None:
    one = entry("a_b.c", "create", after={"pw": "CANARY"}, after_sensitive={"pw": True})
    assert "CANARY" not in repr(plan(one))
    assert isinstance(plan(one).changes[0], Change)


def test_its_verdicts_are_part_of_the_plan_of_a_region() -> None:
    made = plan(
        entry("a_b.new", "create", before=None, after={"name": "x", "key": "CANARY"}, after_unknown={"arn": True},
              after_sensitive={"key": True}),
        entry("a_b.moved", "update", before={"size": 1, "key": "CANARY"}, after={"size": 2, "key": "CANARY"},
              before_sensitive={"key": True}, after_sensitive={"key": True}),
        entry("a_b.gone", "delete", before={"name": "x"}, after=None),
        entry("a_b.same", "no-op", before={"name": "x"}, after={"name": "x"}),
        entry("data.a_b.read", "read", mode="data", before=None, after={"name": "x"}),
    )  # fmt: skip
    new, moved, gone = verdicts(made, seal)
    assert (new["object"], new["verb"], new["content"]["arn"]) == ("a_b.new", "create", UNKNOWN)
    assert moved["changes"] == [{"path": "size", "before": 1, "after": 2}]
    assert gone == {"object": "a_b.gone", "verb": "delete", "known": "server"}
    assert "CANARY" not in json.dumps([new, moved, gone])
    whole = region_plan.Plan.of("r", [new, moved, gone])
    assert whole.counts() == {"create": 1, "update": 1, "delete": 1}
    assert whole.hash == region_plan.Plan.of("r", verdicts(made, seal)).hash
