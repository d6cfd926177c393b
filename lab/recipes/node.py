"""Types `kind_base` and `kind_node`: the image of a kind node, made the way that kind's own files say.

kind's files are read from its Go module at build time. `kind_base` follows the instructions of its base image (packages
come from the Debian root file system below, so that its installer only checks that they are there); `kind_node` does
what `kind build node-image` does: manifests, version, and the cluster's images loaded into containerd.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab import docker, engine, process
from lab.errors import LabError
from lab.recipes.base import Facts, Job, place, place_all

# In place of kind's package installer: the packages come with the base, so only check that none is missing.
CHECK_INSTALLED = '#!/bin/sh\nexec dpkg-query --show "$@"\n'
COPY_MODE = re.compile(r"^COPY --chmod=(\d+) (.+) (\S+)$")
CONTAINER = "kontrol-lab-node"
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
GO_STRING = re.compile(r'const (\w+) = "([^"]*)"')


def stages(text: str) -> dict[str, list[str]]:
    """Instructions of a Dockerfile by stage name (the last, unnamed stage is ''), continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: dict[str, list[str]] = {}
    current = ""
    for line in joined.splitlines():
        if line.startswith("FROM "):
            current = line.partition(" AS ")[2].strip()
            found[current] = []
        elif current in found:
            found[current].append(line)
    return found


def base_dockerfile(text: str) -> tuple[str, list[tuple[str, int]]]:
    """Dockerfile for the classic builder out of kind's, and the (pattern, mode) of files whose mode it sets in COPY."""
    found = stages(text)
    modes = []
    lines = ["ARG BASE", "FROM $BASE"]
    for line in found["base"]:
        match = COPY_MODE.match(line)
        if match:
            modes.append((match.group(2), int(match.group(1), 8)))
        lines.append(COPY_MODE.sub(r"COPY \2 \3", line))
    lines.append("COPY root/ /")
    lines += [line for line in found["build"] if line.startswith("RUN ") and "/etc/containerd/" in line]
    return "\n".join([*lines, *(line for line in found[""] if not line.startswith("COPY "))]) + "\n", modes


def set_modes(folder: Path, modes: list[tuple[str, int]]) -> None:
    """Give the files of a build context the modes that a COPY would have given."""
    for pattern, mode in modes:
        matches = [item for item in folder.glob(pattern.rstrip("/")) if "LICENSES" not in item.parts]
        files = [file for item in matches for file in (item.rglob("*") if item.is_dir() else [item]) if file.is_file()]
        for file in files:
            file.chmod(mode)


def base(job: Job) -> Facts:
    """Build kind's base image from its own Dockerfile."""
    folder = job.work / "context"
    place_all(job.context, {".": job.row["files"]["."]}, folder)
    programs = {path: source for path, source in job.row["files"].items() if path != "."}
    place_all(job.context, programs, folder / "root")
    place(job.context.here / job.row["overlay"], folder / "root")
    text, modes = base_dockerfile((folder / "Dockerfile").read_text(encoding="utf-8"))
    set_modes(folder, modes)
    (folder / "files/usr/local/bin/clean-install").write_text(CHECK_INSTALLED, encoding="utf-8")
    extra = "".join(f"RUN {command}\n" for command in job.row.get("run", []))
    (folder / "Dockerfile").write_text(text + extra, encoding="utf-8")
    tag = docker.local_tag(job.part)
    docker.build(folder, tag, job.context.base(job.part), job.log, classic=True)
    shutil.rmtree(folder)
    return {"image": docker.image_id(tag)}


def go_constant(source: str, name: str) -> str:
    """Value of a Go string constant made of raw strings and other constants joined by `+`. Raises LabError."""
    names = dict(GO_STRING.findall(source))
    match = re.search(rf"const {name} = ((?:`[^`]*`|\w+)(?:\s*\+\s*(?:`[^`]*`|\w+))*)", source)
    if match is None:
        raise LabError(f"Constant '{name}' is not in kind's source: has kind changed?")
    pieces = re.findall(r"`[^`]*`|\w+(?=\s*(?:\+|$))", match.group(1))
    return "".join(piece.strip("`") if piece.startswith("`") else names[piece] for piece in pieces)


