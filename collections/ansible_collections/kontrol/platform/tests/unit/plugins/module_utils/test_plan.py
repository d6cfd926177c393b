from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import plan_view, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import UNKNOWN
from ansible_collections.kontrol.platform.plugins.module_utils.plan import FILE, Plan, compare, find, seen


def told(address: str, verb: str = "create", known: str = "server", **more: Any) -> dict[str, Any]:
    return {"object": address, "verb": verb, "known": known, "component": "mesh", **more}


def change(path: str, before: Any, after: Any, owner: str = "") -> dict[str, Any]:
    return {"path": path, "before": before, "after": after, "owner": owner}


def update(address: str, *changes: dict[str, Any]) -> dict[str, Any]:
    return told(address, "update", changes=list(changes))


NAMESPACE = told("Namespace a", content={"metadata.name": "11"})
SECRET = told("Secret a/s", known="unknown", content={"data.p": UNKNOWN, "data.user": "22"})
REPLICAS = update("Deployment.apps a/d", change("spec.replicas", 1, 3, "kubectl"))


def test_what_is_as_declared_is_counted_and_no_step() -> None:
    plan = Plan.of("r", [NAMESPACE, told("Service a/b", "none")])
    assert [one["address"] for one in plan.steps] == ["Namespace a"]
    assert plan.same == 1


def test_what_is_deleted_to_be_made_again_is_one_step() -> None:
    again = Plan.of("r", [told("StatefulSet.apps a/b", "delete"), told("StatefulSet.apps a/b")])
    assert [one["action"] for one in again.steps] == ["recreate"]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ([NAMESPACE, SECRET], [SECRET, NAMESPACE], True),
        ([NAMESPACE], [NAMESPACE, told("Service a/b", "none")], True),
        ([{**NAMESPACE, "known": "rendered"}], [NAMESPACE], True),
        ([REPLICAS], [update("Deployment.apps a/d", change("spec.replicas", 1, 3, "somebody"))], True),
        ([NAMESPACE], [NAMESPACE, SECRET], False),
        ([NAMESPACE], [{**NAMESPACE, "content": {"metadata.name": "12"}}], False),
        ([NAMESPACE], [{**NAMESPACE, "verb": "update"}], False),
        ([REPLICAS], [update("Deployment.apps a/d", change("spec.replicas", 1, 4))], False),
        ([REPLICAS], [update("Deployment.apps a/d", change("spec.replicas", 2, 3))], False),
    ],
)
def test_the_hash_covers_address_action_and_values_alone(one: list[Any], two: list[Any], same: bool) -> None:
    assert (Plan.of("r", one).hash == Plan.of("r", two).hash) is same


def test_the_hash_is_that_of_one_region_and_not_of_a_time() -> None:
    assert Plan.of("r", [NAMESPACE]).hash != Plan.of("s", [NAMESPACE]).hash
    assert Plan.of("r", [NAMESPACE], made="a").hash == Plan.of("r", [NAMESPACE], made="b").hash


def test_nothing_to_do_has_a_hash_too() -> None:
    assert Plan.of("r", []).hash == Plan.of("r", [told("Service a/b", "none")]).hash


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        ([NAMESPACE, SECRET, REPLICAS], []),
        ([SECRET, REPLICAS], []),
        ([], []),
        ([{**SECRET, "known": "server", "content": {"data.p": "33", "data.user": "22"}}], []),
        ([{**SECRET, "content": {"data.p": "33", "data.user": "23"}}], ["Secret a/s: data.user is not as in the plan"]),
        ([NAMESPACE, told("Service a/b")], ["create Service a/b was not in the plan"]),
        ([told("Namespace a", "delete")], ["Namespace a: the plan says create, now it would be delete"]),
        (
            [update("Deployment.apps a/d", change("spec.replicas", 1, 5), change("spec.paused", None, True))],
            ["Deployment.apps a/d: spec.paused, spec.replicas are not as in the plan"],
        ),
        ([{**NAMESPACE, "content": {"metadata.name": "11", "x": "1"}}], ["Namespace a: x is not as in the plan"]),
    ],
)
def test_only_what_was_reviewed_is_carried_out(now: list[Any], refused: list[str]) -> None:
    assert list(compare(Plan.of("r", [NAMESPACE, SECRET, REPLICAS]), Plan.of("r", now)).refused) == refused


