"""What the lab asks of Docker: which images are there, build, tag, push."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from lab import engine, process
from lab.table import SCRATCH, Part

# The classic builder is in the engine itself: Debian's docker.io has no other. Elsewhere: the one that sees its images.
CLASSIC_BUILDER = {"DOCKER_BUILDKIT": "0"}
ANY_BUILDER = {"BUILDX_BUILDER": "default"}
PREFIX = "kontrol.lab/"


def local_tag(part: Part) -> str:
    """Name under which the engine holds a part's image: the key is the tag."""
    return f"{PREFIX}{part.name.replace('_', '-')}:{part.key}"


def short_ref(ref: str) -> str:
    """A reference the way the engine lists it: Docker Hub's host name and `library/` are left out."""
    return ref.removeprefix("docker.io/").removeprefix("library/")


def host_and_path(ref: str) -> tuple[str, str]:
    """Registry host and repository path (with tag) of a full reference."""
    host, _, path = ref.partition("/")
    return host, path


class World:
    """What is really there, asked once per instance: images, containers."""

    @functools.cached_property
    def answers(self) -> bool:
        """Whether a Docker engine answers."""
        return engine.answers()

    @functools.cached_property
    def images(self) -> dict[str, str]:
        """Image id by reference, as the engine lists them."""
        if not self.answers:
            return {}
        lines = process.read(
            [engine.docker(), "image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]
        )
        return dict(line.split() for line in lines.splitlines())

    def container(self, name: str) -> dict[str, object] | None:
        """Inspection of a container, or None where it is not there."""
        if not self.answers:
            return None
        listed = process.read([engine.docker(), "ps", "-aq", "--filter", f"name=^{name}$"]).split()
        if not listed:
            return None
        found: dict[str, object] = json.loads(process.read([engine.docker(), "inspect", listed[0]]))[0]
        return found


def build(context: Path, tag: str, base: str, log: Path, *, classic: bool) -> None:
    """Build a context (its Dockerfile may use ARG BASE) into an image."""
    argv = [engine.docker(), "build", "--network", "none", "--build-arg", f"BASE={base}", "-t", tag, str(context)]
    process.run(argv, log, env=CLASSIC_BUILDER if classic else ANY_BUILDER)


def base_tag(parts: dict[str, Part], part: Part) -> str:
    """Image name that a part builds on."""
    base = str(part.recipe.get("base", SCRATCH))
    return SCRATCH if base == SCRATCH else local_tag(parts[base])


def image_id(tag: str) -> str:
    """Id of an image."""
    return process.read([engine.docker(), "image", "inspect", "--format", "{{.Id}}", tag]).strip()


def prune(keep: set[str], images: dict[str, str]) -> list[str]:
    """Remove the lab's images that are not in `keep` and that no container uses; returns what went."""
    stale = [tag for tag in images if tag.startswith(PREFIX) and tag not in keep]
    return [tag for tag in stale if process.succeeds([engine.docker(), "image", "rm", tag])]


def remove_container(name: str) -> None:
    """Remove a container that may not be there."""
    process.succeeds([engine.docker(), "rm", "-f", "-v", name])


def user_option() -> list[str]:
    """Run a container as the caller, so that what it writes in a mounted directory stays removable."""
    return ["--user", f"{os.getuid()}:{os.getgid()}"]
