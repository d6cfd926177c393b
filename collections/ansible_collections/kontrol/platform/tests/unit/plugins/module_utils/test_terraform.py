"""Terraform behind one class: with a fake that records what it is given, and with the real one where there is one."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import warden
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.process import ToolError
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import (
    BACKEND,
    PLAN,
    READING,
    SOURCE,
    VARIABLES,
    GentleRunner,
    LockInfo,
    Output,
    Outputs,
    Setup,
    StateLockedError,
    StoreMissingError,
    Terraform,
    TerraformCancelledError,
    TerraformError,
    hide,
    json_text,
    sentences,
    stage,
    state_key,
    work_dir,
)
from ansible_collections.kontrol.platform.plugins.module_utils.terraform_plan import Plan
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils import fake_terraform
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fake_terraform import (
    LOCK,
    LOCK_ID,
    bare,
    calls,
    framed,
    play,
    verbs,
)

CANARY = "CANARY-hunter2-CANARY"
HARD: dict[str, Any] = {
    "quotes": 'O\'Brien "ops" #1',
    "shell": "a=b; $HOME `id` $(id) \\ && x",
    "newline": "one\ntwo\r\n\tthree\n",
    "template": "${x} %{if y} $${z} %%{w}",
    "unicode": "é 日本 🎉 \u2028 \u0001",
    "blank": "  ",
    "empty": "",
    "looks_like": "true",
    "number_text": "007",
    "list": ["eu-west-2a", "eu-west-2b"],
    "nested": {"a": {"b": [{"c": None, "d": True}], "${k}": 1, "//": "x", "a b": False}, "n": 12},
    "yes": True,
    "no": False,
    "zero": 0,
    "large": 12345678901234567890123,
    "fraction": -0.125,
    "no_list": [],
    "no_map": {},
    "nothing": None,
}
"""Values that other wrappers of terraform mangled, cut or turned into text."""


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Made:
    """A stack in a checkout, the fake, and the class at work on both."""

    def __init__(self, tmp_path: Path, **scenario: Any) -> None:
        self.stack = tmp_path / "checkout" / "cluster"
        self.stack.mkdir(parents=True)
        (self.stack / "main.tf").write_text("# nothing\n", encoding="utf-8")
        self.work = tmp_path / "work"
        self.bin = tmp_path / "bin"
        self.program = fake_terraform.install(self.bin, **scenario)

    def terraform(self, *, init: bool = True, **more: Any) -> Terraform:
        found = Terraform(self.program, self.stack, self.work, **more)
        if init:
            found.init()
        return found

    @property
    def source(self) -> Path:
        return self.work / SOURCE


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


# What terraform is given.


def test_each_state_of_a_region_has_its_own_directory_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    pairs = [(region, name) for region in ("r1", "r2") for name in ("foundation", "cluster")]
    assert len({work_dir(*pair) for pair in pairs} | {Path(state_key(*pair)) for pair in pairs}) == 8
    assert state_key("r1", "state") == state_key("r2", "state") == "state.tfstate", "it belongs to no region"
    assert work_dir("r1", "cluster") == Path("/s/kontrol/r1/terraform/cluster")
    assert state_key("r1", "cluster") == "r1/cluster.tfstate"
    for function in (work_dir, state_key):
        with pytest.raises(KontrolError, match='State "clutser" is not known; use one of: state, foundation, cluster'):
            function("r1", "clutser")


def test_nothing_is_written_to_the_checkout(made: Made) -> None:
    made.stack.chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in made.stack.parent.rglob("*")}
    terraform = made.terraform(setup=Setup(variables={"a": 1}, backend={"bucket": "b"}))
    terraform.apply(terraform.plan())
    assert {path: path.stat().st_mtime_ns for path in made.stack.parent.rglob("*")} == before
    assert made.work.stat().st_mode & 0o777 == 0o700
    chdir = {one["argv"][0] for one in calls(made.bin) if one["verb"] != "version"}
    assert chdir == {f"-chdir={made.source}"}


def test_a_directory_that_others_could_read_is_closed(made: Made) -> None:
    made.work.mkdir(mode=0o755)
    made.terraform()
    assert made.work.stat().st_mode & 0o777 == 0o700


def test_the_copy_follows_the_source_and_keeps_what_is_terraforms(tmp_path: Path) -> None:
    root, work = tmp_path / "root", tmp_path / "work"
    for name in (
        "main.tf",
        "old/old.tf",
        "terraform.tfvars",
        "x.auto.tfvars.json",
        ".terraform/x",
        "terraform.tfstate",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1", encoding="utf-8")
    (root / "main.tf").chmod(0o444)
    work.mkdir()
    stage(root, work)
    copied = {str(path.relative_to(work / SOURCE)) for path in (work / SOURCE).rglob("*") if path.is_file()}
    assert copied == {"main.tf", "old/old.tf"}
    kept = [work / SOURCE / name for name in (".terraform/plugin", "terraform.tfstate", ".terraform.lock.hcl", "made")]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("kept", encoding="utf-8")
    (root / "old" / "old.tf").unlink()
    (root / "main.tf").chmod(0o644)
    (root / "main.tf").write_text("2", encoding="utf-8")
    stage(root, work)
    assert (work / SOURCE / "main.tf").read_text(encoding="utf-8") == "2"
    assert not (work / SOURCE / "old" / "old.tf").exists()
    assert [path.read_text(encoding="utf-8") for path in kept] == ["kept"] * 4


def test_a_kill_while_copying_leaves_nothing_that_the_next_copy_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, work = tmp_path / "root", tmp_path / "work"
    root.mkdir()
    work.mkdir()
    (root / "a.tf").touch()
    stage(root, work)
    (root / "b.tf").touch()
    (root / "a.tf").rename(root / "c.tf")

    def interrupted(*_args: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stage(root, work)
    stage(root, work)
    assert sorted(path.name for path in (work / SOURCE).iterdir()) == ["b.tf", "c.tf"]


def test_modules_beside_the_stack_come_with_its_root(made: Made) -> None:
    module = made.stack.parent / "modules" / "net"
    module.mkdir(parents=True)
    (module / "main.tf").write_text("# net\n", encoding="utf-8")
    made.terraform(setup=Setup(root=made.stack.parent))
    assert (made.source / "modules" / "net" / "main.tf").exists()
    assert calls(made.bin, "init")[0]["argv"][0] == f"-chdir={made.source / 'cluster'}"
    with pytest.raises(TerraformError, match="is not in the folder"):
        made.terraform(setup=Setup(root=module))


def test_a_folder_without_a_stack_is_refused(made: Made) -> None:
    (made.stack / "main.tf").unlink()
    with pytest.raises(TerraformError, match=r'cluster" has no file \*\.tf; give the folder of a stack'):
        made.terraform()
    assert verbs(made.bin) == ["version"]


def test_values_go_in_a_private_file_and_not_in_arguments(made: Made) -> None:
    backend = {"bucket": "b", "secret_key": CANARY, "assume_role": {"arn": 'a"b'}}
    made.terraform(setup=Setup(variables={"password": CANARY, **HARD}, backend=backend))
    (call,) = calls(made.bin, "init")
    variables, settings = str(made.source / VARIABLES), str(made.work / BACKEND)
    assert json.loads(call["files"][variables]) == {"password": CANARY, **HARD}
    assert json.loads(call["files"][settings]) == backend
    assert call["modes"][variables] == call["modes"][settings] == "0o600"
    assert call["argv"] == [
        f"-chdir={made.source}",
        "init",
        "-no-color",
        "-input=false",
        f"-backend-config={settings}",
    ]
    assert CANARY not in json.dumps([one["argv"] for one in calls(made.bin)])
    assert CANARY not in json.dumps([one["env"] for one in calls(made.bin)])
    assert CANARY not in repr(Setup(variables={"password": CANARY}))


@pytest.mark.parametrize("name", HARD)
def test_a_hard_value_is_literal_in_the_file(name: str) -> None:
    found = json.loads(json_text({name: HARD[name]}, "Variable"))[name]
    assert found == HARD[name]
    assert type(found) is type(HARD[name])


def test_types_of_others_become_those_of_json() -> None:
    class Tagged(str):
        __slots__ = ()

    class Settings(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"a": (1, Tagged("x"))}[key]

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    assert json.loads(json_text({"v": Settings()}, "Variable")) == {"v": {"a": [1, "x"]}}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"a": float("nan")}, 'Variable "a" holds a float'),
        ({"a": [float("inf")]}, 'Variable "a" holds a float'),
        ({"a": {"b": {CANARY}}}, 'Variable "a" holds a set'),
        ({"a": {1: CANARY}}, 'Variable "a" holds a dict'),
        ({"a": CANARY.encode()}, 'Variable "a" holds a bytes'),
        ({"a": f"\ud800{CANARY}"}, 'Variable "a" holds a str'),
        ({"a b": CANARY}, 'Variable "a b" is no name of terraform'),
        ({"//": CANARY}, 'Variable "//" is no name of terraform'),
    ],
)
def test_what_cannot_be_given_is_refused_without_the_value(values: dict[str, Any], text: str) -> None:
    with pytest.raises(KontrolError, match=re.escape(text)) as caught:
        json_text(values, "Variable")
    assert CANARY not in str(caught.value)


def test_nothing_of_the_callers_settings_reaches_it(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("VAR_a", "CLI_ARGS", "CLI_ARGS_plan", "WORKSPACE", "LOG", "LOG_PATH", "DATA_DIR", "INPUT", "ENCRYPTION")
    for name in names:
        monkeypatch.setenv(f"TF_{name}", "/elsewhere")
    monkeypatch.setenv("AWS_PROFILE", "/elsewhere")
    monkeypatch.setenv("KONTROL_RUN", "kept")
    terraform = made.terraform(setup=Setup(env={"AWS_ACCESS_KEY_ID": "id", "TF_TOKEN_example_com": "t"}))
    terraform.apply(terraform.plan())
    for call in calls(made.bin):
        assert "/elsewhere" not in call["env"].values()
        mine = {name: value for name, value in call["env"].items() if name.startswith(("TF_", "CHECKPOINT_"))}
        assert mine == {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_TOKEN_example_com": "t"}
        assert call["env"]["KONTROL_RUN"] == "kept"
        assert call["env"]["AWS_ACCESS_KEY_ID"] == "id"


@pytest.mark.parametrize("name", ["TF_VAR_a", "TF_CLI_ARGS_apply", "TF_WORKSPACE", "TF_LOG"])
def test_a_setting_cannot_come_in_as_a_credential(made: Made, name: str) -> None:
    with pytest.raises(KontrolError, match=f'Variable "{name}" would change what terraform does'):
        made.terraform(setup=Setup(env={name: "x"}))
    assert calls(made.bin) == []


def test_every_call_is_without_questions_and_colours(made: Made) -> None:
    terraform = made.terraform()
    terraform.validate()
    terraform.apply(terraform.plan())
    for call in calls(made.bin):
        assert ("-no-color" in call["argv"]) is (call["verb"] not in {"version", "show", "output"})
        assert ("-input=false" in call["argv"]) is (call["verb"] in {"init", "plan", "apply"})


def test_providers_come_from_a_folder_or_as_the_lock_file_says(made: Made, tmp_path: Path) -> None:
    (made.stack / ".terraform.lock.hcl").write_text("# reviewed\n", encoding="utf-8")
    made.terraform(setup=Setup(plugin_dir=tmp_path))
    made.terraform()
    first, second = (one["argv"][3:] for one in calls(made.bin, "init"))
    assert first == ["-input=false", f"-plugin-dir={tmp_path}"]
    assert second == ["-input=false", "-lockfile=readonly"]


def test_a_backend_that_the_stack_does_not_declare_is_an_error(tmp_path: Path) -> None:
    made = Made(tmp_path, backend=False)
    with pytest.raises(TerraformError, match='Stack "cluster" declares no backend'):
        made.terraform(setup=Setup(backend={"bucket": "b"}))


def test_what_holds_values_can_be_removed(made: Made) -> None:
    terraform = made.terraform(setup=Setup(variables={"a": CANARY}, backend={"b": CANARY}))
    terraform.plan()
    terraform.clean()
    left = [path for path in made.work.rglob("*") if path.is_file()]
    assert left
    assert not any(CANARY in path.read_text(encoding="utf-8") for path in left)
    assert not (made.work / PLAN).exists()
    with pytest.raises(TerraformError, match='Stack "cluster" is not initialised; call init first'):
        terraform.plan()


# Versions.


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("terraform", "1.5.0", ""),
        ("terraform", "1.11.4", ""),
        ("terraform", "2.0.0", ""),
        ("terraform", "1.4.7", 'is terraform "1.4.7", needed is 1.5.0 or later'),
        ("terraform", "0.15.5", 'is terraform "0.15.5", needed is 1.5.0 or later'),
        ("tofu", "1.6.0", ""),
        ("tofu", "1.5.7", 'is tofu "1.5.7", needed is 1.6.0 or later'),
        ("terraform", "no json", "printed no JSON; is it terraform?"),
        ("terraform", "dev", "tells no version; is it terraform or tofu?"),
    ],
)
def test_versions(tmp_path: Path, name: str, version: str, text: str) -> None:
    made = Made(tmp_path)
    made.program = fake_terraform.install(made.bin, name, version=version)
    terraform = made.terraform(init=False)
    if not text:
        assert terraform.version() == version
        terraform.init()
        return
    with pytest.raises(TerraformError, match=re.escape(text)):
        terraform.init()
    assert verbs(made.bin) == ["version"]


def test_a_program_that_is_not_there_is_told(made: Made) -> None:
    made.program = made.bin / "gone"
    with pytest.raises(ToolError, match="could not be started"):
        made.terraform()
    with pytest.raises(ToolError, match="absolute path"):
        GentleRunner()(["terraform"])
    with pytest.raises(ToolError, match="without input"):
        GentleRunner()(["/bin/cat"], input=CANARY)


# Plan and apply.


def test_a_plan_is_read_from_a_private_file(made: Made) -> None:
    plan = made.terraform().plan(lock_timeout=4.2)
    assert plan.changed
    assert plan.counts() == {"create": 5}
    assert plan.file == made.work / PLAN
    assert plan.file.stat().st_mode & 0o777 == 0o600
    assert calls(made.bin, "plan")[0]["argv"][3:] == [
        "-input=false",
        "-detailed-exitcode",
        f"-out={plan.file}",
        "-lock-timeout=5s",
    ]


def test_the_plan_file_is_never_open_to_others(made: Made) -> None:
    """The fake writes into the file that is there, as terraform does; its mode then was that of before."""
    old = os.umask(0)
    try:
        modes: list[int] = []

        def runner(argv: Any, **more: Any) -> Any:
            if "plan" in argv:
                modes.append((made.work / PLAN).stat().st_mode & 0o777)
            return GentleRunner()(argv, **more)

        terraform = made.terraform(runner=runner)
        terraform.plan()
    finally:
        os.umask(old)
    assert modes == [0o600]


def test_a_plan_file_that_was_replaced_is_closed_too(tmp_path: Path) -> None:
    made = Made(tmp_path, replaces_file=True)
    assert made.terraform().plan().file.stat().st_mode & 0o777 == 0o600


def test_what_is_as_declared_is_not_applied(made: Made) -> None:
    terraform = made.terraform()
    terraform.apply(terraform.plan())
    again = terraform.plan()
    assert not again.changed
    terraform.apply(again)
    assert verbs(made.bin) == ["version", "init", "plan", "show", "apply", "plan", "show"]


def test_an_exit_code_of_two_means_changed_even_without_resources(tmp_path: Path) -> None:
    made = Made(tmp_path, plan={"format_version": "1.2", "resource_changes": []}, plan_rc=2)
    terraform = made.terraform()
    plan = terraform.plan()
    assert plan.changed
    terraform.apply(plan)
    assert len(calls(made.bin, "apply")) == 1


def test_only_the_plan_that_was_read_is_applied(made: Made) -> None:
    terraform = made.terraform()
    plan = terraform.plan()
    terraform.apply(plan, lock_timeout=7)
    (call,) = calls(made.bin, "apply")
    assert call["argv"] == [
        f"-chdir={made.source}",
        "apply",
        "-no-color",
        "-input=false",
        "-lock-timeout=7s",
        str(plan.file),
    ]
    assert not plan.file.exists()


@pytest.mark.parametrize("how", ["other", "gone", "elsewhere"])
def test_another_plan_file_is_refused(made: Made, tmp_path: Path, how: str) -> None:
    terraform = made.terraform()
    plan = terraform.plan()
    if how == "other":
        plan.file.write_text(plan.file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    elif how == "gone":
        plan.file.unlink()
    else:
        shutil.copy(plan.file, tmp_path / PLAN)
        plan = Plan(tmp_path / PLAN, plan.digest, changed=True)
    with pytest.raises(TerraformError, match=r'kontrol\.plan" is not the one that was read; plan again'):
        terraform.apply(plan)
    assert calls(made.bin, "apply") == []


def test_a_state_that_was_never_saved_stops_everything(made: Made) -> None:
    terraform = made.terraform()
    (made.source / "errored.tfstate").write_text("{}", encoding="utf-8")
    with pytest.raises(
        TerraformError, match=r"was never saved to its backend; save it with `terraform -chdir=\S+ state"
    ):
        terraform.plan()
    assert calls(made.bin, "plan") == []


def test_a_destroy_is_shown_first_and_takes_what_a_failed_apply_left(tmp_path: Path) -> None:
    made = Made(tmp_path, fail_after=2)
    terraform = made.terraform()
    with pytest.raises(TerraformError, match="what was made so far is in the state"):
        terraform.apply(terraform.plan())
    assert not (made.work / PLAN).exists()
    play(made.bin)
    shown: list[tuple[dict[str, int], int]] = []
    done = terraform.destroy(lambda plan: shown.append((plan.counts(), len(calls(made.bin, "apply")))))
    assert shown == [({"delete": 2}, 1)]
    assert done.destroy
    assert not terraform.plan(destroy=True).changed
    assert "-destroy" in calls(made.bin, "plan")[1]["argv"]


def test_a_review_can_stop_a_destroy(made: Made) -> None:
    terraform = made.terraform()
    terraform.apply(terraform.plan())

    def refuse(plan: Plan) -> None:
        raise KontrolError(f"{plan.counts()['delete']} are too many")

    with pytest.raises(KontrolError, match="5 are too many"):
        terraform.destroy(refuse)
    assert len(calls(made.bin, "apply")) == 1


def test_progress_is_told_without_ids(made: Made) -> None:
    told: list[str] = []
    terraform = made.terraform(on_progress=told.append, setup=Setup(variables={"a": "fake_thing.b"}))
    terraform.apply(terraform.plan())
    assert told[0] == "fake_thing.a: Creating..."
    assert told[1] == "(value of a): Creating..."
    assert len(told) == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a_b.c: Creating...", "a_b.c: Creating..."),
        ('module.m["eu west"].a_b.c[0]: Destroying... [id=x]', 'module.m["eu west"].a_b.c[0]: Destroying...'),
        ("a_b.c: Still creating... [10s elapsed]", "a_b.c: Still creating..."),
        ("a_b.c: Modifications complete after 1m30s [id=x]", "a_b.c: Modifications complete after 1m30s"),
        ("\x1b[1ma_b.c: Creating...\x1b[0m", "a_b.c: Creating..."),
        (f"a_b.c (local-exec): Creating... {CANARY}", ""),
        (f"a_b.c: Creating {CANARY}", ""),
        (f"{CANARY} a_b.c: Creating...", ""),
        (f'url = "{CANARY}"', ""),
    ],
)
def test_progress_is_only_what_terraform_itself_tells(made: Made, line: str, told: str) -> None:
    heard: list[str] = []
    made.terraform(init=False, on_progress=heard.append)._progress(line)
    assert heard == [told] * bool(told)


def test_outputs_do_not_show_what_is_sensitive(tmp_path: Path) -> None:
    printed = {
        "url": {"sensitive": False, "type": "string", "value": "https://x"},
        "password": {"sensitive": True, "type": "string", "value": CANARY},
    }
    outputs = Made(tmp_path, outputs=printed).terraform().outputs()
    assert repr(outputs) == "{'url': Output('https://x'), 'password': Output((sensitive))}"
    assert CANARY not in f"{outputs} {outputs['password']}"
    assert outputs.value("password") == CANARY
    assert outputs["password"].sensitive
    with pytest.raises(TerraformError, match='Output "uri" is not there'):
        outputs.value("uri")
    assert Outputs(a=Output(1, sensitive=False)).value("a") == 1


def test_no_outputs_where_nothing_was_applied(made: Made) -> None:
    assert made.terraform().outputs() == {}


def test_all_that_the_state_holds(made: Made) -> None:
    terraform = made.terraform()
    assert terraform.resources() == []
    terraform.apply(terraform.plan())
    assert terraform.resources() == [f"fake_thing.{name}" for name in "abcde"] + ["module.m.fake_thing.inner"]


def test_a_bucket_for_states_that_is_not_there_is_told_apart(made: Made) -> None:
    text = 'Failed to get existing workspaces: S3 bucket "b" does not exist.\n\nThe referenced S3 bucket must'
    play(made.bin, errors={"init": bare(text)})
    with pytest.raises(
        StoreMissingError, match='State of stack "cluster" has no bucket to be kept in; make the foundation first'
    ):
        made.terraform()


# Check mode.


def test_check_mode_only_looks(made: Made) -> None:
    terraform = made.terraform(check=True)
    terraform.validate()
    plan = terraform.plan()
    terraform.outputs()
    unasked: list[Plan] = []
    writing: dict[str, Callable[[], object]] = {
        "apply": lambda: terraform.apply(plan),
        "destroy": lambda: terraform.destroy(unasked.append),
        "unlock": lambda: terraform.unlock(LOCK_ID),
        "untaint": terraform.lock,
    }
    for verb, call in writing.items():
        with pytest.raises(TerraformError, match=f'Terraform {verb} of stack "cluster" is not for check mode'):
            call()
    assert unasked == []
    assert verbs(made.bin) == ["version", "init", "validate", "plan", "show", "output"]
    assert set(verbs(made.bin)) == READING


# Errors.

INVALID = f"""Invalid value for variable

  on kontrol.auto.tfvars.json line 1:
   1: {{"password": "{CANARY}", "other": "{CANARY}"}}
    ├────────────────
    │ var.password is "{CANARY}"

