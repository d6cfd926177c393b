"""Type `maven`: Java archives by a list of coordinates and checksums, fetched by Maven and Maven's own settings.

The list (`lock`) is committed; `python -m lab lock PART` writes it anew from the row's `roots` and what they need when
they run. Nothing is resolved when a part is built: each archive of the list is asked for by itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lab import process
from lab.errors import LabError
from lab.recipes.base import Facts, Job
from lab.store import write_atomic

GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
HEADER = "# group:artifact:version[:classifier] and sha256; written by `python -m lab lock PART`\n"
REMEDY = "it is installed by the part 'maven'"


def read_lock(text: str) -> dict[str, str]:
    """Checksum of each archive of a list, by coordinates. Raises LabError for a line that is neither."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        coordinates, _, checksum = line.partition(" ")
        if coordinates.count(":") not in (2, 3) or len(checksum) != 64:
            raise LabError(f"Line '{line}' is no coordinates and sha256: write the list anew with `python -m lab lock`")
        found[coordinates] = checksum
    return found


def file_name(coordinates: str) -> str:
    """Name of an archive: artifact, version and classifier."""
    _, artifact, version, *classifier = coordinates.split(":")
    return "-".join([artifact, version, *classifier]) + ".jar"


def project(coordinates: Iterable[str], *, alone: bool) -> str:
    """A Maven project that depends on archives; `alone` leaves out what they depend on themselves."""
    without = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    entries = []
    for one in coordinates:
        group, artifact, version, *classifier = (escape(word) for word in one.split(":"))
        names = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        names += f"<classifier>{classifier[0]}</classifier>" if classifier else ""
        entries.append(f"<dependency>{names}{without if alone else ''}</dependency>\n")
    own = "<groupId>kontrol.lab</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>"
    body = f"<modelVersion>4.0.0</modelVersion>{own}\n<dependencies>\n{''.join(entries)}</dependencies>"
    return f'<project xmlns="http://maven.apache.org/POM/4.0.0">{body}</project>\n'


def build(job: Job) -> Facts:
    """Fetch each archive of the list and check it."""
    wanted = read_lock((job.context.here / job.row["lock"]).read_text(encoding="utf-8"))
    _fetch(project(wanted, alone=True), job.work, job.out, job.log, "-Dmdep.useRepositoryLayout=false")
    judge(job.out, {file_name(coordinates): checksum for coordinates, checksum in wanted.items()})
    return {"files": len(wanted)}


def judge(folder: Path, wanted: Mapping[str, str]) -> None:
    """Raise LabError unless a folder holds exactly the archives of a list, each with its checksum."""
    found = {item.name: _checksum(item) for item in folder.iterdir()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise LabError(
            f"{len(wrong)} archives are not those of the list: {', '.join(wrong[:5])}: were they published anew?"
        )


def refresh(row: Mapping[str, Any], here: Path, log: Path) -> int:
    """Write a row's list anew: its `roots` and all that they need at run time. Returns how many archives it names."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        out = work / "out"
        layout = "-Dmdep.useRepositoryLayout=true"
        _fetch(project(row["roots"], alone=False), work, out, log, layout, "-DincludeScope=runtime")
        lines = [f"{_coordinates(jar.relative_to(out))} {_checksum(jar)}\n" for jar in sorted(out.rglob("*.jar"))]
    write_atomic(here / row["lock"], HEADER + "".join(sorted(lines)))
    return len(lines)


def _fetch(text: str, work: Path, out: Path, log: Path, *options: str) -> None:
    """Have Maven copy what a project depends on into a folder."""
    program = process.need("mvn", REMEDY)
    pom = work / "pom.xml"
    pom.write_text(text, encoding="utf-8")
    argv = [program, "--batch-mode", "--quiet", "--file", str(pom), GOAL, f"-DoutputDirectory={out}", *options]
    process.run(argv, log, cwd=work)


def _coordinates(path: Path) -> str:
    """Coordinates of an archive in the layout of a Maven repository."""
    *group, artifact, version, name = path.parts
    classifier = name.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
    return ":".join([".".join(group), artifact, version, *([classifier] if classifier else [])])


def _checksum(path: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
