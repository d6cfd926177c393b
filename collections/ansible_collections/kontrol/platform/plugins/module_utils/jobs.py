"""Run Jobs of the tools image in the cluster and read what they report.

The arguments travel in an annotation of the pod that it sees as a file (downward API), so a Job is one object and goes
as one. What cannot start, has no result or ends badly is an error with the reason; it is never taken for a pass.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import guard
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import COMPONENT, MANAGED_BY, OWNER

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

CONTAINER: Final = "main"
ARGUMENTS: Final = "kontrol.dev/arguments"
USER: Final = 65532
POLL_SECONDS: Final = 0.25
LOG_LINES: Final = 20
END_SECONDS: Final = 20
"""How long a Job may take to end after its result: its sidecar drains and stops."""
KEEP_SECONDS: Final = 600
"""How long a Job outlives its end when the controller died and could not delete it."""
KEEP_SCHEDULED_SECONDS: Final = 86_400
"""How long a scheduled Job can be looked at after its end."""
LATE_SECONDS: Final = 3600
"""How late a scheduled Job may start, after a cluster was away; one that missed more waits for the next time."""
API_PORT: Final = "443"
"""Port of the Service `kubernetes`."""
REPORTED: Final = (0, 1, 2)
"""Exit codes of the tools image: what ended with another one was killed."""
HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Waiting reasons that no amount of waiting cures."""


@dataclass(frozen=True)
class JobSpec:
    """One Job.

    Attributes:
        name: Its name in results and, with a random end, in the cluster.
        namespace: Where it runs.
        service_account: Its identity in the mesh.
        image: The tools image.
        steps: Arguments: [{name, command, ...}].
        secrets: Mounted Secrets: folder name below /run/secrets/kontrol -> name of the Secret.
        config_maps: Mounted ConfigMaps: folder name below /run/config/kontrol -> name of the ConfigMap.
        mesh: Whether it gets a sidecar.
        component: Whose work it is, a label.
        timeout: Seconds from start to result.
        start_timeout: Seconds until its container runs.
        until_end: Whether to wait, after its result, until the Job itself has ended.
        user: Who it runs as, also the group of its volumes: the owner of the files where it works on somebody's.
        volumes: More to mount in each of its containers: [{name, path, claim}]; without a claim it is an empty folder.
        before: Containers that must end well before, in order: [{name, image, command, environment, memory}], or
            [{name, steps}] for one of the tools image with steps of its own, whose results nobody reads. One that
            `stays` need not end: it runs until the Job has ended, however that happens.
        beside: Containers that run beside it from before its start to its end, in the form of those of `before`.
        token: Whether it may ask the API server, as its service account; past its sidecar, which ends with the Job.
        near: Labels of pods on whose node it is best: one whose volume only a single node can mount.
        retries: How many new pods take the place of one that is killed; what its own container reports is final.
    """

    name: str
    namespace: str
    service_account: str
    image: str
    steps: list[Object]
    secrets: dict[str, str] = field(default_factory=dict)
    config_maps: dict[str, str] = field(default_factory=dict)
    mesh: bool = True
    component: str = ""
    timeout: float = 120.0
    start_timeout: float = 60.0
    until_end: bool = False
    user: int = USER
    volumes: list[Object] = field(default_factory=list)
    before: list[Object] = field(default_factory=list)
    beside: list[Object] = field(default_factory=list)
    token: bool = False
    near: dict[str, str] = field(default_factory=dict)
    retries: int = 0

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class JobResult:
    """What a Job reported: results by step, seconds from its creation to its result; or why there is none.

    `ended` is the condition in which the Job ended (Complete or Failed), where somebody waited for it.
    """

    name: str
    results: Object
    seconds: float
    error: str = ""
    ended: str = ""


class JobError(KontrolError):
    """A Job gave no result."""


