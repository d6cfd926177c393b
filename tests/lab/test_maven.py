"""Archives by a committed list: what Maven is asked for, what is accepted, how the list is renewed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command
from lab import paths, table
from lab.errors import LabError
from lab.recipes import FORMATS, Context, Job, maven
from tests.lab.conftest import Programs

Contexts = Callable[..., Context]
ROW: dict[str, Any] = {"type": "maven", "roots": ["g.h:a:1"], "lock": "jars.lock"}
SHA = hashlib.sha256(b"jar\n").hexdigest()
# What stands for Maven: writes into the folder of -DoutputDirectory, and keeps the project that it was given.
INTO = (
    'for word; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done;'
    'mkdir -p "$out"; cp pom.xml "$KEPT";'
)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the fake Maven leaves the project that it was given."""
    monkeypatch.setenv("KEPT", str(tmp_path / "kept.xml"))
    return tmp_path / "kept.xml"


def locked(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lab" / "jars.lock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def build(context: Context) -> Path:
    part = context.table.parts["jars"]
    one = Job(context, part, context.store.scratch(part), context.store.log(part))
    assert maven.build(one) == {"files": 1}
    return one.out


def test_exactly_the_list_is_fetched(context_of: Contexts, programs: Programs, tmp_path: Path, kept: Path) -> None:
    programs.add("mvn", f'{INTO} echo jar > "$out/a-1-linux.jar"')
    locked(tmp_path, f"# comment\n\ng.h:a:1:linux {SHA}\n")
    assert [item.name for item in build(context_of({"jars": ROW})).iterdir()] == ["a-1-linux.jar"]
    project = kept.read_text()
    wanted = "<groupId>g.h</groupId><artifactId>a</artifactId><version>1</version><classifier>linux</classifier>"
    assert f"<dependency>{wanted}<exclusions>" in project


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('echo other > "$out/a-1.jar"', "1 archives are not those of the list: a-1.jar"),
        ('echo jar > "$out/a-1.jar"; echo jar > "$out/b-2.jar"', "1 archives are not those of the list: b-2.jar"),
        ("true", "1 archives are not those of the list: a-1.jar"),
    ],
)
@pytest.mark.usefixtures("kept")
def test_other_archives_are_refused(
    context_of: Contexts, programs: Programs, tmp_path: Path, body: str, text: str
) -> None:
    programs.add("mvn", f"{INTO} {body}")
    locked(tmp_path, f"g.h:a:1 {SHA}\n")
    with pytest.raises(LabError, match=re.escape(text)):
        build(context_of({"jars": ROW}))


@pytest.mark.parametrize("line", ["g:a 0", f"g:a {SHA}", "g:a:1", "g:a:1 abc"])
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(LabError, match=re.escape(f"Line '{line}' is no coordinates and sha256")):
        maven.read_lock(line)


def test_the_list_is_part_of_the_key(context_of: Contexts, tmp_path: Path) -> None:
    locked(tmp_path, f"g:a:1 {SHA}\n")
    before = context_of({"jars": ROW}).table.parts["jars"].key
    assert context_of({"jars": {**ROW, "roots": []}}).table.parts["jars"].key == before
    locked(tmp_path, f"g:a:2 {SHA}\n")
    assert context_of({"jars": ROW}).table.parts["jars"].key != before


def test_the_list_is_renewed_from_the_roots(
    context_of: Contexts, programs: Programs, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = 'mkdir -p "$out/g/h/a/1" "$out/io/n/2.F"'
    jars = 'for f in g/h/a/1/a-1 io/n/2.F/n-2.F-linux-x86_64; do echo jar > "$out/$f.jar"; done'
    programs.add("mvn", f"{INTO} {folders}; {jars}")
    path = locked(tmp_path, "stale")
    context = context_of({"jars": ROW})
    monkeypatch.setattr(command, "context_of", lambda store: context)
    assert command.main(["lock", "other"]) == 0
    assert path.read_text() == "stale"
    assert command.main(["lock", "jars"]) == 0
    assert path.read_text() == f"{maven.HEADER}g.h:a:1 {SHA}\nio:n:2.F:linux-x86_64 {SHA}\n"
    assert "exclusions" not in kept.read_text()
    assert maven.read_lock(path.read_text()) == {"g.h:a:1": SHA, "io:n:2.F:linux-x86_64": SHA}


def test_the_projects_list_is_of_the_version_that_artifacts_name() -> None:
    built = table.load(paths.LAB, paths.ROOT / "artifacts.yml", "lab", FORMATS)
    row = built.parts["neo4j_jars"].recipe
    listed = maven.read_lock((paths.LAB / row["lock"]).read_text())
    assert set(row["roots"]) <= set(listed)
    versions = {name.split(":")[2] for name in listed if name.startswith(("org.neo4j:neo4j-", "org.neo4j:neo4j:"))}
    tag = built.parts["neo4j_image"].recipe["ref"].rpartition(":")[2]
    assert versions == {tag.removesuffix("-community")}
