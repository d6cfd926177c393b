"""The loopback registry: one container beside the kind nodes, which pull through it as they would from the internet."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import docker, engine, process
from lab.errors import LabError
from lab.store import write_atomic

# Address range that kind itself derives for a network of this name.
KIND_SUBNET_V6 = "fc00:f853:ccd:e793::/64"
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
INNER_PORT = 5000
CERTS_D = "/etc/containerd/certs.d"


@dataclass(frozen=True)
class Settings:
    """The table's `registry:` block."""

    container: str
    network: str
    port: int
    mirrors: Mapping[str, str]

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Settings:
        """Settings from the table's document."""
        return cls(**table["registry"])

    @property
    def address(self) -> str:
        """Address from the host; Docker trusts loopback registries without TLS."""
        return f"localhost:{self.port}"


def hosts_toml(server: str, mirror: str) -> str:
    """File of containerd for one mirrored host: our registry first, the real one behind it."""
    return f'server = "{server}"\n\n[host."{mirror}"]\n  capabilities = ["pull", "resolve"]\n'


def write_mirrors(settings: Settings, directory: Path) -> None:
    """Write the directory that kind nodes mount as their mirror configuration."""
    for host, server in settings.mirrors.items():
        text = hosts_toml(server, f"http://{settings.container}:{INNER_PORT}")
        write_atomic(directory / host / "hosts.toml", text)


def kind_config(certs_d: Path) -> dict[str, Any]:
    """What a kind cluster configuration must hold for its node to use the mirrors."""
    patch = f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{CERTS_D}"\n'
    mount = {"hostPath": str(certs_d), "containerPath": CERTS_D, "readOnly": True}
    return {"containerdConfigPatches": [patch], "nodes": [{"role": "control-plane", "extraMounts": [mount]}]}


def digest(settings: Settings, path: str) -> str | None:
    """Digest of `repository:tag` in the registry, or None when it is not there or nothing answers."""
    name, _, tag = path.rpartition(":")
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = _request(settings, "HEAD", f"/v2/{name}/manifests/{tag}")
        return answer.getheader("Docker-Content-Digest") if answer.status == 200 else None
    return None


def answers(settings: Settings) -> bool:
    """Whether the registry answers."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return _request(settings, "GET", "/v2/").status == 200
    return False


def push(settings: Settings, local: str, ref: str, log: Path) -> str:
    """Push a local image as a reference's mirror; returns the digest that the registry gives it."""
    _, path = docker.host_and_path(ref)
    target = f"{settings.address}/{path}"
    process.run([engine.docker(), "tag", local, target], log)
    process.run([engine.docker(), "push", target], log)
    found = digest(settings, path)
    if found is None:
        raise LabError(f"Image '{ref}' is not in the registry after its push", log)
    return found


def missing(settings: Settings, world: docker.World, image: str, data: Path) -> str | None:
    """Why the registry is not as it should be, or None."""
    found: Any = world.container(settings.container)
    if found is None:
        return f"container '{settings.container}' does not exist"
    if not found["State"]["Running"]:
        return f"container '{settings.container}' does not run"
    if found["Config"]["Image"] != image:
        return f"container '{settings.container}' runs another image"
    if str(data) not in [mount["Source"] for mount in found["Mounts"]]:
        return f"container '{settings.container}' keeps its data elsewhere"
    return None if answers(settings) else f"registry '{settings.address}' does not answer"


def ensure_network(settings: Settings, log: Path) -> None:
    """Have the network that kind uses, made as kind makes it: with IPv6, without where the host has none."""
    client = engine.docker()
    if process.succeeds([client, "network", "inspect", settings.network]):
        return
    options = json.loads(process.read([client, "network", "inspect", "bridge", "--format", "{{json .Options}}"]))
    mtu = options.get("com.docker.network.driver.mtu", "1500")
    common = [client, "network", "create", "--driver", "bridge"]
    common += ["--opt", "com.docker.network.bridge.enable_ip_masquerade=true"]
    common += ["--opt", f"com.docker.network.driver.mtu={mtu}"]
    if not process.succeeds([*common, "--ipv6", "--subnet", KIND_SUBNET_V6, settings.network]):
        process.run([*common, settings.network], log)


def ensure(settings: Settings, image: str, data: Path, log: Path) -> None:
    """Have the registry's container run on the network. Raises LabError where it does not answer."""
    ensure_network(settings, log)
    docker.remove_container(settings.container)
    data.mkdir(parents=True, exist_ok=True)
    argv = [engine.docker(), "run", "--detach", "--name", settings.container, "--network", settings.network]
    argv += ["--restart", "unless-stopped", "--publish", f"127.0.0.1:{settings.port}:{INNER_PORT}"]
    argv += ["--volume", f"{data}:/var/lib/registry", *docker.user_option(), image]
    process.run(argv, log)
    for _ in range(60):
        if answers(settings):
            return
        time.sleep(0.5)
    raise LabError(f"Registry '{settings.address}' does not answer: is port {settings.port} in use by another?", log)


def _request(settings: Settings, method: str, path: str) -> http.client.HTTPResponse:
    """One request to the registry on the loopback, without any proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=3)
    connection.request(method, path, headers={"Accept": MANIFEST_TYPES})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer
