from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from lab import docker, engine, mode, oci_runtime, paths, process
from lab.errors import LabError
from tests.lab.conftest import Programs


def test_references() -> None:
    assert docker.short_ref("docker.io/library/python:3") == "python:3"
    assert docker.short_ref("docker.io/kindest/node:v1") == "kindest/node:v1"
    assert docker.short_ref("kontrol.lab/a:k") == "kontrol.lab/a:k"
    assert docker.host_and_path("docker.io/istio/pilot:1") == ("docker.io", "istio/pilot:1")


def test_world_lists_images_and_containers(programs: Programs) -> None:
    programs.add(
        "docker",
        'case "$1" in image) echo "a:1 sha256:1"; echo "<none>:<none> sha256:2";; ps) echo id;; '
        "inspect) echo '[{\"State\": 1}]';; esac",
    )
    world = docker.World()
    assert world.images == {"a:1": "sha256:1", "<none>:<none>": "sha256:2"}
    assert world.container("box") == {"State": 1}


def test_world_without_engine_or_container(programs: Programs) -> None:
    programs.add("docker", "exit 1")
    assert docker.World().images == {}
    assert docker.World().container("box") is None
    programs.add("docker")
    assert docker.World().container("box") is None


def test_prune_removes_only_the_labs_stale_images(programs: Programs) -> None:
    programs.add("docker", 'case "$*" in *used*) exit 1;; esac')
    images = {"kontrol.lab/a:old": "1", "kontrol.lab/a:new": "2", "kontrol.lab/used:old": "3", "other:1": "4"}
    assert docker.prune({"kontrol.lab/a:new"}, images) == ["kontrol.lab/a:old"]


def test_an_engine_that_answers_is_left_alone(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker")
    programs.add("dockerd")
    engine.ensure(tmp_path, tmp_path / "log")
    assert programs.calls("dockerd") == []


def test_no_engine_and_not_root(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("docker", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="this user cannot start one: start Docker, then run again"):
        engine.ensure(tmp_path, tmp_path / "log")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("as_root")
def test_engine_is_started_and_waited_for(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", f'test -e "{tmp_path}/up"')
    programs.add("dockerd", f'touch "{tmp_path}/up"')
    engine.ensure(tmp_path / "engine", tmp_path / "log")
    assert programs.calls("dockerd")[0].startswith("dockerd --log-level warn")


@pytest.mark.usefixtures("as_root")
def test_engine_is_installed_where_none_is(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("docker", f'test -e "{tmp_path}/up"')
    programs.add("apt-get", f'case "$*" in *docker.io) touch "{tmp_path}/up";; esac')
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "dockerd" else which(name))
    engine.ensure(tmp_path / "engine", tmp_path / "log")
    update, install = programs.calls("apt-get")
    assert update == "apt-get update"
    assert install == "apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends docker.io"


@pytest.mark.usefixtures("as_root")
def test_engine_that_ends_at_its_start(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", "exit 1")
    programs.add("dockerd", 'echo "no space"; exit 3')
    with pytest.raises(LabError) as caught:
        engine.ensure(tmp_path / "engine", tmp_path / "log")
    assert "ended with status 3 at its start" in caught.value.render()
    assert caught.value.render().endswith("| no space")


def test_shim_only_where_something_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci_runtime, "missing", lambda mask, last: [])
    assert engine.install_runtime(tmp_path) == []
    monkeypatch.setattr(oci_runtime, "missing", lambda mask, last: ["CAP_SYS_RESOURCE"])
    argv = engine.install_runtime(tmp_path)
    shim = tmp_path / "oci-runtime"
    assert argv == ["--add-runtime", f"kontrol={shim}", "--default-runtime", "kontrol"]
    assert shim.stat().st_mode & 0o777 == 0o755
    assert shim.read_text().startswith("#!/")
    compile(shim.read_text(), str(shim), "exec")


def test_command_failure_tells_the_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(LabError) as caught:
        process.run(["sh", "-c", "echo why; exit 3"], log)
    assert caught.value.render() == (
        f"Command 'sh -c echo why; exit 3' ended with status 3\n  log: {log}\n  | $ sh -c echo why; exit 3\n  | why"
    )
    with pytest.raises(LabError, match="status 2: bad"):
        process.read(["sh", "-c", "echo bad >&2; exit 2"])
    assert process.read([sys.executable, "-c", "print(1)"]) == "1\n"


def test_missing_program_has_a_remedy() -> None:
    with pytest.raises(LabError, match="Program 'no-such-tool' is not on PATH: install it"):
        process.need("no-such-tool", "install it")


def test_children_are_tied_to_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/setpriv")
    assert process.guarded(["a"]) == ["/usr/bin/setpriv", "--pdeathsig", "KILL", "a"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert process.guarded(["a"]) == ["a"]


@pytest.mark.parametrize(
    ("wanted", "answers", "found"),
    [("", True, "online"), ("auto", False, "lab"), ("lab", True, "lab"), ("online", False, "online")],
)
def test_mode(monkeypatch: pytest.MonkeyPatch, wanted: str, answers: bool, found: str) -> None:
    monkeypatch.setenv("KONTROL_LAB", wanted)
    assert mode.detect("https://registry.test/v2/", lambda url: answers) == found


def test_unknown_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONTROL_LAB", "Lab")
    with pytest.raises(LabError, match="KONTROL_LAB is 'Lab': use lab, online or auto"):
        mode.detect("https://registry.test/v2/")


def test_nothing_answers_on_a_closed_port() -> None:
    assert mode.reachable("http://127.0.0.1:1/v2/", timeout_s=1) is False


def test_directories_follow_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert paths.cache_root() == tmp_path / "kontrol"
    assert paths.state_root() == Path.home() / ".local/state/kontrol"