def test_what_is_done_and_what_became_known_is_told() -> None:
    known = {**SECRET, "content": {"data.p": "33", "data.user": "22"}}
    compared = compare(Plan.of("r", [NAMESPACE, SECRET]), Plan.of("r", [known]))
    assert compared.done == ("create Namespace a",)
    assert compared.learned == ("Secret a/s",)


@pytest.mark.parametrize(
    ("step", "protected", "refused"),
    [
        (told("Cluster k", "replace"), False, "Cluster k would have to be replaced"),
        (told("Cluster k", "delete"), True, "Cluster k would be deleted, and region 'r' is protected"),
        (told("Cluster k", "delete"), False, ""),
        (told("PersistentVolumeClaim a/b", "delete"), True, "is protected"),
        (told("ConfigMap a/b", "prune"), True, ""),
    ],
)
def test_what_a_plan_must_not_do(step: dict[str, Any], protected: bool, refused: str) -> None:
    found = Plan.of("r", [step], protected=protected).refusals()
    assert bool(found) == bool(refused)
    assert refused in "".join(found)


def test_of_a_stopped_cluster_only_what_could_be_asked_says_something() -> None:
    stopped = told("Cluster kontrol-r", "update", changes=[change("state", "stopped", "running")])
    rendered = {**NAMESPACE, "known": "rendered"}
    kept_verdicts, why = seen([told("BackupStore r", "none"), stopped, rendered])
    assert [one["object"] for one in kept_verdicts] == ["BackupStore r", "Cluster kontrol-r"]
    assert "Cluster kontrol-r is stopped" in why
    everything = [told("Cluster kontrol-r", "none"), rendered]
    assert seen(everything) == (everything, "")


def kept(folder: Path, plan: Plan) -> Plan:
    state.write_json(state.make_private_dir(folder / plan.hash) / FILE, plan.as_data())
    return plan


def test_a_plan_is_found_by_the_beginning_of_its_hash_and_is_the_same(tmp_path: Path) -> None:
    plan = kept(tmp_path, Plan.of("r", [NAMESPACE, SECRET, REPLICAS], protected=True))
    assert find(tmp_path, plan.hash[:8]) == plan
    assert find(tmp_path, plan.hash).hash == plan.hash


@pytest.mark.parametrize("wanted", ["", "abc", "0" * 64, "../../x"])
def test_a_plan_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, wanted: str) -> None:
    plan = kept(tmp_path, Plan.of("r", [NAMESPACE]))
    with pytest.raises(KontrolError, match=plan.hash[:12]):
        find(tmp_path, wanted)


def test_a_plan_of_another_format_is_refused(tmp_path: Path) -> None:
    plan = Plan.of("r", [NAMESPACE])
    state.write_json(state.make_private_dir(tmp_path / plan.hash) / FILE, {**plan.as_data(), "format": 0})
    with pytest.raises(KontrolError, match="format 1"):
        find(tmp_path, plan.hash)


HOSTILE = update("ConfigMap a/<script>alert(1)</script>", change("data.x|y", "a|b\n`c`", "<img src=x>"))


def test_the_terminal_counts_what_is_made_and_tells_the_rest_by_field() -> None:
    lines = plan_view.lines(Plan.of("r", [NAMESPACE, SECRET, REPLICAS]), "/f")
    assert lines[0] == "Plan of region r: 2 create, 1 update, 0 as declared"
    assert "    + create 1 Namespace, 1 Secret" in lines
    assert "        spec.replicas: 1 -> 3" in lines
    assert lines[-1].startswith("  to read: /f/")


def test_an_empty_plan_says_so() -> None:
    assert any("nothing to do" in line for line in plan_view.lines(Plan.of("r", [])))


def test_hostile_names_and_values_stay_text() -> None:
    plan = Plan.of("r", [HOSTILE])
    page, text = plan_view.page(plan), plan_view.markdown(plan)
    assert "<script>alert" not in page + text
    assert "<img" not in page + text
    row = next(line for line in text.splitlines() if "data.x" in line)
    assert row.replace("\\|", "").count("|") == 7


def test_the_page_names_every_object_and_the_command() -> None:
    plan = Plan.of("r", [NAMESPACE, SECRET, REPLICAS])
    page = plan_view.page(plan)
    assert all(one["address"] in page for one in plan.steps)
    assert f"-e plan={plan.hash[:16]}" in page
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_a_refused_plan_offers_no_command() -> None:
    page = plan_view.page(Plan.of("r", [told("Cluster k", "replace")]))
    assert "-e plan=" not in page
    assert "Refused" in page
