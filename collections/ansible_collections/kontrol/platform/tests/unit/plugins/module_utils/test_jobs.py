"""Jobs: what is sent, how the end is read, and that no trouble is ever taken for a result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import jobs
from ansible_collections.kontrol.platform.plugins.module_utils.jobs import JobError, JobResult, JobRunner, JobSpec
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client

Object = dict[str, Any]
GOOD_LOG = "noise\n" + json.dumps({"results": {"rows": {"ok": True}}}) + "\n"


def spec(**changed: Any) -> JobSpec:
    usual: Object = {
        "name": "probe",
        "namespace": "shop",
        "service_account": "client",
        "image": "tools:1",
        "steps": [{"name": "rows", "command": "clickhouse-roundtrip"}],
        "timeout": 20.0,
        "start_timeout": 5.0,
    }
    return JobSpec(**{**usual, **changed})


def pod(state: Object | None = None, phase: str = "Running", **status: Any) -> Object:
    containers = [{"name": "main", "state": state}] if state is not None else []
    return {
        "metadata": {"name": "probe-x-1", "namespace": "shop"},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


@dataclass
class Cluster:
    """Stands in for the client: each look at the pods gives the next state, the last one stays; `job` is the Job."""

    pods: list[list[Object]]
    job: Object | None = field(default_factory=dict)
    log: str = GOOD_LOG
    events: list[Object] = field(default_factory=list)
    refuse: ApiError | None = None
    connection: Any = field(default_factory=lambda: SimpleNamespace(mark=None))
    created: list[Object] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    now: float = 0.0

    def map(self, work: Any, items: Any) -> list[Any]:
        return [work(item) for item in items]

    def request(self, method: str, path: str, *, body: Object | None = None) -> Object:
        if method == "POST" and self.refuse:
            raise self.refuse
        assert method == "POST"
        self.created.append(body or {})
        return {}

    def discard(self, path: str, options: Object | None = None) -> Object:
        assert options == {"propagationPolicy": "Background"}
        self.deleted.append(path)
        return {}

    def find(self, path: str) -> Object | None:
        return self.job

    def list(self, path: str, params: dict[str, str]) -> list[Object]:
        if path.endswith("/events"):
            return self.events
        return self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]

    def text(self, path: str, params: dict[str, str]) -> str:
        return self.log

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(cluster: Cluster, *specs: JobSpec) -> list[JobResult]:
    runner = JobRunner(cast("Client", cluster), lambda: cluster.now, cluster.sleep, lambda: "x")
    return runner.run(list(specs) or [spec()])


DONE = pod({"terminated": {"exitCode": 0}}, "Succeeded")


def test_a_result_is_read_and_the_job_deleted() -> None:
    cluster = Cluster(
        [[], [pod({"waiting": {"reason": "PodInitializing"}}, "Pending")], [pod({"running": {}})], [DONE]]
    )
    (result,) = run(cluster)
    assert (result.results, result.error) == ({"rows": {"ok": True}}, "")
    assert cluster.deleted == ["/apis/batch/v1/namespaces/shop/jobs/probe-x"]


def test_each_job_has_its_own_outcome() -> None:
    cluster = Cluster([[DONE]])
    first, second = run(cluster, spec(name="a"), spec(name="b", steps=[{"name": "other"}]))
    assert (first.error, second.name) == ("", "b")
    assert "does not hold every step" in second.error


@pytest.mark.parametrize(
    ("log", "code", "text"),
    [
        ("", 0, "no result in its log, which ends with: nothing"),
        ("Traceback\nboom", 1, "no result in its log, which ends with: Traceback | boom"),
        ("[1]", 0, "no result in its log"),
        ('{"error": "No server"}', 1, "No server"),
        ('{"results": {"rows": {}}}', 1, "it ended with 1"),
        ('{"results": {}}', 0, "does not hold every step"),
        ('{"results": []}', 0, "does not hold every step"),
    ],
)
def test_a_bad_end_is_an_error(log: str, code: int, text: str) -> None:
    cluster = Cluster([[pod({"terminated": {"exitCode": code}})]], log=log)
    (result,) = run(cluster)
    assert text in result.error
    assert result.results == {}
    assert len(cluster.deleted) == 1


def test_no_pod_names_the_reason_of_the_job_controller() -> None:
    warning = {"type": "Warning", "reason": "FailedCreate", "message": "exceeded quota"}
    (result,) = run(Cluster([[]], events=[{"type": "Normal"}, warning]))
    assert "Job 'shop/probe' gave no result: it has no pod after 5 s: FailedCreate exceeded quota" in result.error


def ended(kind: str, reason: str, message: str) -> Object:
    return {"status": {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}]}}


FAILED = ended("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
KILLED = pod({"terminated": {"exitCode": 137}}, "Failed")
EVICTED = pod({"waiting": {"reason": "PodInitializing"}}, "Failed", reason="Evicted", message="disk")


def test_a_job_that_is_deleted_while_it_runs_is_told_at_once() -> None:
    cluster = Cluster([[pod({"running": {}})], []], job=None)
    (result,) = run(cluster, spec(timeout=3600.0, start_timeout=3600.0))
    assert "gave no result: it was deleted before it was done" in result.error
    assert cluster.now < 1


def test_a_pod_that_is_deleted_while_it_runs_is_told_at_once() -> None:
    cluster = Cluster([[pod({"running": {}})], []], job=FAILED)
    (result,) = run(cluster, spec(timeout=3600.0, start_timeout=3600.0))
    assert "its pod was deleted or killed: BackoffLimitExceeded Job has reached" in result.error
    assert cluster.now < 1


@pytest.mark.parametrize("killed", [[KILLED], [EVICTED], []], ids=["killed", "evicted", "gone"])
def test_a_pod_that_takes_the_place_of_a_killed_one_gives_the_result(killed: list[Object]) -> None:
    waiting = pod({"waiting": {"reason": "PodInitializing"}}, "Pending")
    later = [{**one, "metadata": {**one["metadata"], "creationTimestamp": "2"}} for one in (waiting, DONE)]
    looks = [[pod({"running": {}})], killed, killed, [*killed, later[0]], [*killed, later[1]]]
    (result,) = run(Cluster(looks), spec(retries=1))
    assert (result.results, result.error) == ({"rows": {"ok": True}}, "")


def test_a_pod_that_is_killed_too_often_is_told_with_what_it_said() -> None:
    (result,) = run(Cluster([[pod({"running": {}})], [EVICTED]], job=FAILED), spec(retries=1))
    assert "its pod was deleted or killed: BackoffLimitExceeded" in result.error
    assert "Evicted: disk; no events" in result.error


def test_what_a_job_reports_is_final_and_a_killed_pod_is_replaced() -> None:
    assert "podFailurePolicy" not in jobs.manifest(spec(), "x")["spec"]
    made = jobs.manifest(spec(retries=1), "x")["spec"]
    assert (made["backoffLimit"], made["podReplacementPolicy"]) == (1, "Failed")
    (rule,) = made["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [1, 2]}}
    (result,) = run(Cluster([[pod({"terminated": {"exitCode": 1}})]], log='{"error": "No server"}'), spec(retries=1))
    assert "No server" in result.error


def test_a_pod_that_does_not_start_names_the_reason_within_the_time() -> None:
    cluster = Cluster([[pod({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "Pending")]])
    (result,) = run(cluster)
    assert "it did not start within 5 s: container 'main': ImagePullBackOff not found" in result.error
    assert cluster.now < 6


def test_what_is_hopeless_is_not_waited_for() -> None:
    cluster = Cluster([[pod({"waiting": {"reason": "InvalidImageName"}}, "Pending")]])
    (result,) = run(cluster)
    assert "InvalidImageName" in result.error
    assert cluster.now == 0.0


def test_a_job_that_runs_for_ever_is_an_error() -> None:
    (result,) = run(Cluster([[pod({"running": {}})]]))
    assert "it was not done after 20 s" in result.error


def test_a_job_that_cannot_be_made_is_an_error() -> None:
    refusal = ApiError("POST jobs", 403, b'{"kind":"Status","reason":"Forbidden","message":"no"}', "k")
    cluster = Cluster([[]], refuse=refusal)
    (result,) = run(cluster)
    assert "Job 'shop/probe' could not be made" in result.error
    assert cluster.deleted == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
                ]
            },
            "Unschedulable: no cpu",
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "istio-init", "state": {"terminated": {"exitCode": 255, "reason": "Error"}}}
                ]
            },
            "container 'istio-init' ended with 255 Error",
        ),
        ({"reason": "Evicted", "message": "disk"}, "Evicted: disk"),
        ({}, "its pod is Pending"),
    ],
)
def test_why_a_pod_did_not_start(status: Object, text: str) -> None:
    assert jobs.why_not_started(pod(None, "Pending", **status)) == (text, False)


def test_the_manifest_is_locked_down_and_holds_its_arguments() -> None:
    job = jobs.manifest(spec(secrets={"admin": "login"}, config_maps={"schema": "files"}, component="shop"), "x")
    template = job["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert json.loads(template["metadata"]["annotations"][jobs.ARGUMENTS])["steps"][0]["name"] == "rows"
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "env" not in container
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [
        "/etc/kontrol",
        "/run/secrets/kontrol/admin",
        "/run/config/kontrol/schema",
    ]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 20
    assert job["metadata"]["labels"]["kontrol.dev/component"] == "shop"


@pytest.mark.parametrize(("mesh", "label"), [(True, "true"), (False, "false")])
def test_the_sidecar_is_asked_for_by_name(mesh: bool, label: str) -> None:
    template = jobs.manifest(spec(mesh=mesh), "x")["spec"]["template"]
    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == label


def test_parsing_takes_the_last_line() -> None:
    assert jobs.parse_log('{"a": 1}\n{"b": 2}\n\n') == {"b": 2}
    with pytest.raises(JobError):
        jobs.parse_log("done")


def test_containers_that_come_before_share_volumes_and_have_no_more_rights() -> None:
    made = jobs.manifest(
        spec(
            user=7474,
            volumes=[{"name": "data", "path": "/data", "claim": "data-db-0"}, {"name": "dump", "path": "/dump"}],
            before=[
                {"name": "fetch", "steps": [{"name": "a", "command": "b"}]},
                {"name": "load", "image": "db:1", "command": ["load"], "environment": {"HEAP": "1m"}, "memory": "1Gi"},
            ],
        ),
        "x",
    )["spec"]["template"]
    fetch, load = made["spec"]["initContainers"]
    (main,) = made["spec"]["containers"]
    assert (fetch["image"], fetch["args"]) == ("tools:1", ["--args", "/etc/kontrol/fetch.json"])
    assert (load["image"], load["command"], load["env"]) == ("db:1", ["load"], [{"name": "HEAP", "value": "1m"}])
    assert load["resources"]["limits"] == {"memory": "1Gi"}
    assert fetch["securityContext"] == load["securityContext"] == main["securityContext"]
    assert fetch["volumeMounts"] == load["volumeMounts"] == main["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}} in made["spec"]["volumes"]
    assert {"name": "dump", "emptyDir": {}} in made["spec"]["volumes"]
    assert made["spec"]["securityContext"]["fsGroup"] == 7474


def test_each_container_with_steps_has_a_file_of_its_own() -> None:
    steps = [{"name": "a", "command": "b"}]
    template = jobs.manifest(spec(before=[{"name": "fetch", "steps": steps}]), "x")["spec"]["template"]
    files = template["spec"]["volumes"][0]["downwardAPI"]["items"]
    assert [one["path"] for one in files] == ["args.json", "fetch.json"]
    annotations = template["metadata"]["annotations"]
    for one, expected in zip(files, (spec().steps, steps), strict=True):
        name = one["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
        assert json.loads(annotations[name]) == {"steps": expected}


def test_a_container_before_that_fails_says_why() -> None:
    status = [{"name": "dump", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]
    cluster = Cluster([[pod(phase="Failed", initContainerStatuses=status)]], log="at a\n\nThe database is in use\n")
    (result,) = run(cluster, spec())
    assert "container 'dump' ended with 1 Error; it said: at a | The database is in use" in result.error


def test_a_container_beside_the_job_starts_before_it_and_ends_with_it() -> None:
    server = {"name": "server", "image": "db:1", "command": ["serve"]}
    pod_spec = jobs.manifest(spec(before=[{"name": "load", "command": ["load"]}], beside=[server]), "x")["spec"]
    load, beside = pod_spec["template"]["spec"]["initContainers"]
    assert "restartPolicy" not in load
    assert (beside["name"], beside["restartPolicy"]) == ("server", "Always")


def test_a_container_that_stays_runs_from_its_place_among_the_others_to_the_end() -> None:
    before = [{"name": "keep", "steps": [], "stays": True}, {"name": "load", "command": ["load"]}]
    keep, load = jobs.manifest(spec(before=before), "x")["spec"]["template"]["spec"]["initContainers"]
    assert (keep["name"], keep["restartPolicy"]) == ("keep", "Always")
    assert (load["name"], load.get("restartPolicy")) == ("load", None)


def test_a_job_that_needs_a_volume_of_one_node_prefers_the_node_of_its_pods() -> None:
    template = jobs.manifest(spec(near={"app": "db"}), "x")["spec"]["template"]["spec"]
    (preferred,) = template["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["labelSelector"] == {"matchLabels": {"app": "db"}}
    assert "affinity" not in jobs.manifest(spec(), "x")["spec"]["template"]["spec"]


@pytest.mark.parametrize(("mesh", "token", "past"), [(True, True, "443"), (True, False, None), (False, True, None)])
def test_the_server_is_asked_past_the_sidecar(mesh: bool, token: bool, past: str | None) -> None:
    annotations = jobs.manifest(spec(mesh=mesh, token=token), "x")["spec"]["template"]["metadata"]["annotations"]
    assert annotations.get("traffic.sidecar.istio.io/excludeOutboundPorts") == past


@pytest.mark.parametrize("token", [False, True])
def test_only_a_job_that_asks_the_server_has_a_token(token: bool) -> None:
    template = jobs.manifest(spec(token=token), "x")["spec"]["template"]
    assert template["spec"]["automountServiceAccountToken"] is token


def test_what_runs_on_a_schedule_is_the_job_that_runs_on_demand() -> None:
    one = spec(component="shop")
    job = {name: value for name, value in asdict(one).items() if name != "component"}
    made = jobs.cron_job(job, "shop", "5 3 * * *")
    assert (made["kind"], made["metadata"]["name"], made["spec"]["schedule"]) == ("CronJob", one.name, "5 3 * * *")
    assert made["spec"]["concurrencyPolicy"] == "Forbid"
    assert made["spec"]["jobTemplate"]["spec"]["template"] == jobs.manifest(one, "x")["spec"]["template"]
