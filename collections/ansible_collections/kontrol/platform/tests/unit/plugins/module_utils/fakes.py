"""Stand-ins for the Docker engine, kind, sops and an API server, as far as the run's own code uses them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils import paths, state
from ansible_collections.kontrol.platform.plugins.module_utils.lease import ConflictError
from ansible_collections.kontrol.platform.plugins.module_utils.process import Completed
from ansible_collections.kontrol.platform.plugins.module_utils.tools_package import tool

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def kubeconfig(server: str = "https://127.0.0.1:6443", ca: str = "one", name: str = "kind-kontrol-r") -> str:
    """Return a kubeconfig as kind prints it; `ca` is any text that stands for a certificate."""
    pem = CERTIFICATE.format(base64.b64encode(ca.encode()).decode())
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(pem.encode()).decode()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": "CANARY-token"}}],
        },
    )


@dataclass
class FakeTools:
    """A Runner: a Docker engine with containers in memory, kind on top of it, and sops that "encrypts"."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    going: set[str] = field(default_factory=set)
    calls: list[list[str]] = field(default_factory=list)
    inputs: list[str | None] = field(default_factory=list)
    fail: dict[str, str] = field(default_factory=dict)
    ca: str = "one"
    server: str = "https://127.0.0.1:6443"
    created_at: str = "2026-11-25T03:00:00.123456789Z"
    count: int = 0
    die_during_create: bool = False
    env_files: list[str] = field(default_factory=list)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Any = None,
        input: str | None = None,  # noqa: A002 - the name in Runner
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        program, *arguments = argv
        name = program.rsplit("/", 1)[-1]
        self.calls.append([name, *arguments])
        self.inputs.append(input)
        for words, message in self.fail.items():
            if words in " ".join([name, *arguments]):
                return Completed(1, "", message)
        handler = getattr(self, f"_{name}_{arguments[0].replace('-', '_')}")
        answer = handler(arguments[1:], input, on_line)
        return answer if isinstance(answer, Completed) else Completed(0, answer, "")

    def did(self, *words: str) -> int:
        """Return how many calls began with these words."""
        return sum(call[: len(words)] == list(words) for call in self.calls)

    def add(self, name: str, labels: dict[str, str], *, running: bool = True, **more: Any) -> dict[str, Any]:
        """Put a container into the engine."""
        self.count += 1
        self.containers[name] = {
            "Id": f"{self.count:064x}",
            "Name": f"/{name}",
            "Created": self.created_at,
            "State": {"Running": running, "Status": "running" if running else "exited"},
            "Config": {"Labels": labels, "Image": more.pop("image", "node")},
            "NetworkSettings": {"Ports": {"7070/tcp": [{"HostIp": "127.0.0.1", "HostPort": "17070"}]}},
            **more,
        }
        return self.containers[name]

    def _named(self, reference: str) -> str:
        return next(name for name, one in self.containers.items() if reference in {name, one["Id"]})

    def _docker_ps(self, arguments: list[str], *_: Any) -> str:
        kind, _eq, value = arguments[-1].partition("=")
        found = []
        for name, one in self.containers.items():
            key, _eq, wanted = value.partition("=")
            labelled = kind == "label" and one["Config"]["Labels"].get(key) == wanted
            if labelled or (kind == "name" and value == f"^/{name}$"):
                found.append(one["Id"])
        return "\n".join(found)

    def _docker_container(self, arguments: list[str], *_: Any) -> Completed:
        """Answer `docker container inspect`; what is going was listed a moment ago and is not there any more."""
        named = {one: self._named(one) for one in arguments[1:]}
        gone = [f"Error response from daemon: No such container: {one}" for one in named if named[one] in self.going]
        found = [self.containers[name] for name in named.values() if name not in self.going]
        return Completed(1 if gone else 0, json.dumps(found), "\n".join(gone))

    def _docker_image(self, arguments: list[str], *_: Any) -> Completed:
        return Completed(0 if arguments[-1] in self.images else 1, "", "")

    def _docker_network(self, arguments: list[str], *_: Any) -> Completed:
        if arguments[0] == "create":
            self.networks.add(arguments[-1])
        return Completed(0 if arguments[-1] in self.networks else 1, "", "")

    def _docker_pull(self, arguments: list[str], *_: Any) -> str:
        self.images.add(arguments[-1])
        return ""

    def _docker_create(self, arguments: list[str], *_: Any) -> str:
        labels = dict(arguments[at + 1].split("=", 1) for at, one in enumerate(arguments) if one == "--label")
        if "--env-file" in arguments:
            self.env_files.append(Path(arguments[arguments.index("--env-file") + 1]).read_text(encoding="utf-8"))
        made = self.add(arguments[arguments.index("--name") + 1], labels, running=False)
        return str(made["Id"])

    def _docker_start(self, arguments: list[str], *_: Any) -> str:
        self.containers[self._named(arguments[0])]["State"] = {"Running": True, "Status": "running"}
        return ""

    def _docker_stop(self, arguments: list[str], *_: Any) -> str:
        return ""

    def _docker_rm(self, arguments: list[str], *_: Any) -> str:
        del self.containers[self._named(arguments[-1])]
        return ""

    def _docker_logs(self, arguments: list[str], *_: Any) -> str:
        return "it says why"

    def _kind_create(self, arguments: list[str], text: str | None, on_line: Any) -> str:
        name = arguments[arguments.index("--name") + 1]
        for line in (
            " • Ensuring node image (node) 🖼  ...",
            " ✓ Ensuring node image (node) 🖼",
            " • Preparing nodes 📦  ...",
        ):
            if on_line:
                on_line(line)
        for number, node in enumerate(json.loads(text or "{}")["nodes"]):
            suffix = node["role"] if number == 0 else f"{node['role']}{number}"
            self.add(f"{name}-{suffix}", {"io.x-k8s.kind.cluster": name})
        if self.die_during_create:
            raise KeyboardInterrupt
        return ""

    def _kind_delete(self, arguments: list[str], *_: Any) -> str:
        name = arguments[arguments.index("--name") + 1]
        for one in [
            one for one, it in self.containers.items() if it["Config"]["Labels"].get("io.x-k8s.kind.cluster") == name
        ]:
            del self.containers[one]
        return ""

    def _kind_get(self, arguments: list[str], *_: Any) -> str:
        return kubeconfig(self.server, self.ca)

    def _sops___config(self, arguments: list[str], text: str | None, _on_line: Any) -> Completed:
        data = json.loads(text or "{}")
        if arguments[1] == "encrypt":
            data = {name: f"ENC[{value[::-1]}]" for name, value in data.items()} | {"sops": {}}
        else:
            data = {name: value[4:-1][::-1] for name, value in data.items() if name != "sops"}
        return Completed(0, json.dumps(data), "")


