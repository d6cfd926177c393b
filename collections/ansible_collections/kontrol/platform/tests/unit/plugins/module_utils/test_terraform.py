"""Terraform behind its class: the real program where this machine has it, a recorder where it must not run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import process, terraform
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import UNKNOWN
from ansible_collections.kontrol.platform.plugins.module_utils.plan import Plan as RegionPlan
from ansible_collections.kontrol.platform.plugins.module_utils.process import Completed
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import (
    StateLockedError,
    Terraform,
    TerraformError,
    lock_of,
    sentence,
)

PROGRAM = shutil.which("terraform") or shutil.which("tofu") or ""
real = pytest.mark.skipif(not PROGRAM, reason="neither terraform nor tofu is on PATH")
HARD: dict[str, Any] = {
    "owner": 'O\'Brien "ops" #1',
    "note": "a=b; $HOME `id` %{ if true }",
    "template": "${x} $${y}",
    "lines": "one\ntwo\ttab\r\n",
    "unicode": "São Paulo, 東京, \u202e\u0000"[:-1],
    "empty": "",
    "zones": ["eu-west-2a", "eu-west-2b"],
    "nothing": [],
    "nested": {"on": True, "off": False, "none": None, "count": 3, "ratio": 1.5, "list": [], "map": {}},
    "big": 9007199254740993,
}
ECHO = """
variable "given" { type = any }
variable "optional" {
  type    = string
  default = "the module's own"
  nullable = false
}
variable "secret" {
  type      = string
  sensitive = true
  default   = "CANARY-55"
}
output "given" { value = var.given }
output "optional" { value = var.optional }
output "secret" {
  value     = var.secret
  sensitive = true
}
"""
ONE = """
variable "text" { type = string }
resource "terraform_data" "one" {
  input = var.text
}
"""
SLOW = """
variable "text" { type = string }
resource "terraform_data" "slow" {
  input = var.text
  provisioner "local-exec" { command = "sleep 30" }
}
"""


def stack(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "main.tf").write_text(text, encoding="utf-8")
    return folder


def made(tmp_path: Path, text: str, **more: Any) -> Terraform:
    found = Terraform(PROGRAM, stack(tmp_path / "stack", text), tmp_path / "work", **more)
    found.init()
    return found


@real
def test_every_value_reaches_terraform_unchanged(tmp_path: Path) -> None:
    one = made(tmp_path, ECHO)
    one.apply(one.plan({"given": HARD, "optional": None}))
    outputs = one.outputs()
    assert outputs["given"].value == HARD
    assert outputs["optional"].value == "the module's own"
    assert outputs["secret"].sensitive
    assert "CANARY-55" not in repr(outputs)


@real
def test_nothing_is_written_to_the_checkout_and_files_are_private(tmp_path: Path) -> None:
    one = made(tmp_path, ONE)
    one.plan({"text": "a"})
    assert sorted(file.name for file in (tmp_path / "stack").iterdir()) == ["main.tf"]
    work = tmp_path / "work"
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    for name in (terraform.VARIABLES, terraform.PLAN):
        assert stat.S_IMODE((work / name).stat().st_mode) == 0o600


@real
def test_a_plan_is_data_and_empty_when_nothing_changes(tmp_path: Path) -> None:
    one = made(tmp_path, ONE)
    plan = one.plan({"text": "a"})
    ((change,), (told,)) = (plan.changes, plan.objects())
    assert (change.address, change.type, change.action) == ("terraform_data.one", "terraform_data", "create")
    assert told["content"]["output"] == UNKNOWN
    assert told["content"]["input"] != UNKNOWN
    one.apply(plan)
    again = one.plan({"text": "a"})
    assert (again.changed, again.same) == (False, 1)
    (moved,) = one.plan({"text": "b"}).objects()
    assert moved["verb"] == "update"
    assert {"path": "input", "before": "a", "after": "b"} in moved["changes"]


@real
def test_its_verdicts_are_part_of_the_plan_of_a_region(tmp_path: Path) -> None:
    one = made(tmp_path, ONE)
    hashes = [RegionPlan.of("r", one.plan({"text": text}).objects()).hash for text in ("a", "a", "b")]
    assert hashes[0] == hashes[1] != hashes[2]


@real
def test_only_the_plan_that_was_read_is_applied(tmp_path: Path) -> None:
    one = made(tmp_path, ONE)
    first = one.plan({"text": "a"})
    one.plan({"text": "b"})
    with pytest.raises(TerraformError, match="is not the one that was read"):
        one.apply(first)
    last = one.plan({"text": "c"})
    one.apply(last)
    with pytest.raises(TerraformError, match="is not the one that was read"):
        one.apply(last)


@real
def test_the_end_of_a_stack_is_a_plan_too(tmp_path: Path) -> None:
    one = made(tmp_path, ONE)
    one.apply(one.plan({"text": "a"}))
    end = one.plan({"text": "a"}, destroy=True)
    assert [change.action for change in end.changes] == ["delete"]
    assert end.protected_problems(["terraform_data"]) == ["terraform_data.one would be deleted, and it is protected"]
    assert end.protected_problems(["aws_*", "terraform_data.two"]) == []
    one.apply(end)
    assert not one.plan({"text": "a"}, destroy=True).changed


@real
def test_what_half_an_apply_made_is_destroyed(tmp_path: Path) -> None:
    broken = ONE + 'resource "terraform_data" "two" {\n  depends_on = [terraform_data.one]\n'
    one = made(tmp_path, broken + '  provisioner "local-exec" { command = "exit 3" }\n}\n')
    with pytest.raises(TerraformError, match="apply of 'stack' failed: Error: local-exec"):
        one.apply(one.plan({"text": "a"}))
    end = one.plan({"text": "a"}, destroy=True)
    assert {change.address for change in end.changes} == {"terraform_data.one", "terraform_data.two"}
    one.apply(end)
    assert not one.plan({"text": "a"}, destroy=True).changed


@real
@pytest.mark.parametrize(("text", "told"), [('resource "x" {', "Error:"), (ONE, "text")])
def test_what_terraform_refuses_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TerraformError) as refused:
        made(tmp_path, text).plan({})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "│" not in str(refused.value)


@real
def test_a_lock_is_told_with_owner_age_and_the_way_out_and_only_released_on_request(tmp_path: Path) -> None:
    """Kill -9 of the controller in an apply; a second writer meanwhile meets the lock."""
    holder = made(tmp_path, SLOW)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ansible_collections.kontrol.platform.plugins.module_utils.terraform import Terraform\n"
        f"one = Terraform({PROGRAM!r}, Path({str(tmp_path / 'stack')!r}), Path({str(tmp_path / 'work')!r}))\n"
        "one.apply(one.plan({'text': 'a'}))\n"
    )
    collections = str(Path(terraform.__file__).parents[5])
    environment = {**os.environ, "PYTHONPATH": collections}
    running = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    lock_file = tmp_path / "work" / ".terraform.tfstate.lock.info"
    end = time.monotonic() + 60
    while not lock_file.exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    with pytest.raises(StateLockedError) as locked:
        holder.plan({"text": "b"}, lock_seconds=1)
    lock_id = json.loads(lock_file.read_text(encoding="utf-8"))["ID"]
    for part in (lock_id, "apply", "@", " ago", f"-e unlock={lock_id}"):
        assert part in str(locked.value), locked.value
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    end = time.monotonic() + 20  # a lock of the local backend dies with its process; one in S3 would stay
    while time.monotonic() < end:
        try:
            assert holder.plan({"text": "b"}).changed
            break
        except StateLockedError:
            time.sleep(0.5)
    else:
        pytest.fail("the lock of a dead process is still held")


class Recorder:
    """A runner that plays what terraform would say, and keeps how it was called."""

    def __init__(self, answers: dict[str, Completed] | None = None) -> None:
        self.calls: list[list[str]] = []
        self.answers = answers or {}

    def __call__(self, argv: Any, **_more: Any) -> Completed:
        self.calls.append(list(argv))
        verb = next(part for part in argv[1:] if not part.startswith("-"))
        version = Completed(0, json.dumps({"terraform_version": "1.11.4"}), "")
        return self.answers.get(verb, version if verb == "version" else Completed(0, "{}", ""))


def recorded(tmp_path: Path, answers: dict[str, Completed] | None = None, **more: Any) -> tuple[Terraform, Recorder]:
    recorder = Recorder(answers)
    found = Terraform("/usr/bin/terraform", stack(tmp_path / "stack", ONE), tmp_path / "work", runner=recorder, **more)
    return found, recorder


def test_no_value_is_in_a_command_line(tmp_path: Path) -> None:
    one, recorder = recorded(tmp_path, plugins=Path("/plugins"))
    one.init({"bucket": "CANARY-bucket"})
    (tmp_path / "work" / terraform.PLAN).write_text("x", encoding="utf-8")
    one.plan({"text": "CANARY-text"})
    words = " ".join(" ".join(call) for call in recorder.calls)
    assert "CANARY" not in words
    assert "-plugin-dir=/plugins" in words
    assert "-input=false" in words
    assert json.loads((tmp_path / "work" / terraform.BACKEND).read_text(encoding="utf-8")) == {
        "bucket": "CANARY-bucket"
    }


def test_check_mode_never_applies_destroys_or_unlocks(tmp_path: Path) -> None:
    one, recorder = recorded(tmp_path, check=True)
    one.init()
    (tmp_path / "work" / terraform.PLAN).write_text("x", encoding="utf-8")
    plan = one.plan({"text": "a"})
    with pytest.raises(TerraformError, match="check mode"):
        one.apply(plan)
    with pytest.raises(TerraformError, match="check mode"):
        one.unlock("1")
    verbs = {next(part for part in call[1:] if not part.startswith("-")) for call in recorder.calls}
    assert verbs == {"version", "init", "plan", "show"}


def test_the_stack_is_copied_with_its_lock_of_providers_and_without_what_is_no_part_of_it(tmp_path: Path) -> None:
    one, _recorder = recorded(tmp_path)
    source, work = tmp_path / "stack", tmp_path / "work"
    for name in (".terraform.lock.hcl", "old.tf", "terraform.tfstate", "terraform.tfstate.backup"):
        (source / name).write_text("x", encoding="utf-8")
    one.init()
    (source / "old.tf").unlink()
    one.init()
    assert {file.name for file in work.iterdir()} == {"main.tf", ".terraform.lock.hcl"}


@pytest.mark.parametrize("version", ["1.4.9", "0.12.31", ""])
def test_an_old_terraform_is_refused(tmp_path: Path, version: str) -> None:
    told = Completed(0, json.dumps({"terraform_version": version}), "")
    one, _recorder = recorded(tmp_path, {"version": told})
    with pytest.raises(TerraformError, match=r"is too old; 1\.5 or newer"):
        one.init()


def test_the_environment_cannot_redirect_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_VAR_x", "TF_CLI_ARGS_apply", "TF_WORKSPACE", "TF_LOG", "TF_DATA_DIR", "AWS_PROFILE"):
        monkeypatch.setenv(name, "elsewhere")
    assert "elsewhere" not in process.scrubbed_env().values()


BOXED = """
╷
│ Error: Error acquiring the state lock
│ 
│ Error message: operation error S3: PutObject, https response error
│ StatusCode: 412
│ Lock Info:
│   ID:        f1b2c3d4-0000-1111-2222-333344445555
│   Path:      states/madrid/cluster.tfstate
│   Operation: OperationTypeApply
│   Who:       ana@laptop
│   Version:   1.11.4
│   Created:   2026-11-25 08:00:00.123456 +0000 UTC
│   Info:      
│ 
│ Terraform acquires a state lock to protect the state from being written
│ by multiple users at the same time.
╵
"""  # noqa: W291 - as Terraform prints it


def test_a_boxed_lock_is_read_whole() -> None:
    lock = lock_of(BOXED)
    assert lock is not None
    assert lock.id == "f1b2c3d4-0000-1111-2222-333344445555"
    assert (lock.who, lock.path) == ("ana@laptop", "states/madrid/cluster.tfstate")
    assert "apply, since 2026-11-25 08:00:00" in lock.text()
    assert lock_of("Error: something else") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "╷\n│ Error: No value\n│ \n│   on main.tf line 2:\n│   2: x\n│ \n│ It is wrong.\n╵\n",
            "Error: No value It is wrong.",
        ),
        ("plain words\n", "plain words"),
        ("", "it said nothing"),
    ],
)
def test_an_error_is_reduced_to_its_sentences(text: str, expected: str) -> None:
    assert sentence(text) == expected


def changes(*found: dict[str, Any]) -> Completed:
    return Completed(0, json.dumps({"resource_changes": list(found)}), "")


def planned(tmp_path: Path, *found: dict[str, Any]) -> terraform.Plan:
    one, _recorder = recorded(tmp_path, {"show": changes(*found), "plan": Completed(2, "", "")})
    one.init()
    (tmp_path / "work" / terraform.PLAN).write_text("x", encoding="utf-8")
    return one.plan({}, seal=lambda text: f"sealed:{len(text)}")


def resource(address: str, actions: list[str], before: Any, after: Any, **more: Any) -> dict[str, Any]:
    change = {"actions": actions, "before": before, "after": after, **more}
    return {"address": address, "type": address.split(".", maxsplit=1)[0], "mode": "managed", "change": change}


def test_sensitive_and_unknown_values_are_masked_deep_inside(tmp_path: Path) -> None:
    after = {"name": "a", "password": "CANARY-9", "rules": [{"key": "CANARY-8", "port": 1}]}
    unknown = {"arn": True, "rules": [{"id": True}]}
    sensitive = {"password": True, "rules": [{"key": True}]}
    plan = planned(
        tmp_path, resource("aws_x.y", ["create"], None, after, after_unknown=unknown, after_sensitive=sensitive)
    )
    (change,) = plan.changes
    assert change.after["arn"] == UNKNOWN
    assert change.after["rules"] == [{"key": "sealed:10", "port": 1, "id": UNKNOWN}]
    assert "CANARY" not in json.dumps(plan.objects()) + repr(plan) + str(change.after)


def test_what_speaks_against_a_plan_is_told(tmp_path: Path) -> None:
    mine, theirs = {"tags": {"kontrol.dev/region": "r"}}, {"tags_all": {"kontrol.dev/region": "other"}}
    plan = planned(
        tmp_path,
        resource("aws_eks_cluster.a", ["delete", "create"], mine, mine, replace_paths=[["vpc_config", 0, "ids"]]),
        resource("aws_vpc.b", ["delete"], theirs, None),
        *(resource(f"aws_subnet.c[{n}]", ["delete"], mine, None) for n in range(6)),
        resource("aws_kms_key.d", ["no-op"], mine, mine),
    )
    assert plan.protected_problems(["aws_eks_cluster"]) == [
        "aws_eks_cluster.a would be replaced (vpc_config.0.ids cannot be changed in place), and it is protected"
    ]
    assert plan.foreign_problems("kontrol.dev/region", "r") == [
        "aws_vpc.b carries kontrol.dev/region=other, and this is region r"
    ]
    assert plan.too_many_problems(2) == ["8 resources would be lost, and the region is known to have 2"]
    assert plan.too_many_problems(3) == []
    assert plan.same == 1
