"""The driver `kind`: a cluster in containers of the local Docker engine, which alone says what is there."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import access, state
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    CREATING,
    DELETING,
    READY,
    ClusterSpec,
    Condition,
    DriverError,
    Outputs,
    Record,
    drop_record,
    load_record,
    save_record,
)
from ansible_collections.kontrol.platform.plugins.module_utils.process import must

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker
    from ansible_collections.kontrol.platform.plugins.module_utils.process import Runner

CLUSTER_LABEL: Final = "io.x-k8s.kind.cluster"
CREATE_SECONDS: Final = 1800.0
STEPS: Final = ("node image", "preparing nodes", "configuration", "control-plane", "cni", "storageclass", "worker")
KUBELET: Final = "kind: KubeletConfiguration\nsyncFrequency: 10s\n"
"""A pod sees a changed ConfigMap when the kubelet looks; by default each minute, and a first verify waits for that."""
INOTIFY: Final = {"max_user_instances": 512, "max_user_watches": 524288}  # kind's guide, "too many open files"
INOTIFY_DIR: Final = Path("/proc/sys/fs/inotify")


@dataclass
class KindDriver:
    """The kind cluster `kontrol-<region>`.

    Attributes:
        region: Name of the region.
        folder: Its state folder, where the record of the cluster lives.
        scratch: A private folder of this run, for the kubeconfig that kind insists on writing.
        program: Absolute path of kind.
        image: Node image.
        overlay: What the lab merges into kind's configuration.
        say: Shows a line of progress.
    """

    region: str
    folder: Path
    scratch: Path
    program: str
    image: str
    docker: Docker
    runner: Runner
    overlay: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _line: None
    clock: Callable[[], float] = time.monotonic
    _kubeconfig: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return f"kontrol-{self.region}"

    @property
    def object_id(self) -> str:
        """How plans, records and reports name the cluster."""
        return f"Cluster {self.name}"

    def condition(self) -> Condition:
        """Return what the engine holds, judged with the record."""
        return _judge(self._nodes(), load_record(self.folder))

    def read(self) -> Outputs | None:
        """Return the outputs of the running cluster, as the engine and kind tell them."""
        nodes = self._nodes()
        if not nodes or not all(_running(node) for node in nodes):
            return None
        way = access.parse(self.kubeconfig(), f"kind get kubeconfig --name {self.name}")
        version = str(nodes[0].get("Config", {}).get("Image", ""))
        return Outputs("kind", self.name, way.api_server, way.ca_sha256, version, _ids(nodes))

    def plan(self, spec: ClusterSpec, *, adopt: bool = False) -> list[tuple[str, str]]:
        """Return (object, verb) for what `create` would do; refuse what it would refuse."""
        condition = self.condition()
        record = load_record(self.folder)
        if condition in {Condition.UNKNOWN, Condition.REMADE} and not adopt:
            raise DriverError(self._refusal(condition, record))
        if condition in {Condition.STOPPED, Condition.RUNNING}:
            _refuse_replacement(self.name, self.replaced(spec))
        verbs = {Condition.STOPPED: "update", Condition.RUNNING: "none"}
        taken_over = condition in {Condition.UNKNOWN, Condition.REMADE}
        return [(self.object_id, "take_over" if taken_over else verbs.get(condition, "create"))]

    def replaced(self, spec: ClusterSpec) -> list[dict[str, Any]]:
        """Return what of a cluster that is there differs and cannot be changed in place: path, before, after."""
        record = load_record(self.folder)
        recorded = record.spec if record else {}
        return [
            {"path": key, "before": recorded[key], "after": value}
            for key, value in asdict(spec).items()
            if key in recorded and recorded[key] != value
        ]

    def create(self, spec: ClusterSpec, run: str, *, adopt: bool = False) -> Outputs:
        """Make the cluster, finish what a killed run left, or start what was stopped."""
        [(_object, verb)] = self.plan(spec, adopt=adopt)
        self._kubeconfig = ""
        if verb == "create":
            self._clear_half_made()
            self._make(spec, run)
        else:
            self._start_stopped()
        outputs = self.read()
        if outputs is None:
            raise DriverError(f'Cluster "{self.name}" is not running although it was just started; see `docker ps -a`')
        if verb == "take_over":
            self._adopted(outputs, spec, run)
        return outputs

    def complete(self, outputs: Outputs, run: str, namespace_uid: str) -> None:
        """Record that the creation by this run ended."""
        record = load_record(self.folder)
        if record is None or record.phase != CREATING or record.run != run:
            raise DriverError(f'The creation of cluster "{self.name}" was not started by run "{run}"; run again')
        seconds = round(state.age_seconds(record.at), 1)
        found = {key: value for key, value in asdict(outputs).items() if key not in {"driver", "name"}}
        save_record(self.folder, replace(record, phase=READY, namespace_uid=namespace_uid, seconds=seconds, **found))

    def refuse_foreign(self) -> Condition:
        """Return the condition; refuse a cluster that this region did not make."""
        condition = self.condition()
        if condition in {Condition.UNKNOWN, Condition.REMADE}:
            raise DriverError(self._refusal(condition, load_record(self.folder)))
        return condition

    def delete(self) -> bool:
        """Delete the recorded cluster; a cluster that this region did not make is refused."""
        condition = self.refuse_foreign()
        record = load_record(self.folder)
        if condition is Condition.ABSENT:
            drop_record(self.folder)
            return False
        if record is not None:
            save_record(self.folder, replace(record, phase=DELETING))
        self._kind_delete()
        self._kubeconfig = ""
        drop_record(self.folder)
        return True

    def kubeconfig(self) -> str:
        """Return the administrator's kubeconfig that kind prints; asked for once, until the cluster is touched."""
        if not self._kubeconfig:
            said = self._kind("get", "kubeconfig", "--name", self.name)
            self._kubeconfig = must(said, f'Reading the kubeconfig of "{self.name}"')
        return self._kubeconfig

    def hits(self) -> list[str]:
        """Return the lines that tell what `delete` removes."""
        return [f"container {str(node.get('Name', '')).lstrip('/')} ({_status(node)})" for node in self._nodes()]

    def _nodes(self) -> list[dict[str, Any]]:
        return self.docker.labelled(f"{CLUSTER_LABEL}={self.name}")

    def _kind(self, *arguments: str, text: str | None = None, timeout: float = 120.0, progress: bool = False) -> Any:
        listener = _Progress(self.object_id, self.say, self.clock) if progress else None
        return self.runner([self.program, *arguments], input=text, timeout=timeout, on_line=listener)

    def _make(self, spec: ClusterSpec, run: str) -> None:
        """Run `kind create cluster`, journalled before it starts."""
        save_record(self.folder, Record(CREATING, "kind", self.name, run, state.now(), spec=asdict(spec)))
        config = json.dumps(kind_config(self.name, spec, self.overlay))
        arguments = ["create", "cluster", "--name", self.name, "--config", "-", "--image", self.image]
        arguments += ["--kubeconfig", str(self.scratch / "kind.kubeconfig")]
        made = self._kind(*arguments, text=config, timeout=CREATE_SECONDS, progress=True)
        must(made, f'Creating kind cluster "{self.name}"', "run the same command again, what is half made is cleared")

    def _clear_half_made(self) -> None:
        """Remove the rest of a creation that this region recorded and that never ended."""
        record = load_record(self.folder)
        if self._nodes():
            self.say(f"{self.object_id}: half made by run {record.run if record else '?'}, deleted and made again")
            self._kind_delete()

    def _kind_delete(self) -> None:
        arguments = ["delete", "cluster", "--name", self.name, "--kubeconfig", str(self.scratch / "kind.kubeconfig")]
        must(self._kind(*arguments), f'Deleting kind cluster "{self.name}"')
        if left := self.hits():
            raise DriverError(f'Cluster "{self.name}" was deleted but {", ".join(left)} is still there; run again')

    def _start_stopped(self) -> None:
        for node in self._nodes():
            if not _running(node):
                self.say(f"{self.object_id}: starting stopped container {str(node.get('Name', '')).lstrip('/')}")
                self.docker.start(str(node["Id"]))

    def _adopted(self, outputs: Outputs, spec: ClusterSpec, run: str) -> None:
        """Begin a record for a cluster that someone else made and that `-e adopt` names."""
        save_record(self.folder, Record(CREATING, "kind", self.name, run, state.now(), spec=asdict(spec)))
        self.say(f"{self.object_id}: taken over, API {outputs.api_server}, CA {outputs.ca_sha256[:16]}")

    def _refusal(self, condition: Condition, record: Record | None) -> str:
        recorded = (
            f", recorded is {_short(record.nodes)} made by run {record.run}" if record else ", nothing is recorded"
        )
        return (
            f'Kind cluster "{self.name}" was {condition.value}: containers {_short(_ids(self._nodes()))} are there'
            f"{recorded}; nothing was written to it. If it is this region's, run again with `-e adopt={self.region}`, "
            f"else remove it with `kind delete cluster --name {self.name}`"
        )