The password must not be {CANARY}.

This was checked by the validation rule at main.tf:17,3-13."""
SAID = (
    "Invalid value for variable: The password must not be (value of password). "
    "This was checked by the validation rule at main.tf:17,3-13 (kontrol.auto.tfvars.json line 1)"
)


@pytest.mark.parametrize("shape", [bare, framed])
@pytest.mark.parametrize("verb", ["init", "validate", "plan", "show", "apply", "output"])
def test_an_error_is_one_sentence_without_values(made: Made, verb: str, shape: Callable[[str], str]) -> None:
    setup = Setup(variables={"password": CANARY})
    plan = made.terraform(setup=setup).plan()
    play(made.bin, errors={verb: shape(INVALID)})
    terraform = made.terraform(init=False, setup=setup)
    terraform._ready = True
    commands: dict[str, Callable[[], object]] = {
        "init": terraform.init,
        "validate": terraform.validate,
        "plan": terraform.plan,
        "show": terraform.plan,
        "apply": lambda: terraform.apply(plan),
        "output": terraform.outputs,
    }
    with pytest.raises(TerraformError) as caught:
        commands[verb]()
    more = ", what was made so far is in the state" if verb == "apply" else ""
    assert str(caught.value) == f'Terraform {verb} of stack "cluster" failed: {SAID}; correct it and run again{more}'


@pytest.mark.parametrize("shape", [bare, framed])
def test_every_error_is_told_and_each_once(shape: Callable[[str], str]) -> None:
    text = (
        shape("execution halted")
        + shape("execution halted")
        + shape("Warning\n\nnot one").replace("Error: ", "Warning: ")
        + shape(
            'local-exec provisioner error\n\n  with terraform_data.b["x"],\n  on main.tf line 26, in resource "t" "b":'
        )
    )
    assert sentences(text) == [
        "execution halted",
        'local-exec provisioner error (terraform_data.b["x"], main.tf line 26)',
    ]


def test_a_very_long_error_is_cut() -> None:
    (found,) = sentences(bare("Much\n\n" + "word " * 500))
    assert len(found) < 800
    assert found.endswith("...")


def test_an_error_without_a_sentence_has_the_last_lines(made: Made) -> None:
    terraform = made.terraform(setup=Setup(variables={"a": CANARY}, env={"KEY": "env-secret"}))
    play(made.bin, errors={"validate": f"one\ntwo\nthree {CANARY}\n\nfour env-secret\n"})
    with pytest.raises(TerraformError, match=r"failed: two; three \(value of a\); four \(value of KEY\); correct"):
        terraform.validate()
    play(made.bin, errors={"validate": ""})
    with pytest.raises(TerraformError, match="failed: it said nothing; correct"):
        terraform.validate()


@pytest.mark.parametrize(
    ("values", "text", "hidden"),
    [
        ({"a": "long-secret"}, "xlong-secretx", "x(value of a)x"),
        ({"a": "main"}, "main domain main.tf", "(value of a) domain (value of a).tf"),
        ({"a": "x"}, 'x is "x"', 'x is "(value of a)"'),
        ({"a": 6443}, "dial :6443", "dial :(value of a)"),
        ({"a": True, "b": None, "c": ""}, "True None", "True None"),
        ({"a": ["first-one", {"k": "second-one"}]}, "first-one second-one", "(value of a) (value of a)"),
        ({"a": 'say "hello" now'}, r'got "say \"hello\" now"', 'got "(value of a)"'),
        ({"a": "two\n  lines"}, "got two lines", "got (value of a)"),
        ({"a": "long-secret", "b": "long-secret-2"}, "long-secret-2", "(value of b)"),
        ({"a": "value of"}, "is value of", "is (value of a)"),
        ({"a": "e\u0301e\u0301e\u0301e\u0301"}, "ééé\u00e9", "(value of a)"),
        ({}, "as it is", "as it is"),
    ],
)
def test_values_are_hidden(values: dict[str, Any], text: str, hidden: str) -> None:
    assert hide(text, values) == hidden


def test_a_secret_of_the_backend_is_hidden_and_its_place_is_not(made: Made) -> None:
    terraform = made.terraform(setup=Setup(backend={"bucket": "my-bucket", "secret_key": "my-secret-key"}))
    play(made.bin, errors={"validate": bare("no bucket my-bucket for my-secret-key")})
    with pytest.raises(TerraformError, match=r"no bucket my-bucket for \(value of secret_key\);"):
        terraform.validate()


# Locks.


@pytest.mark.parametrize("shape", [bare, framed])
def test_a_lock_is_parsed(shape: Callable[[str], str]) -> None:
    assert LockInfo.parse(shape(LOCK)) == LockInfo(
        id=LOCK_ID,
        path="kontrol-states/kontrol/r1/cluster.tfstate",
        operation="apply",
        who="root@vm",
        version="1.11.4",
        created="2026-11-25 13:16:22.756468816 +0000 UTC",
    )


@pytest.mark.parametrize("shape", [bare, framed])
def test_over_http_the_lock_that_is_shown_is_not_the_one_that_holds(shape: Callable[[str], str]) -> None:
    """As terraform 1.11 writes it: id, owner and time below are those of the run that asks."""
    text = shape(
        LOCK.replace("resource temporarily unavailable", "HTTP remote state already locked:\nID=cb474907-5600")
    )
    assert LockInfo.parse(text) == LockInfo("cb474907-5600")
    assert "of which the backend tells no more than its lock" in str(StateLockedError("cluster", LockInfo("cb47")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        bare("other"),
        bare("Error acquiring the state lock\n\nError message: refused"),
        bare(LOCK.replace(LOCK_ID, "")),
    ],
)
def test_no_lock_no_lock_info(text: str) -> None:
    assert LockInfo.parse(text) is None


def test_the_age_of_a_lock() -> None:
    at = datetime(2026, 11, 25, 13, 23, 25, tzinfo=UTC)
    assert LockInfo("x", created="2026-11-25 13:16:22.756468816 +0000 UTC").age(at) == "7 min"
    assert LockInfo("x", created="2026-11-25T13:16:22Z").age(at) == "7 min"
    assert LockInfo("x", created="2026-11-25 13:16:22 +0000 UTC").age(at) == "7 min"
    assert LockInfo("x", created="yesterday").age(at) == ""


def test_a_lock_whose_backend_cannot_be_reached_gives_no_advice_to_do_without(made: Made) -> None:
    terraform = made.terraform()
    play(made.bin, errors={"plan": bare(re.sub(r"Lock Info:\n(  .*\n)+", "", LOCK))})
    with pytest.raises(TerraformError, match="lock: Error message: resource temporarily unavailable;") as caught:
        terraform.plan()
    assert "-lock=false" not in str(caught.value)


@pytest.mark.parametrize("frames", [False, True])
def test_a_killed_apply_leaves_a_lock_that_the_next_run_explains(tmp_path: Path, frames: bool) -> None:
    made = Made(tmp_path, apply="hang", frames=frames)
    terraform = made.terraform()
    plan = terraform.plan()
    killer = threading.Thread(target=kill, args=[made])
    killer.start()
    with pytest.raises(
        TerraformError, match='Terraform apply of stack "cluster" was ended by signal 9: it said nothing'
    ):
        terraform.apply(plan)
    killer.join()
    with pytest.raises(StateLockedError) as caught:
        made.terraform().plan()
    text = str(caught.value)
    assert text.startswith('State of stack "cluster" is locked by "root@vm", operation "apply", for ')
    assert re.search(r"for \d+ (s|min|h|days), lock ", text)
    assert text.endswith(f"when it is dead, run again with -e unlock={LOCK_ID}")
    assert caught.value.lock.id == LOCK_ID
    assert calls(made.bin, "force-unlock") == []
    play(made.bin)
    terraform.unlock(LOCK_ID)
    terraform.apply(terraform.plan())


def kill(made: Made) -> None:
    wait_for(lambda: (made.bin / "pid").exists() and (made.bin / "pid").read_text(encoding="utf-8") != "")
    os.kill(int((made.bin / "pid").read_text(encoding="utf-8")), signal.SIGKILL)


def test_only_the_lock_that_holds_is_taken_away(made: Made) -> None:
    terraform = made.terraform()
    with pytest.raises(TerraformError, match='State of stack "cluster" is not locked; run again without -e unlock'):
        terraform.unlock(LOCK_ID)
    (made.bin / "lock").write_text("held", encoding="utf-8")
    with pytest.raises(TerraformError, match=f'Lock "other" does not hold .*held by "root@vm".*{LOCK_ID}'):
        terraform.unlock("other")
    assert calls(made.bin, "force-unlock") == []
    terraform.unlock(LOCK_ID)
    (call,) = calls(made.bin, "force-unlock")
    assert call["argv"][1:] == ["force-unlock", "-no-color", "-force", LOCK_ID]
    assert terraform.lock() is None


def test_a_lock_of_a_run_that_is_alive_is_not_taken_away(tmp_path: Path) -> None:
    made = Made(tmp_path, apply="hang")
    terraform = made.terraform()
    plan = terraform.plan()
    caught: list[TerraformError] = []

    def apply() -> None:
        try:
            terraform.apply(plan)
        except TerraformError as error:
            caught.append(error)

    run = threading.Thread(target=apply)
    run.start()
    wait_for((made.bin / "pid").exists)
    try:
        with pytest.raises(
            TerraformError,
            match=rf'Lock "{LOCK_ID}" .* is not left by a dead run: .* process (\d+); wait .*kill -INT \1`',
        ):
            made.terraform().unlock(LOCK_ID)
    finally:
        kill(made)
        run.join()
    assert "what was made last may not be in the state" in str(caught[0])
    assert calls(made.bin, "force-unlock") == []
    terraform.unlock(LOCK_ID)
    assert len(calls(made.bin, "force-unlock")) == 1


def test_what_a_killed_terraform_leaves_is_ended_too(tmp_path: Path) -> None:
    """Its providers would go on making things that nobody records."""
    pid = tmp_path / "pid"
    assert GentleRunner()(["/bin/sh", "-c", f"sleep 60 & echo $! > {pid}; kill -9 $$"]).rc == -9
    wait_for(lambda: not warden.alive(int(pid.read_text(encoding="utf-8"))))  # nobody may be there to reap it


@pytest.mark.parametrize("lock_id", ["", "-lock=false", "a b", "--help", "x\ny"])
def test_a_lock_id_is_no_option(made: Made, lock_id: str) -> None:
    terraform = made.terraform()
    with pytest.raises(TerraformError, match="is none; give the one that the error named"):
        terraform.unlock(lock_id)
    assert verbs(made.bin) == ["version", "init"]


# Cancelling.


def interrupts(made: Made) -> int:
    path = made.bin / "signals"
    return len(path.read_text(encoding="utf-8").split()) if path.exists() else 0


def test_cancelled_it_is_interrupted_once_and_gives_its_lock_back(tmp_path: Path) -> None:
    made = Made(tmp_path, apply="hang")
    terraform = made.terraform(runner=GentleRunner((made.bin / "pid").exists))
    with pytest.raises(
        TerraformCancelledError, match="was cancelled: it stopped by itself and gave its lock back; run"
    ):
        terraform.apply(terraform.plan())
    assert interrupts(made) == 1
    assert not (made.bin / "lock").exists()


def test_cancelled_and_deaf_it_is_killed_after_its_grace(tmp_path: Path) -> None:
    made = Made(tmp_path, apply="hang", deaf=True)
    terraform = made.terraform(runner=GentleRunner((made.bin / "pid").exists, grace=0.3))
    started = time.monotonic()
    with pytest.raises(
        TerraformCancelledError, match=r"did not stop within 0\.3 s and was killed, so the next run may find"
    ):
        terraform.apply(terraform.plan())
    assert 0.3 < time.monotonic() - started < 15
    assert interrupts(made) == 1
    assert (made.bin / "lock").exists()


def test_what_takes_too_long_is_ended_in_the_same_way(tmp_path: Path) -> None:
    script = f"trap 'echo INT >> {tmp_path}/signals; exit 1' INT; while :; do sleep 0.05; done"
    with pytest.raises(TerraformCancelledError, match="took too long and was ended: it stopped by itself"):
        GentleRunner()(["/bin/sh", "-c", script], timeout=1)
    assert (tmp_path / "signals").read_text(encoding="utf-8") == "INT\n"


SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run in the background, where it is ignored
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([{root!r}])
from pathlib import Path
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import Setup, Terraform
setup = Setup(backend={backend!r}, variables={variables!r})
terraform = Terraform(Path({program!r}), Path({stack!r}), Path({work!r}), setup=setup)
terraform.init()
try:
    terraform.apply(terraform.plan())
except KeyboardInterrupt:
    Path({bin!r}, "told").write_text("KeyboardInterrupt")
"""


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def run_and_signal(number: signal.Signals, begun: Path, made: Any, **setup: Any) -> None:
    """Apply in a process of its own, and send a signal to its group, as a terminal does, in the middle of it."""
    names = {"program": str(made.program), "stack": str(made.stack), "work": str(made.work), "bin": str(begun.parent)}
    given = {"backend": {}, "variables": {}, **setup}
    script = SCRIPT.format(root=str(Path(__file__).resolve().parents[7]), **names, **given)
    run = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    wait_for(begun.exists, 60)
    os.killpg(run.pid, number)
    run.wait(30)
    assert (begun.parent / "told").exists() is (number != signal.SIGKILL)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_run_lets_terraform_give_its_lock_back(tmp_path: Path, number: signal.Signals) -> None:
    made = Made(tmp_path, apply="hang")
    run_and_signal(number, made.bin / "pid", made)
    wait_for(lambda: not (made.bin / "lock").exists())
    time.sleep(0.2)  # a second one would come now
    assert interrupts(made) == 1


