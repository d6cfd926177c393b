from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import docker
from lab.errors import LabError
from lab.recipes import Context, Job, node
from tests.lab.conftest import Programs

DOCKERFILE = """\
ARG BASE_IMAGE=x
FROM $BASE_IMAGE AS base
# a comment
COPY --chmod=0755 files/bin/* /usr/local/bin/
COPY --chmod=0644 files/etc/ /etc/
RUN echo one \\
    && install-these a b
FROM tools AS other
RUN make things
FROM base AS build
COPY --from=other /x /x
RUN ctr oci spec \\
        > /etc/containerd/cri-base.json
RUN runc --version
FROM scratch
COPY --from=build / /
ENV container=docker
STOPSIGNAL 37
"""
STORAGE = """\
const storageProvisionerImage = "docker.io/k/provisioner:v1"
const storageHelperImage = "docker.io/k/helper:v2"
const defaultStorageManifest = `
image: ` + storageProvisionerImage + `
helper: ` + storageHelperImage + `
end
`
"""


def test_base_follows_the_base_stage() -> None:
    text, modes = node.base_dockerfile(DOCKERFILE)
    assert text.splitlines() == [
        "ARG BASE",
        "FROM $BASE",
        "COPY files/bin/* /usr/local/bin/",
        "COPY files/etc/ /etc/",
        "RUN echo one && install-these a b",
        "COPY root/ /",
        "RUN ctr oci spec > /etc/containerd/cri-base.json",
        "ENV container=docker",
        "STOPSIGNAL 37",
    ]
    assert modes == [("files/bin/*", 0o755), ("files/etc/", 0o644)]


def test_modes_of_copies_are_set_in_the_context(tmp_path: Path) -> None:
    for path in ("files/bin/run", "files/etc/deep/conf"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "files/etc/deep/conf").chmod(0o777)
    node.set_modes(tmp_path, [("files/bin/*", 0o755), ("files/etc/", 0o644)])
    assert (tmp_path / "files/bin/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "files/etc/deep/conf").stat().st_mode & 0o777 == 0o644


def test_go_constant_of_raw_strings_and_names() -> None:
    text = "\nimage: docker.io/k/provisioner:v1\nhelper: docker.io/k/helper:v2\nend\n"
    assert node.go_constant(STORAGE, "defaultStorageManifest") == text
    with pytest.raises(LabError, match="Constant 'other' is not in kind's source"):
        node.go_constant(STORAGE, "other")


def test_each_image_has_its_part() -> None:
    preload = {"etcd": "etcd_image", "coredns": "dns_image"}
    references = ["registry.k8s.io/etcd:3", "registry.k8s.io/coredns/coredns:v1"]
    assert node.assign(references, preload) == {references[0]: "etcd_image", references[1]: "dns_image"}
    with pytest.raises(LabError, match=r"No part stands for image 'registry.k8s.io/pause:3'"):
        node.assign([*references, "registry.k8s.io/pause:3"], preload)


@pytest.fixture
def job(context_of: Callable[..., Context], programs: Programs) -> Job:
    programs.add(
        "docker", 'case "$*" in *inspect*) echo sha256:1;; save*) echo archive;; *import*) cat >/dev/null;; esac'
    )
    kubeadm = programs.add("kubeadm", "echo registry.k8s.io/pause:3; echo registry.k8s.io/etcd:4")
    row = {
        "type": "kind_node",
        "base": "base",
        "version": "v1.2.3",
        "tag": "docker.io/kindest/node:v1.2.3",
        "files": {"kubeadm": "src:kubeadm", "const_storage.go": "src:const_storage.go"},
        "preload": {"pause": "pause", "etcd": "pause", "provisioner": "pause", "helper": "pause"},
    }
    rows = {"engine": {"type": "engine"}, "src": {"type": "module"}, "base": {"type": "rootfs"}, "node": row}
    context = context_of({**rows, "pause": {"type": "image", "base": "scratch"}})
    source = context.table.parts["src"]
    work = context.store.scratch(source)
    (work / "out" / "kubeadm").write_bytes(kubeadm.read_bytes())
    (work / "out" / "kubeadm").chmod(0o755)
    (work / "out" / "const_storage.go").write_text(STORAGE)
    context.store.commit(source, work, {})
    part = context.table.parts["node"]
    return Job(context, part, context.store.scratch(part), context.store.log(part))


def test_node_is_loaded_and_committed(job: Job, programs: Programs) -> None:
    assert node.node(job) == {"image": "sha256:1", "tag": "docker.io/kindest/node:v1.2.3"}
    calls = programs.calls("docker")
    loaded = "registry.k8s.io/pause:3 registry.k8s.io/etcd:4 docker.io/k/provisioner:v1 docker.io/k/helper:v2"
    assert f"docker save {loaded}" in calls
    assert f"docker rmi {loaded}" in calls
    assert any('sandbox_image = "registry.k8s.io/pause:3"' in call for call in calls)
    assert calls[-2:] == ["docker rm -f -v kontrol-lab-node", calls[-1]]
    commit = next(index for index, call in enumerate(calls) if call.startswith("docker commit"))
    assert any("images import" in call for call in calls[:commit])
    assert (job.work / "version").read_text() == "v1.2.3"


def test_a_failed_save_is_an_error(job: Job, programs: Programs) -> None:
    programs.add("docker", 'case "$*" in *inspect*) echo sha256:1;; save*) exit 5;; *import*) cat >/dev/null;; esac')
    with pytest.raises(LabError, match="Command 'docker save' ended with status 5"):
        node.node(job)


def test_base_image_is_built_in_the_classic_way(
    context_of: Callable[..., Context], programs: Programs, tmp_path: Path
) -> None:
    programs.add("docker", f'case "$1" in build) for a; do :; done; cp -r "$a" "{tmp_path}/seen";; esac; echo sha256:1')
    (tmp_path / "lab" / "over").mkdir(parents=True)
    row = {"type": "kind_base", "base": "base", "overlay": "over", "files": {".": "src:base", "usr/bin/x": "src:x"}}
    rows = {"engine": {"type": "engine"}, "src": {"type": "module"}, "base": {"type": "rootfs"}}
    context = context_of({**rows, "node_base": {**row, "run": ["sed -i x y"]}})
    source = context.table.parts["src"]
    work = context.store.scratch(source)
    for path in ("base/files/usr/local/bin/clean-install", "base/files/bin/x", "x"):
        (work / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "out" / path).write_text("")
    (work / "out" / "base" / "Dockerfile").write_text(DOCKERFILE)
    context.store.commit(source, work, {})
    part = context.table.parts["node_base"]
    node.base(Job(context, part, context.store.scratch(part), context.store.log(part)))
    seen = tmp_path / "seen"
    assert (seen / "Dockerfile").read_text().endswith("STOPSIGNAL 37\nRUN sed -i x y\n")
    assert "dpkg-query --show" in (seen / "files/usr/local/bin/clean-install").read_text()
    assert (seen / "root/usr/bin/x").exists()
    assert f"BASE={docker.local_tag(context.table.parts['base'])}" in programs.calls("docker build")[0]