def manifest(spec: JobSpec, suffix: str) -> Object:
    """Return the Job as an object; `suffix` makes its name new."""
    meta = {"name": f"{spec.name}-{suffix}", "namespace": spec.namespace, "labels": _labels(spec)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": _job(spec, KEEP_SECONDS)}


def cron_job(job: Object, component: str, schedule: str) -> Object:
    """Return an object that makes a Job of `kontrol.platform.job` on a schedule.

    Args:
        job: The Job as that module takes it.
        component: Whose work it is.
        schedule: Five fields of cron, in UTC.
    """
    spec = JobSpec(component=component, **job)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": spec.name, "namespace": spec.namespace, "labels": _labels(spec)},
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": LATE_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": _labels(spec)}, "spec": _job(spec, KEEP_SCHEDULED_SECONDS)},
        },
    }


def job_path(namespace: str, name: str = "") -> str:
    """Return the path of a Job, or of all Jobs of a namespace."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs{'/' if name else ''}{name}"


def make(client: Client, spec: JobSpec, suffix: str) -> str:
    """Make a Job and return its name in the cluster, which ends with `suffix`."""
    body = manifest(spec, suffix)
    client.request("POST", job_path(spec.namespace), body=body)
    return str(body["metadata"]["name"])


def delete(client: Client, namespace: str, name: str) -> None:
    """Delete a Job and its pods in the background; one that is gone already is fine."""
    client.discard(job_path(namespace, name), {"propagationPolicy": "Background"})


def _labels(spec: JobSpec) -> dict[str, str]:
    return {MANAGED_BY: OWNER, **({COMPONENT: spec.component} if spec.component else {})}


def _job(spec: JobSpec, keep: int) -> Object:
    """Return the spec of a Job that outlives its end by `keep` seconds."""
    return {
        "backoffLimit": spec.retries,
        **(_RETRIED if spec.retries else {}),
        "activeDeadlineSeconds": int(spec.timeout),
        "ttlSecondsAfterFinished": keep,
        "template": _template(spec),
    }


_ERRORS: Final = {"containerName": CONTAINER, "operator": "In", "values": list(REPORTED[1:])}
_RETRIED: Final = {
    "podReplacementPolicy": "Failed",  # never two at once
    "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": _ERRORS}]},
}


def _template(spec: JobSpec) -> Object:
    volumes, mounts = _volumes(spec)
    first = [_before(spec, one, mounts) for one in [*spec.before, *({**one, "stays": True} for one in spec.beside)]]
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": spec.service_account,
        "automountServiceAccountToken": spec.token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": spec.user,
            "runAsGroup": spec.user,
            "fsGroup": spec.user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"affinity": _near(spec.near)} if spec.near else {}),
        **({"initContainers": first} if first else {}),
        "containers": [_container(CONTAINER, spec.image, mounts)],
        "volumes": volumes,
    }
    annotations = {
        annotation: json.dumps({"steps": steps}, sort_keys=True)
        for annotation, steps in zip(_arguments(spec).values(), _all_steps(spec), strict=True)
    }
    if spec.mesh and spec.token:
        annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] = API_PORT
    labels = {**_labels(spec), "sidecar.istio.io/inject": "true" if spec.mesh else "false"}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}


def _near(labels: dict[str, str]) -> Object:
    """Return an affinity to the node of pods with these labels; there may be none of them."""
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _container(name: str, image: str, mounts: list[Object], memory: str = "256Mi") -> Object:
    """Return a container without any right."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _before(spec: JobSpec, one: Object, mounts: list[Object]) -> Object:
    """Return a container that comes before the Job's own, or runs beside it."""
    container = _container(one["name"], one.get("image", spec.image), mounts, one.get("memory", "256Mi"))
    if one.get("stays"):
        container["restartPolicy"] = "Always"
    if "steps" in one:
        return {**container, "args": ["--args", f"/etc/kontrol/{one['name']}.json"]}
    environment = [{"name": name, "value": value} for name, value in sorted(one.get("environment", {}).items())]
    return {**container, "command": one["command"], "env": environment}


def _arguments(spec: JobSpec) -> dict[str, str]:
    """Return file of arguments -> annotation that holds it; the Job's own comes first."""
    more = [one["name"] for one in (*spec.before, *spec.beside) if "steps" in one]
    return {"args.json": ARGUMENTS, **{f"{name}.json": f"{ARGUMENTS}-{name}" for name in more}}


def _all_steps(spec: JobSpec) -> list[list[Object]]:
    """Return the steps of each file of arguments, in the order of `_arguments`."""
    return [spec.steps, *(one["steps"] for one in (*spec.before, *spec.beside) if "steps" in one)]


