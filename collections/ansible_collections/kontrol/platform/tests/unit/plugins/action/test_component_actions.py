"""The actions of the component roles, as tasks would run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.kontrol.platform.plugins.action import checks, job, meshed_pods, schema
from ansible_collections.kontrol.platform.plugins.module_utils import pod_exec
from ansible_collections.kontrol.platform.plugins.module_utils.jobs import JobResult, JobRunner, JobSpec
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., dict[str, Any]]
JOB = {
    "name": "probe",
    "namespace": "shop",
    "service_account": "client",
    "image": "tools:1",
    "steps": [{"name": "ports", "command": "probe"}],
}
GREEN = {"check": "rows", "target": "db", "expected": "equal", "seen": "equal", "ok": True}
RED = {**GREEN, "seen": "3 of 4", "ok": False}


@pytest.fixture
def api() -> Iterator[StubApi]:
    with StubApi() as server:
        yield server


@pytest.fixture
def run(api: StubApi, tmp_path: Path) -> Run:
    kubeconfig = api.kubeconfig(tmp_path)

    def one(plugin: Any, check: bool = False, **args: Any) -> dict[str, Any]:
        given = args if plugin is checks else {"kubeconfig": kubeconfig, **args}
        task = SimpleNamespace(args=given, check_mode=check, diff=False, async_val=0, action="kontrol.platform.x")
        loader = DataLoader()
        action = plugin.ActionModule(
            task=task,
            connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)),
            play_context=SimpleNamespace(),
            loader=loader,
            templar=Templar(loader=loader),
            shared_loader_obj=None,
        )
        return dict(action.run(task_vars={}))

    return one


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[JobSpec]:
    """Jobs that were run; each ends well unless its name is `bad`."""
    seen: list[JobSpec] = []

    def fake(self: JobRunner, specs: list[JobSpec]) -> list[JobResult]:
        seen.extend(specs)
        return [
            JobResult(spec.name, {} if spec.name == "bad" else {"ports": {}}, 1.5, "no" if spec.name == "bad" else "")
            for spec in specs
        ]

    monkeypatch.setattr(JobRunner, "run", fake)
    return seen


class TestJob:
    def test_results_come_by_name(self, run: Run, ran: list[JobSpec]) -> None:
        result = run(job, jobs=[JOB, {**JOB, "name": "two", "mesh": False}], component="shop")
        assert result["jobs"] == {
            "probe": {"results": {"ports": {}}, "seconds": 1.5},
            "two": {"results": {"ports": {}}, "seconds": 1.5},
        }
        assert result["changed"] is False
        assert [(spec.mesh, spec.component) for spec in ran] == [(True, "shop"), (False, "shop")]

    def test_a_job_without_a_result_fails_the_task_and_is_a_red_check(self, run: Run, ran: list[JobSpec]) -> None:
        result = run(job, jobs=[JOB, {**JOB, "name": "bad"}])
        assert result["failed"] is True
        assert result["msg"] == "no"
        assert result["kontrol_checks"] == [
            {"check": "Job ran", "target": "bad", "expected": "a result", "seen": "no", "ok": False}
        ]
        assert result["jobs"]["probe"]["results"] == {"ports": {}}

    def test_check_mode_makes_no_job(self, run: Run, ran: list[JobSpec]) -> None:
        result = run(job, check=True, jobs=[JOB])
        assert (result["skipped"], result["jobs"], ran) == (True, {}, [])

    def test_an_unknown_key_is_refused(self, run: Run, ran: list[JobSpec]) -> None:
        result = run(job, jobs=[{**JOB, "privileged": True}])
        assert result["failed"] is True
        assert "privileged" in result["msg"]


class TestChecks:
    def test_green_checks_pass_and_are_reported(self, run: Run) -> None:
        result = run(checks, component="db", checks=[GREEN])
        assert result["kontrol_checks"] == [GREEN]
        assert not result.get("failed")

    def test_a_red_check_fails_and_all_are_reported(self, run: Run) -> None:
        result = run(checks, component="db", checks=[GREEN, RED])
        assert result["failed"] is True
        assert "Verify of 'db': 1 of 2 checks are red:\n  rows: db: expected equal, seen 3 of 4" in result["msg"]
        assert result["kontrol_checks"] == [GREEN, RED]

    def test_no_check_is_a_failure(self, run: Run) -> None:
        assert run(checks, component="db", checks=[])["failed"] is True

    def test_check_mode_judges_nothing(self, run: Run) -> None:
        assert run(checks, check=True, component="db", checks=[RED])["skipped"] is True


class TestSchema:
    @pytest.fixture
    def args(self, api: StubApi, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "0001_a.sql").write_text("SELECT 1;")
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-db-0", "namespace": "db"},
        }
        api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "db"}})
        api.put(claim)
        return {
            "component": "db",
            "namespace": "db",
            "claim": "data-db-0",
            "folder": str(tmp_path),
            "job": {**JOB, "name": "schema"},
        }

    def test_the_first_run_applies_and_the_second_does_not(
        self, run: Run, ran: list[JobSpec], args: dict[str, Any]
    ) -> None:
        first = run(schema, **args)
        assert first["kontrol_objects"] == [{"object": "Schema db/0001_a", "verb": "create", "known": "server"}]
        second = run(schema, **args)
        assert second["kontrol_objects"] == [{"object": "Schema db/0001_a", "verb": "none", "known": "server"}]
        assert (first["changed"], second["changed"], len(ran)) == (True, False, 1)

    def test_check_mode_predicts_what_the_run_does_and_writes_nothing(
        self, run: Run, api: StubApi, ran: list[JobSpec], args: dict[str, Any]
    ) -> None:
        predicted = run(schema, check=True, **args)
        assert not [request for request in api.requests if request.writes]
        assert predicted["kontrol_objects"] == run(schema, **args)["kontrol_objects"]
        assert len(ran) == 1

    def test_before_there_is_a_cluster_everything_is_new(
        self, run: Run, ran: list[JobSpec], args: dict[str, Any]
    ) -> None:
        predicted = run(schema, check=True, **{**args, "kubeconfig": ""})
        assert predicted["kontrol_objects"] == [{"object": "Schema db/0001_a", "verb": "create", "known": "rendered"}]

    def test_a_failed_job_leaves_no_record(self, run: Run, ran: list[JobSpec], args: dict[str, Any]) -> None:
        result = run(schema, **{**args, "job": {**JOB, "name": "bad"}})
        assert result["failed"] is True
        assert run(schema, check=True, **args)["changed"] is True


TABLE = "0: 00000000:1FBB 00000000:0000 0A 0:0"


class TestMeshedPods:
    ARGS = {"region": "r"}  # noqa: RUF012 - a constant of the test

    @pytest.fixture(autouse=True)
    def store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SimpleNamespace(values=lambda: {"db/admin": "the-password"})
        monkeypatch.setattr(meshed_pods, "SecretStore", lambda *_args: store)

    @pytest.fixture
    def pod(self, api: StubApi) -> None:
        sidecar = {"name": "istio-proxy", "restartPolicy": "Always", "image": "proxy:1"}
        api.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "db-0", "namespace": "db"},
                "spec": {"initContainers": [sidecar], "containers": [{"name": "db"}]},
                "status": {"podIP": "10.0.0.9", "phase": "Running"},
            }
        )

    @staticmethod
    def containers(monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[str, str], str]) -> None:
        def fake(_connection: Any, _namespace: str, _pod: str, container: str, argv: list[str]) -> str:
            answer = answers.get((container, argv[0]), "exec: no such file or directory")
            if "such file" in answer or "refused" in answer:
                raise pod_exec.ExecError(answer)
            return answer

        monkeypatch.setattr(pod_exec, "run", fake)

    @pytest.mark.usefixtures("pod")
    def test_ports_are_read_in_the_sidecar_and_environments_in_the_others(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.containers(monkeypatch, {("istio-proxy", "cat"): TABLE, ("db", "/bin/sh"): "HOME=/"})
        result = run(meshed_pods, **self.ARGS)
        assert [(pod["name"], pod["ports"]) for pod in result["pods"]] == [("db/db-0", [8123])]
        assert [(check["ok"], check["seen"]) for check in result["checks"]] == [
            (True, "none; read in 1 of 1 containers, in all by manifest")
        ]

    @pytest.mark.usefixtures("pod")
    def test_without_cat_in_the_sidecar_another_container_is_asked(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.containers(monkeypatch, {("db", "cat"): TABLE, ("db", "/bin/sh"): ""})
        assert run(meshed_pods, **self.ARGS)["pods"][0]["ports"] == [8123]

    @pytest.mark.usefixtures("pod")
    def test_a_secret_in_a_process_is_named_but_not_told(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers(monkeypatch, {("istio-proxy", "cat"): TABLE, ("db", "/bin/sh"): "P=the-password"})
        result = run(meshed_pods, **self.ARGS)
        assert [check["seen"] for check in result["checks"]] == ["container 'db': a process holds secret 'db/admin'"]
        assert "the-password" not in str(result)

    @pytest.mark.usefixtures("pod")
    def test_a_container_without_a_shell_is_judged_by_its_manifest(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.containers(monkeypatch, {("istio-proxy", "cat"): TABLE})
        (check,) = run(meshed_pods, **self.ARGS)["checks"]
        assert (check["ok"], check["seen"]) == (True, "none; read in 0 of 1 containers, in all by manifest")

    @pytest.mark.usefixtures("pod")
    def test_a_container_that_cannot_be_looked_into_is_red(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers(monkeypatch, {("istio-proxy", "cat"): TABLE, ("db", "/bin/sh"): "exec is refused"})
        assert run(meshed_pods, **self.ARGS)["checks"][0]["ok"] is False

    def test_no_pod_is_told_as_none(self, run: Run) -> None:
        assert run(meshed_pods, **self.ARGS)["pods"] == []

    def test_check_mode_reads_nothing(self, run: Run, api: StubApi) -> None:
        assert run(meshed_pods, check=True, **self.ARGS)["skipped"] is True
        assert api.requests == []