def kind_config(name: str, spec: ClusterSpec, overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return kind's configuration: the declared networks and nodes, with the lab's overlay merged in."""
    workers = [{"role": "worker"} for _ in range(spec.workers)]
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "networking": {
            "apiServerAddress": "127.0.0.1",
            "podSubnet": spec.pod_cidr,
            "serviceSubnet": spec.service_cidr,
        },
        "nodes": [{"role": "control-plane"}, *workers],
        "kubeadmConfigPatches": [KUBELET],
    }
    merged: dict[str, Any] = _merged(config, overlay)
    mounts = merged["nodes"][0].get("extraMounts")
    for node in merged["nodes"][1:]:
        node.update({"extraMounts": mounts} if mounts else {})
    return merged


def inotify_warnings(folder: Path = INOTIFY_DIR) -> list[str]:
    """Return a warning with the lines to set when limits are too small for a cluster in containers, else nothing."""
    low = []
    for name, wanted in INOTIFY.items():
        try:
            found = int((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not Linux
            continue
        if found < wanted:
            low.append(f"`sysctl -w fs.inotify.{name}={wanted}` (now {found})")
    if not low:
        return []
    return ["Pods may fail with 'too many open files' on this machine; set, as root, " + " and ".join(low)]


class _Progress:
    """Turns the lines of `kind create` into lines that tell what, how far and how long so far."""

    def __init__(self, what: str, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._what, self._say, self._clock = what, say, clock
        self._started = clock()

    def __call__(self, line: str) -> None:
        found = re.match(r"^\W*•\s+([ -~]*[!-~])", line)
        if found is None:
            return
        text = found.group(1)
        step = next((number for number, word in enumerate(STEPS, 1) if word in text.lower()), None)
        place = f"step {step} of {len(STEPS) - 1}" if step else "a step"
        self._say(f"{self._what}: {text} ({place}, after {self._clock() - self._started:.0f} s)")


def _judge(nodes: list[dict[str, Any]], record: Record | None) -> Condition:
    """Return the condition that these containers and this record make."""
    if not nodes:
        return Condition.ABSENT
    if record is None:
        return Condition.UNKNOWN
    if record.phase != READY:
        older = any(_created(node) < record.at for node in nodes) and record.phase == CREATING
        return Condition.UNKNOWN if older else Condition.HALF_MADE
    if _ids(nodes) != record.nodes:
        return Condition.REMADE
    return Condition.RUNNING if all(_running(node) for node in nodes) else Condition.STOPPED


def _refuse_replacement(name: str, replaced: list[dict[str, Any]]) -> None:
    """Refuse a change of what kind can only set at creation."""
    told = [f"{one['path']} is {one['before']!r} there and {one['after']!r} in the region" for one in replaced]
    if told:
        raise DriverError(
            f'Cluster "{name}" cannot be changed in place: {"; ".join(told)}; '
            "put the old value back, or decommission the cluster and bootstrap again",
        )


def _merged(base: Any, overlay: Any) -> Any:
    """Return `base` with `overlay` laid over it: mappings by key, `nodes` by position, other lists appended."""
    if not isinstance(base, dict) or not isinstance(overlay, dict):
        return overlay
    result = dict(base)
    for key, value in overlay.items():
        if key == "nodes" and isinstance(result.get(key), list):
            pairs = zip(result[key], value, strict=False)
            together = [_merged(mine, theirs) for mine, theirs in pairs]
            result[key] = together + (result[key][len(together) :] or value[len(together) :])
        elif isinstance(result.get(key), list) and isinstance(value, list):
            result[key] = [*result[key], *value]
        else:
            result[key] = _merged(result[key], value) if key in result else value
    return result


def _ids(nodes: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted(str(node["Id"]) for node in nodes))


def _running(node: dict[str, Any]) -> bool:
    return bool(node.get("State", {}).get("Running"))


def _status(node: dict[str, Any]) -> str:
    return str(node.get("State", {}).get("Status", "unknown"))


def _created(node: dict[str, Any]) -> str:
    """Return the time of creation in whole seconds, comparable with `state.now`."""
    return str(node.get("Created", "9"))[:19] + "Z"


def _short(ids: tuple[str, ...]) -> str:
    return ", ".join(one[:12] for one in ids) or "none"