def test_the_watcher_goes_with_the_program() -> None:
    GentleRunner()(["/bin/sh", "-c", "exit 0"])
    mine = f"PPid:\t{os.getpid()}\n"
    statuses = [path.read_text(encoding="utf-8") for path in Path("/proc").glob("[0-9]*/status") if path.exists()]
    assert [status for status in statuses if mine in status and "Name:\tsh\n" in status] == []


def test_a_handler_of_the_caller_is_left_alone() -> None:
    def mine(*_: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        GentleRunner()(["/bin/true"])
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        GentleRunner()(["/bin/true"])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_all_of_a_large_output_arrives_and_an_orphan_does_not_hold_it_up() -> None:
    heard: list[str] = []
    done = GentleRunner()(["/bin/sh", "-c", "seq 200000; echo bad >&2; exit 3"], on_line=heard.append)
    assert (done.rc, len(done.stdout.split()), done.stderr) == (3, 200000, "bad\n")
    assert len(heard) == 200001
    started = time.monotonic()
    assert GentleRunner()(["/bin/sh", "-c", "echo out; sleep 20 &"]).stdout == "out\n"
    assert time.monotonic() - started < 10


# The real one, where there is one: only its built-in provider, so nothing is downloaded.

STACK = """
terraform {
  backend "BACKEND" {}
}
variable "hard" {
  type    = any
  default = null
}
variable "defaulted" {
  type     = string
  default  = "the default"
  nullable = false
}
variable "nullable" {
  type    = string
  default = "the default"
}
variable "password" {
  type      = string
  default   = ""
  sensitive = true
  validation {
    condition     = var.password != "refused-CANARY"
    error_message = "This password is refused."
  }
}
variable "command" {
  type    = string
  default = "true"
}
resource "terraform_data" "first" {
  input = var.hard
}
resource "terraform_data" "second" {
  depends_on       = [terraform_data.first]
  triggers_replace = [var.password]
  provisioner "local-exec" {
    command = var.command
  }
}
output "hard" {
  value = terraform_data.first.output
}
output "defaulted" {
  value = var.defaulted
}
output "is_null" {
  value = var.nullable == null
}
output "password" {
  value     = var.password
  sensitive = true
}
"""
PROGRAMS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not on PATH"))
    for name in ("terraform", "tofu")
]