class FakeBuckets:
    """The tools' S3 client: buckets in memory, and whether each keeps versions; `problem` makes every call fail."""

    def __init__(self) -> None:
        self.kept: dict[str, bool] = {}
        self.objects: dict[str, bytes] = {}
        self.problem = ""

    def tool(self, name: str) -> Any:
        """Stand in for tools_package.tool."""
        return self if name == "s3" else tool(name)

    def Store(self, *_: str) -> None:  # noqa: N802 - a class of the client
        """Take the address and the keys."""

    def _ask(self) -> None:
        if self.problem:
            raise tool("errors").ToolError(self.problem)

    def keeps_versions(self, store: None, bucket: str) -> bool | None:
        self._ask()
        return self.kept.get(bucket)

    def ensure_bucket(self, store: None, bucket: str) -> None:
        """Make a bucket, a folder as that of the real server."""
        state.make_private_dir(paths.region_state("r") / "backups" / "data" / bucket)
        self.kept.setdefault(bucket, False)

    def keep_versions(self, store: None, bucket: str) -> None:
        self.kept[bucket] = True

    def sizes(self, store: None, bucket: str, prefix: str) -> dict[str, int]:
        self._ask()
        return {key: len(body) for key, body in self.objects.items() if key.startswith(prefix)}

    def put_file(self, store: None, bucket: str, key: str, path: Path) -> None:
        self.objects[key] = path.read_bytes()


class FakeApi:
    """An API server in memory, with resourceVersions that a replace must match."""

    def __init__(self, server: str = "https://127.0.0.1:6443") -> None:
        self.server = server
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.version = 0
        self.before_write: Callable[[], None] = lambda: None
        self.is_ready = True

    def get(self, path: str) -> dict[str, Any] | None:
        found = self.objects.get(path)
        copied: dict[str, Any] | None = json.loads(json.dumps(found))
        return copied

    def list(self, path: str) -> list[dict[str, Any]]:
        return [one for name, one in self.objects.items() if name.startswith(path + "/")]

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._store(path, body)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._race()
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise ConflictError(place)
        return self._store(place, body)

    def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._race()
        found = self.objects.get(path)
        if found is None or found["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            raise ConflictError(path)
        return self._store(path, body)

    def wait_ready(self, say: Callable[[str], None], timeout: float = 1) -> None:
        say("ready")

    def ready(self) -> bool:
        return self.is_ready

    def _race(self) -> None:
        before, self.before_write = self.before_write, lambda: None
        before()

    def _store(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.writes.append(path)
        stored: dict[str, Any] = json.loads(json.dumps(body))
        stored.setdefault("metadata", {})["resourceVersion"] = str(self.version)
        self.objects[path] = stored
        copied: dict[str, Any] = json.loads(json.dumps(stored))
        return copied


@dataclass
class FakeClock:
    """Monotonic seconds that only a sleep moves; `on_sleep` is called after each."""

    at: float = 1000.0
    on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.on_sleep()
