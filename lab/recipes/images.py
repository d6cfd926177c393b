"""Types `image` (files and commands on a base), `pull` and `packages` (programs of this machine)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from lab import docker, engine, process, registry
from lab.recipes.base import Facts, Job, Look, place, place_all


def pull(job: Job) -> Facts:
    """Pull an image and give it the part's own name."""
    image = job.row["image"]
    process.run([engine.docker(), "pull", image], job.log)
    tag = docker.local_tag(job.part)
    process.run([engine.docker(), "tag", image, tag], job.log)
    return {"image": docker.image_id(tag)}


def dockerfile(row: Mapping[str, Any], base: str) -> str:
    """Dockerfile of a row that has no directory of its own: the context's root/ over the base, then the commands."""
    config = row.get("config", {})
    lines = [f"FROM {base}", "COPY root/ /"]
    lines += [f"RUN {command}" for command in row.get("run", [])]
    lines += [f"ENV {name}={json.dumps(str(value))}" for name, value in config.get("env", {}).items()]
    lines += [f"WORKDIR {config['workdir']}"] if "workdir" in config else []
    lines += [f"USER {config['user']}"] if "user" in config else []
    lines += [f"ENTRYPOINT {json.dumps(config['entrypoint'])}"] if "entrypoint" in config else []
    return "\n".join(lines) + "\n"


def image(job: Job) -> Facts:
    """Build an image from a directory with a Dockerfile, or from the row alone; push it where it has a reference."""
    row = job.row
    base = job.context.base(job.part)
    folder = job.work / "context"
    if "dir" in row:
        place(job.context.here / row["dir"], folder)
    else:
        (folder / "root").mkdir(parents=True)
        (folder / "Dockerfile").write_text(dockerfile(row, base), encoding="utf-8")
        if "overlay" in row:
            place(job.context.here / row["overlay"], folder / "root")
    place_all(job.context, row.get("files", {}), folder if "dir" in row else folder / "root")
    tag = docker.local_tag(job.part)
    docker.build(folder, tag, base, job.log, classic=job.context.mode == "lab")
    shutil.rmtree(folder)
    return {"image": docker.image_id(tag), **published(job, tag)}


def published(job: Job, tag: str) -> Facts:
    """Push an image whose row has a `ref`, and say under which digest it can be had."""
    ref = job.row.get("ref")
    if ref is None:
        return {}
    return {"ref": ref, "digest": registry.push(job.context.registry, tag, ref, job.log)}


def packages(job: Job) -> Facts:
    """Install Debian packages on this machine."""
    engine.apt_install(list(job.row["programs"].values()), job.log)
    return {}


def packages_missing(look: Look) -> str | None:
    """Programs of the row that are not on PATH."""
    absent = [name for name in look.part.recipe["programs"] if shutil.which(name) is None]
    return f"no {', '.join(absent)} on PATH" if absent else None
