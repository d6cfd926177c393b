"""Runs `ansible-test sanity` on the collection where its download of get-pip.py is out of reach: pip comes by uv.

ansible-test keeps pinned environments below a home folder; that is a cache folder here, so a person's ~/.ansible stays
as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "collections" / "ansible_collections" / "kontrol" / "platform"
PIP = "24.2"  # what ansible-test of core 2.19 asks for
GET_PIP = """import shutil, sysconfig
shutil.copytree({pip!r}, sysconfig.get_path("purelib"), dirs_exist_ok=True)
"""
# It hides the packages that our plugins always run with; the collection's tests/unit/test_imports.py stands for it.
LEFT_OUT = ("--skip-test", "import")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def home() -> Path:
    """The home folder of ansible-test: in the project's cache, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kontrol" / "ansible-test"


def write_get_pip(folder: Path) -> Path:
    """Fetch pip and write the script that ansible-test takes for a get-pip.py that it has downloaded before."""
    pip = folder / f"pip-{PIP}"
    uv = [str(ROOT / ".bootstrap" / "bin" / "uv"), "--no-config", "--quiet"]
    subprocess.run([*uv, "pip", "install", "--no-deps", "--target", str(pip), f"pip=={PIP}"], check=True)
    script = folder / ".ansible" / "test" / "cache" / f"get_pip_{PIP.replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP.format(pip=str(pip)), encoding="utf-8")
    return script


def main() -> int:
    """Run the sanity tests; further arguments go to ansible-test."""
    write_get_pip(home())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")} | {"HOME": str(home())}
    argv = ["ansible-test", "sanity", "--python", PYTHON, "--color", "no", *LEFT_OUT, *sys.argv[1:]]
    return subprocess.run(argv, cwd=COLLECTION, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
