"""The engine's action plugins: arguments, templates, check mode, results, errors; and once through a play."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.kontrol.platform.plugins.action import apply, delete, read, wait
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction, plain
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "kontrol-system"},
    "data": {"k": "v"},
}
REFERENCE = {"api_version": "v1", "kind": "ConfigMap", "namespace": "kontrol-system", "name": "a"}
ROOT = next(parent for parent in Path(__file__).resolve().parents if (parent / "collections").is_dir())
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def api() -> Iterator[StubApi]:
    with StubApi() as server:
        yield server


@pytest.fixture
def run(api: StubApi, tmp_path: Path) -> Run:
    """Run an action plugin as a task would; the kubeconfig is filled in unless it is given."""
    kubeconfig = api.kubeconfig(tmp_path)

    def one(
        plugin: Any, check: bool = False, diff: bool = False, variables: dict[str, Any] | None = None, **args: Any
    ) -> dict[str, Any]:
        task = SimpleNamespace(
            args={"kubeconfig": kubeconfig, **args},
            check_mode=check,
            diff=diff,
            async_val=0,
            action="kontrol.platform.x",
            get_search_path=lambda: [str(tmp_path)],
        )
        loader = DataLoader()
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action: KontrolAction = plugin.ActionModule(
            task=task,
            connection=connection,
            play_context=SimpleNamespace(),
            loader=loader,
            templar=Templar(loader=loader),
            shared_loader_obj=None,
        )
        return action.run(task_vars=variables or {})

    return one


@pytest.fixture
def template(tmp_path: Path) -> Callable[[str, str], None]:
    (tmp_path / "templates").mkdir()

    def write(name: str, text: str) -> None:
        (tmp_path / "templates" / name).write_text(text)

    return write


class TestArguments:
    def test_the_sum_of_problems_is_one_message(self, run: Run) -> None:
        result = run(apply, max_prune="many", colour="red", definitions={"not": "a list"})
        assert result["failed"] is True
        assert result["changed"] is False
        assert result["msg"].startswith("Arguments of 'kontrol.platform.x' are wrong: ")
        assert "max_prune" in result["msg"]
        assert "colour" in result["msg"]
        assert "Argument 'definitions' must be a list" in result["msg"]

    @pytest.mark.parametrize("plugin", [wait, delete])
    def test_component_or_objects(self, run: Run, plugin: Any) -> None:
        assert "one of the following is required" in run(plugin)["msg"]
        assert "mutually exclusive" in run(plugin, component="x", objects=[REFERENCE])["msg"]

    def test_an_object_is_named_in_full(self, run: Run) -> None:
        assert "missing required arguments: name" in run(wait, objects=[{"api_version": "v1", "kind": "Pod"}])["msg"]

    @pytest.mark.parametrize("plugin", [apply, wait, read, delete])
    def test_an_empty_kubeconfig_is_for_check_mode(self, run: Run, plugin: Any) -> None:
        args: dict[str, Any] = {apply: {}, read: {"api_version": "v1", "kind": "Pod"}}.get(plugin, {"component": "x"})
        assert "'kubeconfig' is empty, which is allowed in check mode only" in run(plugin, kubeconfig="", **args)["msg"]
        result = run(plugin, check=True, kubeconfig="", **args)
        assert not result.get("failed")
        assert result["changed"] is False

    def test_plain_makes_plain_types(self) -> None:
        class Text(str):
            __slots__ = ()

        made = plain({Text("a"): [Text("b"), (1, True, None, 1.5)], "o": Path()})
        assert made == {"a": ["b", [1, True, None, 1.5]], "o": Path()}
        assert {type(key) for key in made} == {str}
        assert type(made["a"][0]) is str


class TestApply:
    def test_definitions_and_templates(self, run: Run, api: StubApi, template: Callable[[str, str], None]) -> None:
        template("part.j2", "kind: ConfigMap\n\n")
        template(
            "two.yml.j2",
            "# {{ name }}\n{% if True %}\n---\napiVersion: v1\n{% include 'part.j2' %}\n"
            "metadata: {name: '{{ name }}', namespace: kontrol-system}\n{% endif %}\n---\n",
        )
        result = run(apply, definitions=[CONFIG_MAP], templates=["two.yml.j2"], variables={"name": "b"}, diff=True)
        assert [one["object"] for one in result["kontrol_objects"]] == [
            "ConfigMap kontrol-system/a",
            "ConfigMap kontrol-system/b",
        ]
        assert result["changed"] is True
        assert len(result["diff"]) == 2
        assert api.get(api.path(CONFIG_MAP))

    @pytest.mark.parametrize(
        "text", ["", "# nothing\n\n", "---\n", "{% if False %}\na: b\n{% endif %}\n", "{{ none }}"]
    )
    def test_an_empty_template_is_no_object(self, run: Run, template: Callable[[str, str], None], text: str) -> None:
        """B29."""
        template("empty.yml.j2", text)
        result = run(apply, templates=["empty.yml.j2"], variables={"none": None})
        assert result == {"changed": False, "kontrol_objects": [], "kept": []}

    def test_a_template_of_one_expression_gives_objects(self, run: Run, template: Callable[[str, str], None]) -> None:
        template("list.j2", "{{ wanted }}")
        result = run(apply, templates=["list.j2"], variables={"wanted": [CONFIG_MAP]})
        assert [one["verb"] for one in result["kontrol_objects"]] == ["create"]

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.j2", "{{ missing_variable }}", "Template 'a.j2' cannot be rendered: .*missing_variable"),
            ("a.j2", "{% if %}", "Template 'a.j2' cannot be rendered"),
            ("b.j2", "a: b", "Template 'a.j2' cannot be rendered"),
            ("a.j2", "a: [", "a.j2:"),
        ],
    )
    def test_bad_templates(
        self, run: Run, template: Callable[[str, str], None], name: str, text: str, message: str
    ) -> None:
        template(name, text)
        result = run(apply, templates=["a.j2"])
        assert result["failed"]
        assert __import__("re").search(message, result["msg"])

    def test_templated_definitions_keep_their_types(self, run: Run, api: StubApi) -> None:
        loader = DataLoader()
        text = trust_as_template("{{ {'data': {'n': '7'}} }}")
        value = Templar(loader=loader).template(text)
        assert run(apply, definitions=[{**CONFIG_MAP, **value}])["changed"]
        live = api.get(api.path(CONFIG_MAP))
        assert live
        assert live["data"] == {"n": "7"}

    def test_failures_keep_what_was_done(self, run: Run, api: StubApi) -> None:
        api.fail("PATCH", "secrets", 403, "Forbidden", "no")
        secret = {**CONFIG_MAP, "kind": "Secret", "data": {}}
        result = run(apply, definitions=[CONFIG_MAP, secret])
        assert result["failed"]
        assert result["changed"] is True
        assert [one["object"] for one in result["kontrol_objects"]] == ["ConfigMap kontrol-system/a"]

    def test_take_over_and_server_fields_are_read_before_anything(self, run: Run, api: StubApi) -> None:
        assert "Field path" in run(apply, definitions=[CONFIG_MAP], take_over=["spec..x"])["msg"]
        assert "Field path" in run(apply, definitions=[CONFIG_MAP], server_fields=["[["])["msg"]
        assert api.requests == []


class TestWait:
    def test_objects_and_component(self, run: Run) -> None:
        run(apply, definitions=[CONFIG_MAP], component="shop")
        for args in ({"objects": [REFERENCE]}, {"component": "shop"}):
            result = run(wait, **args)
            assert result["changed"] is False
            assert [(one["object"], one["state"]) for one in result["waited"]] == [
                ("ConfigMap kontrol-system/a", "done")
            ]

    def test_a_field(self, run: Run) -> None:
        run(apply, definitions=[CONFIG_MAP])
        assert not run(wait, objects=[{**REFERENCE, "field": "data.k", "value": "v"}]).get("failed")
        result = run(wait, objects=[{**REFERENCE, "field": "data.k", "value": "w"}], timeout=0)
        assert "data.k is 'v', wanted is 'w'" in result["msg"]

    def test_a_component_that_was_never_applied(self, run: Run) -> None:
        assert "Component 'shp' has no inventory" in run(wait, component="shp")["msg"]

    def test_everything_is_what_all_components_have_applied(self, run: Run) -> None:
        other = {**CONFIG_MAP, "metadata": {"name": "b", "namespace": "kontrol-system"}}
        run(apply, definitions=[CONFIG_MAP], component="shop")
        run(apply, definitions=[other], component="bank")
        assert {one["object"] for one in run(wait, everything=True)["waited"]} == {
            "ConfigMap kontrol-system/a",
            "ConfigMap kontrol-system/b",
        }

    def test_what_was_applied_and_is_gone_is_red_at_once(self, run: Run) -> None:
        run(apply, definitions=[CONFIG_MAP], component="shop")
        run(delete, objects=[REFERENCE])
        result = run(wait, everything=True, timeout=60)
        assert "it is not there; run bootstrap" in result["msg"]
        assert [(check["target"], check["ok"]) for check in result["kontrol_checks"]] == [
            ("ConfigMap kontrol-system/a", False)
        ]

    def test_nothing_applied_is_no_pass(self, run: Run) -> None:
        assert "The cluster has no inventory" in run(wait, everything=True)["msg"]

    def test_a_bad_field_is_refused_before_the_start(self, run: Run, api: StubApi) -> None:
        assert "Field path" in run(wait, objects=[{**REFERENCE, "field": "a..b"}])["msg"]
        assert api.requests == []

    def test_notes_are_shown(self, run: Run, api: StubApi, capsys: pytest.CaptureFixture[str]) -> None:
        meta = {"name": "db", "namespace": "kontrol-system"}
        status = {"observedGeneration": 1, "currentRevision": "a", "updateRevision": "b"}
        spec = {"replicas": 1, "updateStrategy": {"type": "OnDelete"}}
        api.put({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec,
                 "status": {**status, "readyReplicas": 1}})  # fmt: skip
        run(wait, objects=[{"api_version": "apps/v1", "kind": "StatefulSet", **meta}])
        assert "StatefulSet.apps kontrol-system/db: its strategy is OnDelete" in capsys.readouterr().out

    def test_check_mode_does_not_wait(self, run: Run, api: StubApi) -> None:
        result = run(wait, check=True, objects=[{**REFERENCE, "name": "never"}])
        assert result["skipped"] is True
        assert api.requests == []


class TestRead:
    def test_one_all_and_by_label(self, run: Run, api: StubApi) -> None:
        run(apply, definitions=[CONFIG_MAP], component="shop")
        kind = {"api_version": "v1", "kind": "ConfigMap"}
        (one,) = run(read, **kind, namespace="kontrol-system", name="a")["resources"]
        assert one["data"] == {"k": "v"}
        assert "managedFields" not in one["metadata"]
        assert run(read, **kind, namespace="kontrol-system", name="none")["resources"] == []
        assert len(run(read, **kind)["resources"]) == 2
        assert len(run(read, **kind, namespace="kontrol-system", label_selector="x=y")["resources"]) == 0
        assert len(run(read, api_version="v1", kind="Namespace", namespace="odd")["resources"]) == 1

    def test_secrets_have_key_names_only(self, run: Run) -> None:
        secret = {**CONFIG_MAP, "kind": "Secret", "data": {}, "stringData": {"password": "CANARY"}}
        run(apply, definitions=[secret])
        result = run(read, api_version="v1", kind="Secret", namespace="kontrol-system", name="a")
        assert result["resources"][0]["data"] == {"password": "(hidden)"}

    def test_a_kind_that_is_not_served(self, run: Run) -> None:
        assert "is not served by the cluster" in run(read, api_version="none.test/v1", kind="Widget")["msg"]


class TestDelete:
    def test_component_and_objects(self, run: Run, api: StubApi) -> None:
        run(apply, definitions=[CONFIG_MAP], component="shop")
        assert run(delete, check=True, diff=True, component="shop")["changed"]
        assert api.get(api.path(CONFIG_MAP))
        assert run(delete, component="shop")["changed"]
        assert not api.get(api.path(CONFIG_MAP))
        assert run(delete, objects=[REFERENCE])["kontrol_objects"] == [
            {"object": "ConfigMap kontrol-system/a", "verb": "none", "known": "server"}
        ]


PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  module_defaults:
    group/kontrol.platform.api:
      kubeconfig: "{{ kubeconfig }}"
  tasks:
    - name: Apply
      kontrol.platform.apply:
        definitions:
          - apiVersion: v1
            kind: Secret
            metadata: {name: s, namespace: kontrol-system}
            stringData: {password: "{{ password }}"}
    - name: Read
      kontrol.platform.read: {api_version: v1, kind: Secret}
    - name: Wait
      kontrol.platform.wait:
        objects: [{api_version: v1, kind: Secret, namespace: kontrol-system, name: s}]
"""


def test_a_play_shows_no_secret_at_any_verbosity(api: StubApi, tmp_path: Path) -> None:
    """B03 and B04: values of Secrets, their base64 form and the token appear nowhere."""
    api.token = "tok-CANARY-4"
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {ROOT / 'collections'}\n")
    kubeconfig = api.kubeconfig(tmp_path)
    program = Path(sys.executable).with_name("ansible-playbook")
    for password, more in (("CANARY-A", []), ("CANARY-B", ["--check"]), ("CANARY-B", [])):
        (tmp_path / "vars.json").write_text(json.dumps({"password": password, "kubeconfig": kubeconfig}))
        done = subprocess.run(
            [str(program), "-vvv", "--diff", "-e", f"@{tmp_path / 'vars.json'}", *more, str(tmp_path / "play.yml")],
            env={**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        seen = done.stdout + done.stderr
        assert done.returncode == 0, seen
        assert "changed=1" in seen
        for secret in ("CANARY", "Q0FOQVJZ"):
            assert secret not in seen
        assert "(hidden" in seen
