"""Types `go` (programs built from a Go module) and `module` (files of a Go module)."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import process
from lab.errors import LabError
from lab.recipes.base import Facts, Job, place

REMEDY = "install Go 1.24 or later"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=mod -trimpath -buildvcs=false"}
STAGING = re.compile(r"^\s*(k8s\.io/[a-z0-9-]+) v0\.0\.0$", re.MULTILINE)
GO_DIRECTIVE = re.compile(r"^go \S+$", re.MULTILINE)


def download(module: str, version: str) -> dict[str, Any]:
    """Fetch a module into Go's own cache, checked against Go's checksum database; says where it lies."""
    go = process.need("go", REMEDY)
    facts: dict[str, Any] = json.loads(
        process.read([go, "mod", "download", "-json", f"{module}@{version}"], cwd=Path("/"), env=ENVIRONMENT)
    )
    return facts


def wrapper(name: str, module: str, version: str, upstream: str, staging: str | None) -> str:
    """go.mod of a scratch module around one module.

    `upstream` is that module's go.mod: its go line is kept, so that the programs get the runtime defaults that they
    were written for. `staging` is the version of the parts that it requires as v0.0.0 and replaces in its own tree.
    """
    directive = GO_DIRECTIVE.search(upstream)
    language = directive.group(0) if directive else "go 1.24"
    lines = [f"module kontrol.lab/{name}", language, f"require {module} {version}"]
    if staging:
        names = sorted(set(STAGING.findall(upstream)))
        lines += [f"replace {found} => {found} {staging}" for found in names]
    return "\n".join(lines) + "\n"


def build(job: Job) -> Facts:
    """Build each program of the row into `out/`."""
    row = job.row
    scratch = job.work / "module"
    if "source" in row:
        shutil.copytree(job.context.here / row["source"], scratch)
    scratch.mkdir(exist_ok=True)
    _resolve(job, scratch)
    for output, packages in _batches(row["programs"], job.out):
        argv = ["build", "-ldflags", f"-s -w {row.get('ldflags', '')}".strip(), "-tags", row.get("tags", "")]
        _go([*argv, "-o", output, *packages], job, scratch)
    return {"programs": sorted(row["programs"])}


def _go(argv: list[str], job: Job, scratch: Path) -> None:
    """Run the go tool in the scratch module."""
    process.run([process.need("go", REMEDY), *argv], job.log, cwd=scratch, env=ENVIRONMENT)


def _resolve(job: Job, scratch: Path) -> None:
    """Write the scratch module's go.mod and have its dependencies resolved."""
    row = job.row
    text = f"module kontrol.lab/{job.part.name}\ngo 1.24\n"
    if "module" in row:
        found = download(row["module"], row["version"])
        upstream = Path(found["GoMod"]).read_text(encoding="utf-8")
        text = wrapper(job.part.name, row["module"], row["version"], upstream, row.get("staging"))
        sums = Path(found["Dir"]) / "go.sum"
        if sums.is_file():  # the module's own word on what it was written against, itself checked above
            place(sums, scratch / "go.sum")
    if "patch" in row:
        text += _patched(job)
    (scratch / "go.mod").write_text(text, encoding="utf-8")
    modules = wanted_modules(row)
    if modules and "staging" not in row:
        _go(["get", *modules], job, scratch)


def wanted_modules(row: Mapping[str, Any]) -> list[str]:
    """The modules of a row as `go get` takes them: its `module`, then `requires` (version: modules)."""
    own = [f"{row['module']}@{row['version']}"] if "module" in row else []
    return own + [f"{name}@{version}" for version, names in row.get("requires", {}).items() for name in names]


def _patched(job: Job) -> str:
    """Copy a module `without` some files, the row's own laid over it; returns the line of go.mod that uses the copy.

    The module is the row's own, or `patched` (module@version). A copy, since Go lets nobody replace single files of its
    cache (`-overlay` refuses that). Raises LabError for a pattern that matches nothing.
    """
    row = job.row
    module, _, version = row.get("patched", f"{row.get('module')}@{row.get('version')}").partition("@")
    copy = job.work / "patched"
    place(Path(download(module, version)["Dir"]), copy)
    for pattern in row.get("without", []):
        unwanted = [path for path in copy.glob(pattern) if path.is_file()]
        if not unwanted:
            raise LabError(f"Module '{module}@{version}' has no file '{pattern}': has it changed?")
        for path in unwanted:
            path.unlink()
    place(job.context.here / row["patch"], copy)
    return f"replace {module} => ../{copy.name}\n"


def _batches(programs: dict[str, str], out: Path) -> list[tuple[str, list[str]]]:
    """Calls of `go build`: one for all packages named like their program, one for each other."""
    plain = [package for name, package in programs.items() if package.rsplit("/", 1)[-1] == name]
    other = [(f"{out}/{name}", [package]) for name, package in programs.items() if package not in plain]
    return ([(f"{out}/", plain)] if plain else []) + other


def take(job: Job) -> Facts:
    """Copy the named files of a module into `out/`."""
    row = job.row
    folder = Path(download(row["module"], row["version"])["Dir"])
    for destination, source in row["take"].items():
        place(folder / source, job.out / destination)
    return {"module": f"{row['module']}@{row['version']}"}