def _volumes(spec: JobSpec) -> tuple[list[Object], list[Object]]:
    """Return the volumes of a Job's pod and how its containers mount them."""
    items = [
        {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for path, annotation in _arguments(spec).items()
    ]
    volumes: list[Object] = [{"name": "arguments", "downwardAPI": {"items": items}}]
    mounts: list[Object] = [{"name": "arguments", "mountPath": "/etc/kontrol", "readOnly": True}]
    for folder, secret in sorted(spec.secrets.items()):
        volumes.append({"name": f"secret-{folder}", "secret": {"secretName": secret, "defaultMode": 0o440}})
        mounts.append({"name": f"secret-{folder}", "mountPath": f"/run/secrets/kontrol/{folder}", "readOnly": True})
    for folder, config_map in sorted(spec.config_maps.items()):
        volumes.append({"name": f"config-{folder}", "configMap": {"name": config_map}})
        mounts.append({"name": f"config-{folder}", "mountPath": f"/run/config/kontrol/{folder}", "readOnly": True})
    for one in spec.volumes:
        claim = one.get("claim")
        source: Object = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {}}
        volumes.append({"name": one["name"], **source})
        mounts.append({"name": one["name"], "mountPath": one["path"]})
    return volumes, mounts


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def main_state(pod: Object) -> Object:
    """Return the state of the Job's own container: one of waiting, running, terminated; empty before it has one."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status.get("name") == CONTAINER:
            return dict(status.get("state") or {})
    return {}


def _killed(pod: Object) -> bool:
    """Return whether a pod has ended without a report of its own container."""
    ended = main_state(pod).get("terminated")
    failed = (pod.get("status") or {}).get("phase") == "Failed"
    return ended.get("exitCode") not in REPORTED if ended else failed


def why_not_started(pod: Object) -> tuple[str, bool]:
    """Return why a pod's container does not run, and whether waiting is hopeless."""
    status = pod.get("status") or {}
    for container in _statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            detail = f"container '{container.get('name')}': {reason} {waiting.get('message', '')}".strip()
            return detail, reason in HOPELESS
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended and ended.get("exitCode") and container.get("name") != CONTAINER:
            return (
                f"container '{container.get('name')}' ended with {ended['exitCode']} {ended.get('reason', '')}",
                False,
            )
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason')}: {condition.get('message')}", False
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message', '')}", False
    return f"its pod is {status.get('phase', 'unknown')}", False