def assign(references: list[str], preload: Mapping[str, str]) -> dict[str, str]:
    """Part that stands for each image reference, by the last word of its path. Raises LabError for one without."""
    words = {reference: reference.rpartition(":")[0].rsplit("/", 1)[-1] for reference in references}
    absent = [reference for reference, word in words.items() if word not in preload]
    if absent:
        raise LabError(f"No part stands for image '{', '.join(absent)}': add it to the preload list of the table")
    return {reference: preload[word] for reference, word in words.items()}


def node(job: Job) -> Facts:
    """Load the cluster's images and manifests into the base and keep that as the node image."""
    row = job.row
    place_all(job.context, row["files"], job.work)
    source = (job.work / "const_storage.go").read_text(encoding="utf-8")
    kubeadm = [str(job.work / "kubeadm"), "config", "images", "list", "--kubernetes-version", row["version"]]
    listed = process.read(kubeadm)
    storage = [value for name, value in GO_STRING.findall(source) if name.endswith("Image")]
    loaded = assign([*listed.split(), *storage], row["preload"])
    pause = next(reference for reference in loaded if "/pause:" in reference)
    (job.work / "version").write_text(row["version"], encoding="utf-8")
    (job.work / "default-storage.yaml").write_text(go_constant(source, "defaultStorageManifest"), encoding="utf-8")
    docker.remove_container(CONTAINER)
    _in_container(job, loaded, pause)
    process.run([engine.docker(), "commit", "--change", ENTRYPOINT, CONTAINER, row["tag"]], job.log)
    process.run([engine.docker(), "tag", row["tag"], docker.local_tag(job.part)], job.log)
    docker.remove_container(CONTAINER)
    return {"image": docker.image_id(row["tag"]), "tag": row["tag"]}


def _in_container(job: Job, loaded: Mapping[str, str], pause: str) -> None:
    """Start the base as a container and put everything in."""
    client = engine.docker()
    argv = [client, "run", "--detach", "--privileged", "--name", CONTAINER, "--entrypoint", "sleep"]
    process.run([*argv, job.context.base(job.part), "infinity"], job.log)
    for name, folder in (("version", "/kind"), ("default-storage.yaml", "/kind/manifests")):
        process.run([client, "cp", str(job.work / name), f"{CONTAINER}:{folder}/{name}"], job.log)
    sandbox = f's#sandbox_image = .*#sandbox_image = "{pause}"#'
    process.run([client, "exec", CONTAINER, "sed", "-i", sandbox, "/etc/containerd/config.toml"], job.log)
    process.run([client, "exec", "--detach", CONTAINER, "containerd"], job.log)
    wait = "for i in $(seq 60); do ctr version >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1"
    process.run([client, "exec", CONTAINER, "sh", "-c", wait], job.log)
    _load(job, loaded)
    gone = "for i in $(seq 60); do pgrep -x containerd >/dev/null || exit 0; sleep 0.5; done; exit 1"
    stop = f"pkill -x containerd; {gone}"
    process.run([client, "exec", CONTAINER, "sh", "-c", stop], job.log)


def _load(job: Job, loaded: Mapping[str, str]) -> None:
    """Import the images into the container's containerd under the names that the cluster asks for."""
    client = engine.docker()
    for reference, name in loaded.items():
        process.run([client, "tag", docker.local_tag(job.context.table.parts[name]), reference], job.log)
    saved = subprocess.Popen(process.guarded([client, "save", *loaded]), stdout=subprocess.PIPE)
    ctr = ["ctr", "--namespace", "k8s.io", "images", "import", "--all-platforms", "--digests", "--no-unpack"]
    ctr += ["--label", "io.cri-containerd.pinned=pinned", "-"]
    process.run([client, "exec", "--interactive", CONTAINER, *ctr], job.log, stdin=saved.stdout)
    if saved.wait():
        raise LabError(f"Command 'docker save' ended with status {saved.returncode}", job.log)
    process.run([client, "rmi", *loaded], job.log)
