"""The Docker engine: used as it is where one answers, installed and started where none does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab import oci_runtime, process
from lab.errors import LabError
from lab.store import write_atomic

START_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 120
RUNTIME = "kontrol"


def docker() -> str:
    """Absolute path of the docker client. Raises LabError where there is none."""
    return process.need("docker", "install Docker, or run as root on Debian to have it installed")


def answers() -> bool:
    """Whether a Docker engine answers."""
    client = shutil.which("docker")
    return client is not None and process.succeeds([client, "version", "--format", "{{.Server.Version}}"])


def ensure(home: Path, log: Path) -> None:
    """Have an engine that answers. Raises LabError where this user or system cannot start one."""
    if answers():
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        raise LabError("No Docker engine answers and this user cannot start one: start Docker, then run again")
    if shutil.which("dockerd") is None:
        apt_install(["docker.io"], log)
        if answers():
            return
    _start(home, log)


def apt_install(packages: list[str], log: Path) -> None:
    """Install Debian packages. Raises LabError where apt is missing or fails."""
    apt = process.need("apt-get", f"install {', '.join(packages)} by hand, then run again")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    patient = ["-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}"]
    process.run([apt, "update"], log, env=quiet)
    process.run([apt, *patient, "install", "-y", "--no-install-recommends", *packages], log, env=quiet)


def install_runtime(home: Path) -> list[str]:
    """Arguments for dockerd; writes the capability shim only where the bounding set lacks something."""
    mask = oci_runtime.bounding(Path("/proc/self/status").read_text(encoding="ascii"))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    if not oci_runtime.missing(mask, last):
        return []
    system = Path("/usr/bin/python3")
    python = system if system.exists() else Path(sys.executable).resolve()
    source = Path(oci_runtime.__file__).read_text(encoding="utf-8")
    shim = home / "oci-runtime"
    write_atomic(shim, f"#!{python} -IS\n{source}", mode=0o755)
    return ["--add-runtime", f"{RUNTIME}={shim}", "--default-runtime", RUNTIME]


def _start(home: Path, log: Path) -> None:
    """Start dockerd in a session of its own and wait until it answers."""
    home.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [shutil.which("dockerd") or "dockerd", "--log-level", "warn", *install_runtime(home)]
    with log.open("ab") as sink:
        daemon = subprocess.Popen(
            argv, cwd="/", stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if answers():
            return
        if daemon.poll() is not None and not answers():
            raise LabError(f"The Docker engine ended with status {daemon.returncode} at its start", log)
        time.sleep(0.5)
    raise LabError(f"The Docker engine did not answer within {START_TIMEOUT_S} s", log)