def parse_log(text: str) -> Object:
    """Return the JSON document of the last line of a log. Raises JobError when there is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        document = json.loads(lines[-1]) if lines else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        tail = " | ".join(lines[-3:])[:400] or "nothing"
        raise JobError(f"no result in its log, which ends with: {tail}")
    return document


class JobRunner:
    """Runs Jobs over one client.

    Args:
        client: The engine's client.
        clock: Seconds; replaced in tests.
        sleep: Replaced in tests.
        suffix: Makes the end of a Job's name.
    """

    def __init__(
        self,
        client: Client,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        suffix: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._client, self._clock, self._sleep, self._suffix = client, clock, sleep, suffix

    def run(self, specs: list[JobSpec]) -> list[JobResult]:
        """Run all Jobs at once; each has a result or an error, in the order given."""
        guard.check(self._client)
        return list(self._client.map(self._one, specs))

    def _one(self, spec: JobSpec) -> JobResult:
        """Create, follow, read and delete one Job."""
        started = self._clock()
        try:
            name = make(self._client, spec, self._suffix())
        except KontrolError as error:
            return JobResult(spec.name, {}, 0.0, f"Job '{spec}' could not be made: {error}")
        try:
            results = self._follow(spec, name, started)
            seconds = round(self._clock() - started, 1)
            ended = self._end(job_path(spec.namespace, name)) if spec.until_end else ""
            return JobResult(spec.name, results, seconds, ended=ended)
        except KontrolError as error:
            return JobResult(spec.name, {}, round(self._clock() - started, 1), f"Job '{spec}' gave no result: {error}")
        finally:
            delete(self._client, spec.namespace, name)

    def _end(self, path: str) -> str:
        """Wait until a Job whose work is done has ended; a sidecar that goes on would keep it."""
        deadline = self._clock() + END_SECONDS
        while self._clock() < deadline:
            status = self._client.get(path).get("status") or {}
            for condition in status.get("conditions") or []:
                if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
                    return str(condition["type"])
            self._sleep(POLL_SECONDS)
        return f"still running {END_SECONDS} s after its work was done"

    def _follow(self, spec: JobSpec, name: str, started: float) -> Object:
        """Wait for the end of the Job's container and return its results."""
        running = False
        while True:
            pod, waited = self._pod(spec.namespace, name), self._clock() - started
            state = main_state(pod) if pod else {}
            if pod is None or (spec.retries and _killed(pod)):
                self._check_job(spec, name, pod, waited)
            elif "terminated" in state:
                return self._results(spec, pod, state["terminated"])
            elif not (running := running or "running" in state):
                self._check_start(spec, pod, waited)
            if waited > spec.timeout:
                raise JobError(f"it was not done after {spec.timeout:.0f} s")
            self._sleep(POLL_SECONDS)

    def _pod(self, namespace: str, job: str) -> Object | None:
        """Return the newest pod of a Job."""
        pods = self._client.list(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": f"job-name={job}"})
        return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)

    def _check_job(self, spec: JobSpec, name: str, pod: Object | None, waited: float) -> None:
        """Raise when a Job that has no pod, or only one that was killed, gets no other one."""
        job = self._client.find(f"/apis/batch/v1/namespaces/{spec.namespace}/jobs/{name}")
        if job is None:
            raise JobError("it was deleted before it was done")
        for one in (job.get("status") or {}).get("conditions") or []:
            if one.get("type") == "Failed" and one.get("status") == "True":
                said = f"; {why_not_started(pod)[0]}; {self._said(pod) or self._events_of_pod(pod)}" if pod else ""
                raise JobError(f"its pod was deleted or killed: {one.get('reason')} {one.get('message')}{said}")
        if pod is None and waited > spec.start_timeout:
            raise JobError(f"it has no pod after {waited:.0f} s: {self._events(spec.namespace, name)}")

    def _check_start(self, spec: JobSpec, pod: Object, waited: float) -> None:
        """Raise when the container does not run in time, or never will."""
        reason, hopeless = why_not_started(pod)
        if hopeless or waited > spec.start_timeout or (pod.get("status") or {}).get("phase") == "Failed":
            said = self._said(pod) or self._events_of_pod(pod)
            raise JobError(f"it did not start within {waited:.0f} s: {reason}; {said}")

    def _said(self, pod: Object) -> str:
        """Return the last lines of a container that came before the Job's own and ended badly."""
        meta = pod["metadata"]
        for status in (pod.get("status") or {}).get("initContainerStatuses") or []:
            if ((status.get("state") or {}).get("terminated") or {}).get("exitCode"):
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
                log = self._client.text(path, {"container": str(status["name"]), "tailLines": str(LOG_LINES)})
                lines = [line.strip() for line in log.splitlines() if line.strip()]
                return f"it said: {' | '.join(lines[-3:])[:400]}" if lines else ""
        return ""

    def _events(self, namespace: str, name: str) -> str:
        """Return the newest warning about an object, for a message."""
        selector = {"fieldSelector": f"involvedObject.name={name}"}
        events = self._client.list(f"/api/v1/namespaces/{namespace}/events", selector)
        warnings = [event for event in events if event.get("type") == "Warning"]
        return f"{warnings[-1].get('reason')} {warnings[-1].get('message')}" if warnings else "no events"

    def _events_of_pod(self, pod: Object) -> str:
        return self._events(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _results(self, spec: JobSpec, pod: Object, ended: Object) -> Object:
        """Read the log of the ended container and return the results in it."""
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
        document = parse_log(self._client.text(path, {"container": CONTAINER, "tailLines": str(LOG_LINES)}))
        if ended.get("exitCode") != 0 or "error" in document:
            raise JobError(str(document.get("error", f"it ended with {ended.get('exitCode')}")))
        results = document.get("results")
        if not isinstance(results, dict) or set(results) != {str(step.get("name")) for step in spec.steps}:
            raise JobError("its result does not hold every step")
        return results
