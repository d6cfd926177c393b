"""Runs unit tests and syntax checks on Python 3.13 with ansible-core 2.20 or later, in a container of Debian trixie.

The container has no network and sees the project read-only. The packages of requirements.lock for that Python are put
into a cache folder by the host and mounted.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".bootstrap" / "bin" / "uv"
PYTHON = "3.13"
VENV = "/venv"  # in the container
IMAGE = "kontrol.lab/trixie-python"  # the lab's part trixie_python
SCRIPT = """
import sys
from importlib.metadata import version
core = version("ansible-core")
print(f"Python {sys.version.split()[0]}, ansible-core {core}")
assert sys.version_info[:2] >= (3, 13) and tuple(map(int, core.split(".")[:2])) >= (2, 20)
"""
COMMANDS = (
    ("python3", "-c", SCRIPT),
    ("pytest", "-q", "-m", "not e2e and not oracle and not cloud and not lab", "-n", "2", "-p", "no:cacheprovider"),
)


def cache() -> Path:
    """The project's cache folder, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kontrol"


def packages(lock: Path, folder: Path) -> Path:
    """Install the lock for the other Python into a folder of its own hash, unless that was done before."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    venv = folder / f"venv-{PYTHON}-{digest}"
    if not venv.exists():
        shutil.rmtree(folder, ignore_errors=True)
        unfinished = folder / "unfinished"
        site = unfinished / "lib" / f"python{PYTHON}" / "site-packages"
        what = ("--require-hashes", "--only-binary", ":all:", "--target", str(site), "--requirement", str(lock))
        where = ("--python-version", PYTHON, "--python-platform", f"{platform.machine()}-unknown-linux-gnu")
        subprocess.run([str(UV), "--no-config", "--quiet", "pip", "install", *where, *what], check=True)
        arrange(unfinished, site)
        unfinished.rename(venv)
    return venv


def arrange(venv: Path, site: Path) -> None:
    """Make an environment of packages that were installed for a Python that this machine does not have."""
    (venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {PYTHON}\n", encoding="utf-8")
    (site / "bin").rename(venv / "bin")
    for script in (venv / "bin").iterdir():
        shebang, newline, rest = script.read_bytes().partition(b"\n")
        if shebang.startswith(b"#!"):
            script.write_bytes(f"#!{VENV}/bin/python3".encode() + newline + rest)
    for name in ("python", "python3"):
        (venv / "bin" / name).symlink_to("/usr/bin/python3")


def argv(image: str, venv: Path, command: tuple[str, ...]) -> list[str]:
    """The docker command for one command in the container."""
    temporary = "/tmp"  # noqa: S108 - the container's own
    mounts = ("--volume", f"{ROOT}:/project:ro", "--volume", f"{venv}:{VENV}:ro", "--tmpfs", f"{temporary}:exec")
    settings = {"PATH": f"{VENV}/bin:/usr/bin:/bin", "VIRTUAL_ENV": VENV, "PYTHONDONTWRITEBYTECODE": "1"}
    settings |= {"HOME": temporary, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": "/project/ansible.cfg", "KONTROL_LAB": "lab"}
    environment = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    options = ("--rm", "--network", "none", "--workdir", "/project", "--entrypoint", "")
    return ["docker", "run", *options, *mounts, *environment, image, *command]


def image() -> str:
    """The image of the lab's part; the newest where an older lab left one too."""
    ask = ["docker", "image", "ls", "--filter", f"reference={IMAGE}", "--format", "{{.Repository}}:{{.Tag}}"]
    found = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
    if not found:
        raise SystemExit(f"No image {IMAGE!r}: run `python -m lab up`")
    return found[0]


def main() -> int:
    """Run each command in a container; answer the first exit code that is not 0."""
    found = image()
    venv = packages(ROOT / "requirements.lock", cache() / "trixie")
    playbooks = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "playbooks").glob("*.yml"))
    syntax = ("ansible-playbook", "-i", "inventories/local", "--syntax-check", *playbooks)
    for command in (*COMMANDS, syntax):
        rc = subprocess.run(argv(found, venv, command), check=False).returncode
        if rc:
            return rc
    return 0


if __name__ == "__main__":
    sys.exit(main())
