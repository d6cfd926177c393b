"""The driver `aws` with a fake of terraform; with the real one: tests/terraform."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import extra_vars, spec
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.aws import AwsDriver
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    ClusterSpec,
    Condition,
    Driver,
    DriverError,
    Outputs,
)
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import (
    BACKEND,
    STATES,
    VARIABLES,
    StateLockedError,
    TerraformError,
    work_dir,
)
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import fake_terraform
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fake_terraform import LOCK_ID, calls, play

CANARY = "CANARY-hunter2-CANARY"
SPEC = ClusterSpec("10.244.0.0/16", "10.96.0.0/16")
OUTPUTS = {"network_cidr": {"sensitive": False, "type": "string", "value": "10.20.0.0/16"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bin"


@pytest.fixture
def driver(tmp_path: Path, folder: Path) -> AwsDriver:
    for name in ("bootstrap", "state", "foundation", "cluster"):
        stack = tmp_path / "terraform" / "stacks" / "aws" / name
        stack.mkdir(parents=True)
        (stack / "main.tf").write_text("# nothing\n", encoding="utf-8")
    return AwsDriver(
        region="r1",
        location="eu-west-2",
        account="123456789012",
        backup_bucket="kontrol-backups-r1",
        network_cidr="10.20.0.0/16",
        program=fake_terraform.install(folder, per_stack=True, outputs=OUTPUTS),
        source=tmp_path / "terraform",
        scratch=tmp_path / "private",
        env={"AWS_SECRET_ACCESS_KEY": CANARY},
        protected=False,
        lock_timeout=0,
    )


def seal(_text: str) -> str:
    return "sealed"


def done(folder: Path, verb: str) -> list[str]:
    """Return the stacks that a command was called for, in their order."""
    return [Path(one["argv"][0]).name for one in calls(folder, verb)]


def written(folder: Path, verb: str, stack: str, name: str) -> dict[str, Any]:
    """Return a file of settings as terraform found it when it was called."""
    call = next(one for one in calls(folder, verb) if one["argv"][0].endswith(f"/aws/{stack}"))
    (text,) = [text for path, text in call["files"].items() if path.endswith(name) and f"/{stack}/" in path]
    found: dict[str, Any] = json.loads(text)
    return found


def replacing(kind: str, **values: Any) -> dict[str, Any]:
    change = {"actions": ["delete", "create"], "before": values, "after": values, "after_unknown": {}}
    one = {"address": f"{kind}.one", "mode": "managed", "type": kind, "name": "one", "change": change}
    return {"format_version": "1.2", "resource_changes": [one]}


def test_it_is_a_driver_that_no_spec_reaches_yet(driver: AwsDriver) -> None:
    known: Driver = driver
    assert known.name == "kontrol-r1"
    assert ("aws" in spec.AVAILABLE) is ("unlock" in extra_vars.EXTRA_VARS), "who can meet a lock can clear it"


def test_a_cluster_is_refused_before_anything_is_touched(driver: AwsDriver, folder: Path) -> None:
    assert driver.read() is None
    refused: list[Callable[[], object]] = [
        lambda: driver.plan(SPEC),
        lambda: driver.create(SPEC, "run-1"),
        lambda: driver.complete(Outputs("aws", "n", "a", "c", "v"), "run-1", "uid"),
        driver.kubeconfig,
    ]
    for call in refused:
        with pytest.raises(DriverError) as caught:
            call()
        assert str(caught.value) == (
            'Driver "aws" makes no cluster yet: of the region "r1" it offers the foundation (key and backup bucket) '
            "and the network, and nothing was touched; declare `region.driver: kind` for a cluster"
        )
    assert calls(folder) == []


def test_the_bucket_of_states_comes_first_and_once(driver: AwsDriver, folder: Path) -> None:
    said: list[str] = []
    driver.say = said.append
    driver.foundation()
    assert done(folder, "apply") == ["bootstrap", "state", "foundation"]
    assert said[0] == "Bucket kontrol-states-123456789012-eu-west-2: made for the states of all regions in eu-west-2"
    driver.foundation()
    assert done(folder, "apply") == ["bootstrap", "state", "foundation"], "what is as declared is not applied"


def test_a_bucket_that_a_killed_run_left_bare_gets_its_settings(driver: AwsDriver, folder: Path) -> None:
    (folder / "store").touch()
    driver.foundation()
    assert done(folder, "apply") == ["state", "foundation"]


def test_what_each_stack_is_given(driver: AwsDriver, folder: Path) -> None:
    driver.foundation()
    driver.network()
    place = {"account": "123456789012", "location": "eu-west-2"}
    bucket = "kontrol-states-123456789012-eu-west-2"
    assert written(folder, "plan", "bootstrap", VARIABLES) == {**place, "bucket": bucket}
    assert written(folder, "plan", "state", VARIABLES) == {**place, "bucket": bucket}
    assert written(folder, "plan", "foundation", VARIABLES) == {
        **place,
        "region": "r1",
        "backup_bucket": "kontrol-backups-r1",
    }
    assert written(folder, "plan", "cluster", VARIABLES) == {**place, "region": "r1", "network_cidr": "10.20.0.0/16"}
    backends = [
        json.loads(text)
        for one in calls(folder, "init")
        for path, text in one["files"].items()
        if path.endswith(BACKEND)
    ]
    assert {one.pop("key") for one in backends} == {"state.tfstate", "r1/foundation.tfstate", "r1/cluster.tfstate"}
    assert all(
        one
        == {
            "bucket": bucket,
            "region": "eu-west-2",
            "encrypt": True,
            "use_lockfile": True,
            "allowed_account_ids": ["123456789012"],
        }
        for one in backends
    )


def test_only_its_own_credentials_reach_terraform_and_no_file(
    driver: AwsDriver, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "TF_VAR_account"):
        monkeypatch.setenv(name, "elsewhere")
    driver.foundation()
    for one in calls(folder):
        given = {name: value for name, value in one["env"].items() if name.startswith("AWS_")}
        assert given == {
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_REGION": "eu-west-2",
            "AWS_SECRET_ACCESS_KEY": CANARY,
        }
        assert CANARY not in json.dumps([one["argv"], one["files"]])
    assert CANARY not in repr(driver)


def test_to_look_makes_nothing(driver: AwsDriver, folder: Path) -> None:
    driver.check = True
    assert driver.condition() is Condition.ABSENT
    assert driver.look("foundation", seal) == [
        {"object": "Bucket kontrol-states-123456789012-eu-west-2", "verb": "create", "known": "unknown"},
        {"object": "Stack foundation", "verb": "create", "known": "unknown"},
    ]
    (folder / "store").touch()
    assert [one["object"] for one in driver.look("cluster", seal)] == [f"fake_thing.{name}" for name in "abcde"]
    assert done(folder, "apply") == []
    with pytest.raises(TerraformError, match="is not for check mode"):
        driver.network()


def test_the_network_comes_after_the_foundation(driver: AwsDriver) -> None:
    with pytest.raises(TerraformError, match=r'State of stack "cluster" has no bucket .*; make the foundation first'):
        driver.network()


def test_a_network_cannot_be_changed_in_place(driver: AwsDriver) -> None:
    assert driver.replaced(SPEC) == []
    driver.foundation()
    driver.network()
    assert driver.replaced(SPEC) == []
    assert replace(driver, network_cidr="10.30.0.0/16").replaced(SPEC) == [
        {"path": "network_cidr", "before": "10.20.0.0/16", "after": "10.30.0.0/16"}
    ]


@pytest.mark.parametrize(
    ("plan", "protected", "text"),
    [
        (replacing("aws_s3_bucket"), False, 'Resource "aws_s3_bucket.one" is protected and would be replaced'),
        (replacing("aws_kms_key"), False, 'Resource "aws_kms_key.one" is protected and would be replaced'),
        (replacing("aws_vpc"), True, 'Resource "aws_vpc.one" is protected and would be replaced'),
        (replacing("aws_vpc", tags_all={"kontrol:region": "r2"}), False, 'would be replaced and is tagged for "r2"'),
    ],
)
def test_what_is_protected_or_of_another_region_is_refused(
    driver: AwsDriver, folder: Path, plan: dict[str, Any], protected: bool, text: str
) -> None:
    (folder / "store").touch()
    play(folder, per_stack=True, plan=plan, plan_rc=2)
    driver.protected = protected
    for call in (lambda: driver.look("cluster", seal), driver.network):
        with pytest.raises(DriverError, match=re.escape(text) + ".*nothing was touched"):
            call()
    assert done(folder, "apply") == []


def test_a_network_of_no_protected_region_may_be_replaced(driver: AwsDriver, folder: Path) -> None:
    (folder / "store").touch()
    play(folder, per_stack=True, plan=replacing("aws_vpc"), plan_rc=2)
    driver.network()
    assert done(folder, "apply") == ["cluster"]


def test_what_is_made_is_deleted_in_its_order_and_when_it_is_named(driver: AwsDriver, folder: Path) -> None:
    assert driver.delete() is False
    driver.foundation()
    driver.network()
    assert driver.condition() is Condition.HALF_MADE
    assert len(driver.hits()) == 6
    with pytest.raises(DriverError, match="to remove it give `-e remove_foundation=r1`"):
        driver.delete_foundation("r2")
    with pytest.raises(DriverError, match="is in use, 6 resources of its network are there; delete the network first"):
        driver.delete_foundation("r1")
    assert driver.delete() is True
    assert driver.delete() is False
    assert driver.condition() is Condition.ABSENT
    assert driver.delete_foundation("r1") is True
    left = {name: json.loads((folder / f"{name}-state.json").read_text(encoding="utf-8")) for name in STATES}
    assert left == {"state": list("abcde"), "foundation": [], "cluster": []}, "the bucket of states is not the region's"


def test_nothing_of_a_protected_region_is_deleted(driver: AwsDriver, folder: Path) -> None:
    driver.foundation()
    driver.network()
    before = len(calls(folder))
    driver.protected = True
    for call in (driver.delete, lambda: driver.delete_foundation("r1")):
        with pytest.raises(DriverError, match='Region "r1" is protected and nothing of it is deleted'):
            call()
    assert len(calls(folder)) == before


def test_what_holds_values_is_removed_after_an_apply(driver: AwsDriver) -> None:
    driver.foundation()
    driver.network()
    for name in ("state", "foundation", "cluster"):
        assert not [*work_dir("r1", name).rglob(VARIABLES), *work_dir("r1", name).rglob(BACKEND)]


def test_a_lock_is_cleared_by_its_id_alone_in_whatever_state_it_is(driver: AwsDriver, folder: Path) -> None:
    with pytest.raises(DriverError, match=f'Lock "{LOCK_ID}" holds no state of region "r1": no state is locked$'):
        driver.clear_lock(LOCK_ID)
    driver.foundation()
    (folder / "foundation-lock").write_text("held", encoding="utf-8")
    with pytest.raises(StateLockedError, match=f'locked by "root@vm", operation "apply", .* -e unlock={LOCK_ID}$'):
        driver.foundation()
    with pytest.raises(
        DriverError, match=f'Lock "other" holds no state .*: state "foundation" is locked by .*{LOCK_ID}'
    ):
        driver.clear_lock("other")
    assert calls(folder, "force-unlock") == []
    assert '"root@vm", operation "apply"' in driver.clear_lock(LOCK_ID)
    assert done(folder, "force-unlock") == ["foundation"]
    driver.foundation()