class Real:
    """A stack of built-in resources with its state in a folder of its own, or behind a backend that is given."""

    def __init__(self, name: str, tmp_path: Path) -> None:
        self.program = Path(str(shutil.which(name)))
        self.stack = tmp_path / "checkout" / "cluster"
        self.stack.mkdir(parents=True)
        self.state = tmp_path / 'the "state"' / "cluster.tfstate"
        self.work = tmp_path / "work"
        self.backend: dict[str, Any] = {"path": str(self.state)}
        self.kind = "local"
        self.told: list[str] = []

    def terraform(self, variables: dict[str, Any] | None = None, runner: GentleRunner | None = None) -> Terraform:
        (self.stack / "main.tf").write_text(STACK.replace("BACKEND", self.kind), encoding="utf-8")
        setup = Setup(variables=variables or {}, backend=self.backend)
        found = Terraform(self.program, self.stack, self.work, runner, setup=setup, on_progress=self.told.append)
        found.init()
        return found

    def kill_in_the_middle(self, terraform: Terraform, begun: Path) -> None:
        """Kill -9 terraform itself while its provisioner sleeps."""
        plan = terraform.plan()

        def kill_it() -> None:
            wait_for(begun.exists, 60)
            for folder in Path("/proc").glob("[0-9]*"):
                words = (folder / "cmdline").read_bytes().split(b"\0") if (folder / "cmdline").exists() else []
                if str(self.program).encode() in words[:1] and str(plan.file).encode() in words:
                    os.kill(int(folder.name), signal.SIGKILL)

        killer = threading.Thread(target=kill_it)
        killer.start()
        with pytest.raises(TerraformError, match="was ended by signal 9"):
            terraform.apply(plan)
        killer.join()


