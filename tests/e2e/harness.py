"""Runs playbooks as a person would, and looks at the outcome from outside: Docker, kubectl, files and processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import ansible_runner

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("E2E_REGION", "e2e")
INVENTORY = ROOT / "tests" / "inventories" / NAME
CLUSTER = f"kontrol-{NAME}"
MARK = "KONTROL_TEST_MARK"
VERBS = ("create", "update", "prune", "delete", "take_over")
VERDICT = re.compile(rf"^\s*({'|'.join(VERBS)}) (\S.*?) \((server|rendered|unknown)\)\s*$", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SLOWEST_SECONDS = 900
KEPT = {"runs", "plans", "lock"}


@dataclass(frozen=True)
class Run:
    """One finished playbook: exit code, changed tasks, what it printed, how long it took."""

    rc: int
    changed: int
    stdout: str
    seconds: float

    @cached_property
    def verdicts(self) -> dict[str, tuple[str, str]]:
        """What the run printed of each object that it changed, or would change: (verb, how it is known)."""
        return {found[2]: (found[1], found[3]) for found in VERDICT.finditer(self.stdout)}

    @property
    def actions(self) -> set[tuple[str, str]]:
        """The (object, verb) pairs, without those that only the real run can know."""
        return {(thing, verb) for thing, (verb, known) in self.verdicts.items() if known != "unknown"}

    @property
    def unknown(self) -> set[str]:
        """Objects whose verdict was given as unknown."""
        return {thing for thing, (_verb, known) in self.verdicts.items() if known == "unknown"}

    def green(self) -> Run:
        """Answer itself, or fail with the end of its output."""
        assert self.rc == 0, f"exit {self.rc}\n" + "\n".join(self.stdout.splitlines()[-60:])
        return self


@dataclass
class Region:
    """The region of these tests, or one beside it: `env` is what its runs get, `outputs` all that they ever printed."""

    env: dict[str, str]
    outputs: list[str] = field(default_factory=list)
    name: str = NAME
    inventory: Path = INVENTORY

    def beside(self, name: str, inventories: Path) -> Region:
        """Answer another region of this machine, declared in a folder of regions."""
        return Region(self.env, self.outputs, name, inventories / name)

    @property
    def cluster(self) -> str:
        """The name of its kind cluster."""
        return f"kontrol-{self.name}"

    @property
    def state_root(self) -> Path:
        """The root of all regions' state."""
        base = self.env.get("XDG_STATE_HOME") or str(Path(self.env["HOME"]) / ".local" / "state")
        return Path(base) / "kontrol"

    @property
    def state(self) -> Path:
        """The state folder of this region."""
        return self.state_root / self.name

    @cached_property
    def lab(self) -> dict[str, Any]:
        """What `python -m lab up` wrote."""
        facts: dict[str, Any] = json.loads((self.state_root / "lab.json").read_text(encoding="utf-8"))
        return facts

    def run(
        self,
        playbook: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        root: Path = ROOT,
        inventory: Path | None = None,
    ) -> Run:
        """Run a playbook to its end by ansible-runner, in a folder that is not the project's.

        `root` is the project, or a copy of it; `inventory` another spec of the same region.
        """
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as private:
            done = ansible_runner.run(
                private_data_dir=private,
                playbook=str(root / "playbooks" / f"{playbook}.yml"),
                inventory=str(inventory or self.inventory),
                cmdline=" ".join(arguments),
                envvars={**self.env, "ANSIBLE_CONFIG": str(root / "ansible.cfg"), **(env or {})},
                settings={"job_timeout": SLOWEST_SECONDS, "suppress_env_files": True},
                quiet=True,
            )
            text = COLOUR.sub("", done.stdout.read())
            stats = done.stats or {}
        self.outputs.append(text)
        return Run(done.rc, sum(stats.get("changed", {}).values()), text, time.monotonic() - start)

    def decommission(self, *arguments: str) -> Run:
        """Remove the region with all that it has, without a last backup."""
        said = (f"confirm={self.name}", f"remove_foundation={self.name}", "last_backup=declined")
        return self.run("decommission", *(part for one in said for part in ("-e", one)), *arguments)

    def start(self, playbook: str, *arguments: str) -> Started:
        """Start a playbook in a process group of its own, to be killed or waited for."""
        mark = uuid.uuid4().hex
        output = Path(tempfile.mkdtemp()) / "output"
        argv = ["ansible-playbook", "-i", str(self.inventory), str(ROOT / "playbooks" / f"{playbook}.yml"), *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(
                argv, env={**self.env, MARK: mark}, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                start_new_session=True, cwd="/",
            )  # fmt: skip
        return Started(process, mark, output)

    def tool(self, name: str, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """Run one of the lab's tools (kind, kubectl, docker) and answer its output."""
        done = subprocess.run(
            [self.lab["tools"][name], *arguments], input=text, capture_output=True, text=True, timeout=300, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{name} {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def kubectl(self, *arguments: str, cluster: str = "", text: str | None = None, check: bool = True) -> str:
        """Run kubectl on a kind cluster by the administrator's kubeconfig that kind tells, not by anything of ours."""
        with self.kubeconfig(cluster) as file:
            return self.tool("kubectl", "--kubeconfig", file, *arguments, text=text, check=check)

    @contextmanager
    def kubeconfig(self, cluster: str = "") -> Iterator[str]:
        """The administrator's kubeconfig of a kind cluster, its own or another, in a file while the block runs."""
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
            file.write(self.tool("kind", "get", "kubeconfig", "--name", cluster or self.cluster))
            file.flush()
            yield file.name

    @contextmanager
    def forwarded(self, namespace: str, pod: str, port: int) -> Iterator[str]:
        """A local address that leads to a port inside a pod, for as long as the block runs."""
        with self.kubeconfig() as file:
            argv = [self.lab["tools"]["kubectl"], "--kubeconfig", file, "port-forward", "--namespace", namespace]
            process = subprocess.Popen([*argv, f"pod/{pod}", f":{port}"], stdout=subprocess.PIPE, text=True)
            try:
                line = process.stdout.readline() if process.stdout else ""
                yield line.split()[2]  # "Forwarding from 127.0.0.1:43210 -> 8123"
            finally:
                process.terminate()
                process.wait()

    def items(self, kinds: str, *arguments: str, cluster: str = "") -> list[dict[str, Any]]:
        """All objects of some kinds, in all namespaces."""
        answer = self.kubectl("get", kinds, "--all-namespaces", "-o", "json", *arguments, cluster=cluster)
        found: list[dict[str, Any]] = json.loads(answer)["items"]
        return found

    def pods(self) -> dict[str, tuple[str, int]]:
        """UID and restarts of each pod of the platform; a finished Job's pod is not part of it."""
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": (
                pod["metadata"]["uid"],
                sum(c["restartCount"] for c in pod["status"].get("containerStatuses", [])),
            )
            for pod in self.items("pods")
            if not any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
        }

    def records(self) -> list[dict[str, Any]]:
        """The records of all bootstraps of this region, oldest first."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.state.glob("runs/*/record.json"))]
        return [record for record in found if record["playbook"] == "bootstrap"]

    def files(self) -> dict[str, bytes]:
        """All files of the state folder with their content."""
        found = (path for path in self.state.rglob("*") if path.is_file())
        return {str(path.relative_to(self.state)): path.read_bytes() for path in found}

    def containers(self) -> list[str]:
        """Names of its containers, running or not, as the engine tells."""
        found = self.tool("docker", "ps", "--all", "--format", "{{.Names}}").split()
        return sorted(one for one in found if one.startswith(f"{self.cluster}-"))

    def volumes(self) -> set[str]:
        """Volumes that its containers hold; the nodes' have no name by which they are known afterwards."""
        mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        looked = (self.tool("docker", "inspect", "-f", mounts, one, check=False) for one in self.containers())
        return {volume for text in looked for volume in text.split()}

    def private_folders(self, within_seconds: float) -> list[str]:
        """Private folders of its runs that are still there after so long: the warden outlives its run for a moment."""
        end, names = (
            time.monotonic() + within_seconds,
            [f"kontrol-run-{one.name}-*" for one in self.state.glob("runs/*")],
        )
        while (
            left := [str(one) for name in names for one in Path(tempfile.gettempdir()).glob(name)]
        ) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def left(self, volumes: set[str]) -> dict[str, list[str]]:
        """What there is of it on this machine, by kind of thing, without what our own proof goes by.

        `volumes` are those that it had before; the records of its runs and plans are no part of a region.
        """
        networks = self.tool("docker", "network", "ls", "--format", "{{.Name}}").split()
        there = self.tool("docker", "volume", "ls", "--quiet").split()
        clusters = self.tool("kind", "get", "clusters").split()
        own = Path(self.env["HOME"]) / ".kube" / "config"
        found = {
            "containers": self.containers(),
            "clusters": [one for one in clusters if one == self.cluster],
            "networks": [one for one in networks if one.startswith(self.cluster)],
            "volumes": sorted(volumes & set(there)),
            "files": [one.name for one in self.state.glob("*") if one.name not in KEPT],
            "kubeconfigs": [str(one) for one in self.state.rglob("*kubeconfig*")],
            "private folders": self.private_folders(10),
            "contexts": [str(own)] if own.is_file() and self.cluster in own.read_text(encoding="utf-8") else [],
        }
        return {what: sorted(names) for what, names in found.items() if names}


@dataclass
class Started:
    """A playbook that runs on its own."""

    process: subprocess.Popen[bytes]
    mark: str
    output: Path

    def stdout(self) -> str:
        """What it printed so far."""
        return COLOUR.sub("", self.output.read_text(encoding="utf-8", errors="replace"))

    def until(self, moment: Callable[[], bool]) -> None:
        """Wait for a moment of the run; fail when it ends without."""
        try:
            while not moment():
                assert self.process.poll() is None, f"it ended before that\n{self.stdout()[-3000:]}"
                time.sleep(0.01)
        except BaseException:
            self.kill_group()
            raise

    def in_phase(self, phase: str) -> bool:
        """Answer whether it has journalled this phase, which it then tells."""
        return re.search(rf"^Phase [^:]+: {phase}\b", self.stdout(), re.MULTILINE) is not None

    def has_child(self, *words: str) -> bool:
        """Answer whether one of its processes has all these words in its command line."""
        return any(all(word in line for word in words) for line in marked(self.mark))

    def wait(self) -> Run:
        """Wait for its end."""
        start = time.monotonic()
        rc = self.process.wait(SLOWEST_SECONDS)
        text = self.stdout()
        changed = sum(int(number) for number in re.findall(r"changed=(\d+)", text))
        return Run(rc, changed, text, time.monotonic() - start)

    def kill_group(self) -> None:
        """Kill -9 its process group, as a terminal or a CI system does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def survivors(self, within_seconds: float) -> list[str]:
        """Command lines of what it started and is still there after so long; empty as soon as none is."""
        end = time.monotonic() + within_seconds
        while (left := sorted(marked(self.mark))) and time.monotonic() < end:
            time.sleep(0.1)
        return left


def marked(mark: str) -> Iterator[str]:
    """Command lines of all living processes that carry a mark in their environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it is gone, or not ours


@dataclass(frozen=True)
class Cgroup:
    """A control group of its own, so that even what left the process group can be killed."""

    folder: Path

    @classmethod
    def make(cls) -> Cgroup | None:
        """Make one (v2, else v1), or answer None where this machine does not let us."""
        for base in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup/freezer")):
            folder = base / f"kontrol-test-{uuid.uuid4().hex[:8]}"
            try:
                folder.mkdir()
            except OSError:
                continue
            if (folder / "cgroup.procs").exists():
                return cls(folder)
            folder.rmdir()
        return None

    def add(self, pid: int) -> None:
        """Move a process into it; what it starts from then on is in it too."""
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def kill(self) -> None:
        """Kill -9 all processes in it until there is none."""
        procs = self.folder / "cgroup.procs"
        while pids := procs.read_text(encoding="ascii").split():
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        self.folder.rmdir()
