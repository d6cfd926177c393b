"""Jobs of a region's backups as its CronJob makes them, with something wrong in them, and what is in the store then."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

from images.tools.kontrol_tools import backups, s3
from tests.e2e.database_lab import docker
from tests.e2e.harness import Region

Object = dict[str, Any]
Change = Callable[[Object], None]
ARGUMENTS = "kontrol.dev/arguments"
BESIDE = {"keep", "scratch", "istio-proxy", "istio-validation"}
"""Containers that run all the time, or before all others."""
PATIENCE_SECONDS = 600
KILL = 'for one in /proc/[0-9]*; do grep -Eqs "$1" $one/cgroup && kill -9 ${one#/proc/}; done; true'
"""Kills what runs in a control group whose name has some words."""


def arguments(**changed: Any) -> Change:
    """Give other values to arguments, in each step that has them."""

    def change(job: Object) -> None:
        annotations = job["spec"]["template"]["metadata"]["annotations"]
        for name in [name for name in annotations if name.startswith(ARGUMENTS)]:
            steps = json.loads(annotations[name])["steps"]
            for step in steps:
                step.update({key: value for key, value in changed.items() if key in step})
            annotations[name] = json.dumps({"steps": steps})

    return change


def other_secret(folder: str, secret: str) -> Change:
    """Mount another Secret in a folder of secrets."""

    def change(job: Object) -> None:
        volume(job, f"secret-{folder}")["secret"]["secretName"] = secret

    return change


def small(name: str, size: str) -> Change:
    """Give a volume so much space and no more."""

    def change(job: Object) -> None:
        volume(job, name)["emptyDir"] = {"medium": "Memory", "sizeLimit": size}

    return change


def volume(job: Object, name: str) -> Object:
    found: Object = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == name)
    return found


@dataclass
class BackupJobs:
    """The backups of a component of a region; `address` is that of another store on this machine with the same keys."""

    region: Region
    component: str
    address: str = ""
    made: list[str] = field(default_factory=list)

    @cached_property
    def keys(self) -> tuple[str, str]:
        """The keys of the region's backup store."""
        found = self.get("secret", f"{self.component}-backup-store")["data"]
        access, secret = (base64.b64decode(found[f"{name}_key"]).decode() for name in ("access", "secret"))
        return access, secret

    @cached_property
    def place(self) -> backups.Place:
        """Where the backups lie, as this machine sees it."""
        own = f"127.0.0.1:{docker('port', f'{self.region.cluster}-backup-store', '7070/tcp').rpartition(':')[2]}"
        store = s3.Store(f"http://{self.address or own}", "us-east-1", *self.keys)
        return backups.Place(store, "kontrol-backups", self.component)

    @cached_property
    def _kubeconfig(self) -> IO[str]:
        """The administrator's kubeconfig, asked for once: a phase of a Job is short."""
        file = tempfile.NamedTemporaryFile("w", suffix=".kubeconfig")  # noqa: SIM115 - it is there as long as we are
        file.write(self.region.tool("kind", "get", "kubeconfig", "--name", self.region.cluster))
        file.flush()
        return file

    def kubectl(self, *words: str, text: str | None = None, check: bool = True) -> str:
        """Run kubectl in the component's namespace."""
        where = ("--kubeconfig", self._kubeconfig.name, "--namespace", self.component)
        return self.region.tool("kubectl", *where, *words, text=text, check=check)

    def get(self, kind: str, name: str) -> Object:
        """Read one object."""
        found: Object = json.loads(self.kubectl("get", kind, name, "--output", "json"))
        return found

    def start(self, name: str, *changes: Change) -> str:
        """Make a Job as the schedule does, with changes; answer its name."""
        spec = self.get("cronjob", f"{self.component}-backup")["spec"]["jobTemplate"]["spec"]
        full = f"{self.component}-backup-{name.replace('_', '-')}"
        job: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": full}, "spec": spec}
        for change in changes:
            change(job)
        self.kubectl("create", "--filename", "-", text=json.dumps(job))
        self.made.append(full)
        return full

    def all(self) -> set[str]:
        """The names of all Jobs that are there."""
        return {one.removeprefix("job.batch/") for one in self.kubectl("get", "jobs", "--output", "name").split()}

    def pods(self, job: str) -> list[Object]:
        """The pods of a Job, the oldest first."""
        selected = ("get", "pods", "--selector", f"job-name={job}", "--output", "json")
        found: list[Object] = json.loads(self.kubectl(*selected))["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def phase(self, job: str) -> str:
        """The container of a Job's newest pod whose turn it is; nothing before the first and after the last."""
        for pod in self.pods(job)[-1:]:
            status = pod["status"]
            for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
                if "running" in one["state"] and one["name"] not in BESIDE:
                    return str(one["name"])
        return ""

    def until(self, job: str, phase: str) -> str:
        """Wait for the turn of a container; answer its pod."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.phase(job) != phase:
            assert self.ended(job) == "", f"it ended before {phase}: {self.error(job)}"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return str(self.pods(job)[-1]["metadata"]["name"])

    def ended(self, job: str) -> str:
        """How a Job ended: Complete or Failed; nothing while it goes on."""
        conditions = self.get("job", job)["status"].get("conditions", [])
        kinds = [one["type"] for one in conditions if one["status"] == "True"]
        return next((kind for kind in kinds if kind in ("Complete", "Failed")), "")

    def end_of(self, job: str) -> str:
        """Wait for a Job's end; answer how it ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (ended := self.ended(job)):
            assert time.monotonic() < deadline
            time.sleep(1)
        return ended

    def error(self, job: str) -> str:
        """What a Job reported as its error; no secret of the region is in what any of its containers said."""
        said = "".join(
            self.kubectl("logs", pod["metadata"]["name"], "--all-containers", check=False) for pod in self.pods(job)
        )
        assert not [secret for secret in ("CANARY", *self.keys) if secret in said]
        lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"error"')]
        return str(lines[-1]["error"]) if lines else ""

    def remove(self, pod: str) -> None:
        """Delete a pod as somebody does who does not want to wait; its containers have a second or two."""
        self.kubectl("delete", "pod", pod, "--grace-period=0", "--force")

    def kill(self, pod: str) -> None:
        """Kill -9 all processes of a pod, and those that are started in their place, until it has failed."""
        uid = str(self.get("pod", pod)["metadata"]["uid"])
        node = f"{self.region.cluster}-control-plane"
        deadline = time.monotonic() + 60
        while self.get("pod", pod)["status"]["phase"] not in ("Failed", "Succeeded"):
            docker("exec", node, "sh", "-c", KILL, "-", f"{uid}|{uid.replace('-', '_')}")
            assert time.monotonic() < deadline

    def delete(self, job: str, *options: str) -> None:
        """Delete a Job."""
        self.kubectl("delete", "job", job, "--ignore-not-found", *options)

    def clean(self) -> None:
        """Delete all Jobs that were made here."""
        for job in self.made:
            self.delete(job)
        self.made.clear()

    def failed(self, since: float, within: float) -> Object:
        """Wait until an attempt that ended, or began, after a moment is known to have failed; answer what is told."""
        deadline = time.monotonic() + within
        while (told := backups.last_attempt(self.place)).get("ok") is not False or told["at"] < since:
            assert time.monotonic() < deadline, f"not known as failed: {told}"
            time.sleep(1)
        assert backups.gauges(self.place)["kontrol_backup_last_attempt_failed"] == 1.0
        return told