@pytest.fixture(params=PROGRAMS)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Real:
    return Real(request.param, tmp_path)


def test_real_hard_values_come_back_unchanged(real: Real) -> None:
    terraform = real.terraform({"hard": HARD, "password": CANARY, "defaulted": None, "nullable": None})
    terraform.validate()
    plan = terraform.plan()
    assert plan.changed
    assert plan.counts() == {"create": 2}
    assert plan.file.stat().st_mode & 0o777 == 0o600
    terraform.apply(plan)
    assert "terraform_data.second: Creating..." in real.told
    outputs = terraform.outputs()
    assert outputs.value("hard") == HARD
    assert outputs["password"].sensitive
    assert CANARY not in repr(outputs)
    assert outputs.value("defaulted") == "the default"
    assert outputs.value("is_null") is True, "null is the default only of a variable that says nullable = false"
    assert not terraform.plan().changed
    assert sorted(path.name for path in real.stack.iterdir()) == ["main.tf"]


def test_real_letters_with_accents_are_composed(real: Real) -> None:
    """The one thing that terraform changes: text is normalised to NFC."""
    terraform = real.terraform({"hard": "e\u0301"})
    terraform.apply(terraform.plan())
    assert terraform.outputs().value("hard") == unicodedata.normalize("NFC", "e\u0301") != "e\u0301"


