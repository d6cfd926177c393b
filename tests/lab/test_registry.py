from __future__ import annotations

import http.server
import json
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import docker, registry
from lab.errors import LabError
from tests.lab.conftest import Programs

DIGEST = "sha256:" + "a" * 64


class Stub(http.server.BaseHTTPRequestHandler):
    """A registry that holds app/web:1."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path == "/v2/app/web/manifests/1" else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Docker-Content-Digest", DIGEST)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""


@pytest.fixture
def settings() -> Iterator[registry.Settings]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    mirrors = {"docker.io": "https://upstream.test"}
    yield registry.Settings("box", "kind", server.server_port, mirrors)
    server.shutdown()
    server.server_close()


DEAD = registry.Settings("box", "kind", 1, {})


def test_hosts_file_asks_the_mirror_first(tmp_path: Path, settings: registry.Settings) -> None:
    registry.write_mirrors(settings, tmp_path)
    found = tomllib.loads((tmp_path / "docker.io" / "hosts.toml").read_text())
    assert found == {
        "server": "https://upstream.test",
        "host": {"http://box:5000": {"capabilities": ["pull", "resolve"]}},
    }


def test_kind_config_mounts_the_mirrors() -> None:
    config = registry.kind_config(Path("/c/certs.d"))
    patch = tomllib.loads(config["containerdConfigPatches"][0])
    assert patch["plugins"]["io.containerd.grpc.v1.cri"]["registry"] == {"config_path": "/etc/containerd/certs.d"}
    mount = {"hostPath": "/c/certs.d", "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    assert config["nodes"] == [{"role": "control-plane", "extraMounts": [mount]}]


def test_digest(settings: registry.Settings) -> None:
    assert registry.digest(settings, "app/web:1") == DIGEST
    assert registry.digest(settings, "app/web:2") is None
    assert registry.digest(DEAD, "app/web:1") is None


def test_push_returns_the_registrys_digest(settings: registry.Settings, programs: Programs, tmp_path: Path) -> None:
    programs.add("docker")
    log = tmp_path / "log"
    assert registry.push(settings, "kontrol.lab/web:k", "docker.io/app/web:1", log) == DIGEST
    target = f"localhost:{settings.port}/app/web:1"
    assert programs.calls() == [f"docker tag kontrol.lab/web:k {target}", f"docker push {target}"]
    with pytest.raises(LabError, match=r"'docker.io/app/web:9' is not in the registry after its push"):
        registry.push(settings, "kontrol.lab/web:k", "docker.io/app/web:9", log)


def world(container: dict[str, Any] | None) -> docker.World:
    found = docker.World()
    found.__dict__["answers"] = True
    found.__dict__["container"] = lambda name: container
    return found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"State": {"Running": False}}, "container 'box' does not run"),
        ({"Config": {"Image": "other"}}, "container 'box' runs another image"),
        ({"Mounts": []}, "container 'box' keeps its data elsewhere"),
    ],
)
def test_missing(settings: registry.Settings, change: dict[str, Any], reason: str | None) -> None:
    sound = {"State": {"Running": True}, "Config": {"Image": "i"}, "Mounts": [{"Source": "/data"}]}
    assert registry.missing(settings, world({**sound, **change}), "i", Path("/data")) == reason


def test_missing_container_and_dead_registry() -> None:
    assert registry.missing(DEAD, world(None), "i", Path("/d")) == "container 'box' does not exist"
    sound = {"State": {"Running": True}, "Config": {"Image": "i"}, "Mounts": [{"Source": "/d"}]}
    assert registry.missing(DEAD, world(sound), "i", Path("/d")) == "registry 'localhost:1' does not answer"


def test_ensure_makes_network_and_container(settings: registry.Settings, programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", 'case "$*" in "network inspect kind") exit 1;; *Options*) echo "{}";; esac')
    registry.ensure(settings, "image:k", tmp_path / "data", tmp_path / "log")
    calls = programs.calls()
    assert any("network create --driver bridge" in call and "--ipv6 --subnet fc00:" in call for call in calls)
    run = calls[-1]
    assert f"--publish 127.0.0.1:{settings.port}:5000 --volume {tmp_path}/data:/var/lib/registry" in run
    assert "--restart unless-stopped" in run
    assert run.endswith(" image:k")


def test_network_without_ipv6_where_the_host_has_none(programs: Programs, tmp_path: Path) -> None:
    options = json.dumps({"com.docker.network.driver.mtu": "1400"})
    programs.add(
        "docker", f'case "$*" in "network inspect kind"|*--ipv6*) exit 1;; *Options*) echo \'{options}\';; esac'
    )
    registry.ensure_network(DEAD, tmp_path / "log")
    assert programs.calls()[-1].endswith("--opt com.docker.network.driver.mtu=1400 kind")


def test_network_that_exists_is_left_alone(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker")
    registry.ensure_network(DEAD, tmp_path / "log")
    assert programs.calls() == ["docker network inspect kind"]


def test_registry_that_never_answers(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("docker")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(LabError, match="Registry 'localhost:1' does not answer: is port 1 in use by another"):
        registry.ensure(DEAD, "image:k", tmp_path / "data", tmp_path / "log")