def test_real_plan_has_what_is_unknown_sensitive_and_replaced(real: Real) -> None:
    terraform = real.terraform({"hard": {"a": 1}, "password": "old-CANARY"})
    plan = terraform.plan()
    first, second = plan.changes
    assert (first.address, first.action) == ("terraform_data.first", "create")
    assert "id" in first.unknown
    assert second.sensitive == ("triggers_replace[0]",)
    told = plan.canonical(lambda text: f"sealed {len(text)}")
    assert "CANARY" not in json.dumps(told)
    assert plan.canonical(lambda text: f"sealed {len(text)}") == terraform.plan().canonical(
        lambda text: f"sealed {len(text)}"
    )
    terraform.apply(terraform.plan())
    plan = real.terraform({"hard": {"a": 1}, "password": "new-CANARY"}).plan()
    (replaced,) = plan.losses()
    assert (replaced.address, replaced.action) == ("terraform_data.second", "replace")
    assert replaced.replace_paths == ("triggers_replace",)
    assert {one.address: one.action for one in plan.outputs}["output.password"] == "update"


def test_real_errors_hold_no_value(real: Real) -> None:
    """Terraform shows the line of the file of variables that a refused value is on: all of them, were it one line."""
    terraform = real.terraform({"password": "refused-CANARY", "command": "also-CANARY"})
    with pytest.raises(TerraformError, match="failed: Invalid value for variable: This password is refused") as caught:
        terraform.plan()
    assert "CANARY" not in str(caught.value)


def test_real_destroy_takes_what_a_failed_apply_left(real: Real) -> None:
    terraform = real.terraform({"command": "exit 3"})
    with pytest.raises(
        TerraformError, match=r"local-exec provisioner error.*\(terraform_data.second, main.tf line \d+\)"
    ):
        terraform.apply(terraform.plan())
    shown: list[dict[str, int]] = []
    terraform.destroy(lambda plan: shown.append(plan.counts()))
    assert shown == [{"delete": 2}]
    assert not terraform.plan(destroy=True).changed


def test_real_local_lock_dies_with_the_process(real: Real, tmp_path: Path) -> None:
    """The lock is the kernel's (fcntl). The file beside the state stays, and the next run does not mind it."""
    begun = tmp_path / "begun"
    terraform = real.terraform({"command": f"touch {begun}; exec sleep 5"})
    real.kill_in_the_middle(terraform, begun)
    note = real.state.with_name(f".{real.state.name}.lock.info")
    assert json.loads(note.read_text(encoding="utf-8"))["Operation"] == "OperationTypeApply"
    assert terraform.lock() is None
    assert not note.exists()
    plan = real.terraform().plan()
    assert plan.counts() == {"create": 1, "none": 1}


def test_real_local_lock_of_a_live_run_is_named_after_the_timeout(real: Real, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    terraform = real.terraform({"command": f"touch {begun}; exec sleep 60"}, GentleRunner((tmp_path / "stop").exists))
    plan = terraform.plan()
    caught: list[BaseException] = []

    def apply() -> None:
        try:
            terraform.apply(plan)
        except TerraformCancelledError as error:
            caught.append(error)

    holder = threading.Thread(target=apply)
    holder.start()
    try:
        wait_for(begun.exists, 60)
        real.work = tmp_path / "other"
        other = real.terraform()
        started = time.monotonic()
        with pytest.raises(StateLockedError, match=r'operation "apply", for \d+ s, lock "[-0-9a-f]{36}"') as locked:
            other.plan(lock_timeout=2)
        assert 2 <= time.monotonic() - started < 30
        with pytest.raises(TerraformError, match="LocalState not locked"):
            other.unlock(locked.value.lock.id)
    finally:
        (tmp_path / "stop").touch()
        holder.join(60)
    assert "it stopped by itself and gave its lock back" in str(caught[0])
    assert other.lock() is None


class StateServer(http.server.BaseHTTPRequestHandler):
    """The http backend's other side: a state and a lock in memory, and a lock outlives whoever took it."""

    kept: ClassVar[dict[str, bytes]] = {}

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, out = getattr(self, f"on_{self.command.lower()}")(body)
        self.send_response(code)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_LOCK = do_UNLOCK = answer  # noqa: N815 - the names that the base class calls

    def on_get(self, _body: bytes) -> tuple[int, bytes]:
        return (200, self.kept["state"]) if "state" in self.kept else (404, b"")

    def on_post(self, body: bytes) -> tuple[int, bytes]:
        self.kept["state"] = body
        return 200, b""

    def on_lock(self, body: bytes) -> tuple[int, bytes]:
        return (423, self.kept["lock"]) if self.kept.setdefault("lock", body) is not body else (200, b"")

    def on_unlock(self, _body: bytes) -> tuple[int, bytes]:
        self.kept.pop("lock", None)
        return 200, b""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    StateServer.kept.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StateServer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/state"
    server.shutdown()
    server.server_close()
    thread.join()


def test_real_lock_of_a_killed_run_is_explained_and_taken_away_by_its_id(
    real: Real, tmp_path: Path, address: str
) -> None:
    begun = tmp_path / "begun"
    real.kind = "http"
    real.backend = {"address": address, "lock_address": address, "unlock_address": address}
    terraform = real.terraform({"command": f"touch {begun}; exec sleep 5"})
    real.kill_in_the_middle(terraform, begun)
    left = json.loads(StateServer.kept["lock"])["ID"]
    with pytest.raises(StateLockedError, match=f"run again with -e unlock={left}$"):
        real.terraform().plan(lock_timeout=0)
    terraform = real.terraform()
    with pytest.raises(TerraformError, match='Lock "nonsense" does not hold the state'):
        terraform.unlock("nonsense")
    assert json.loads(StateServer.kept["lock"])["ID"] == left
    terraform.unlock(left)
    terraform.apply(terraform.plan())
    assert not terraform.plan().changed
    assert "lock" not in StateServer.kept


@pytest.mark.parametrize("number", SIGNALS)
def test_real_lock_is_given_back_when_the_run_is_ended(
    real: Real, tmp_path: Path, address: str, number: signal.Signals
) -> None:
    begun = tmp_path / "begun"
    real.kind = "http"
    real.backend = {"address": address, "lock_address": address, "unlock_address": address}
    real.terraform()
    run_and_signal(number, begun, real, backend=real.backend, variables={"command": f"touch {begun}; exec sleep 60"})
    wait_for(lambda: "lock" not in StateServer.kept)
    plan = real.terraform().plan()
    assert plan.counts() == {"none": 1, "replace": 1}, "what was begun is in the state, and to be made again"


def test_real_another_backend_is_refused_and_not_begun_anew(real: Real) -> None:
    terraform = real.terraform()
    terraform.apply(terraform.plan())
    real.backend = {"path": str(real.state.with_name("other.tfstate"))}
    with pytest.raises(TerraformError, match="Backend configuration changed"):
        real.terraform()
