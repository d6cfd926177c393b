"""Types `engine` and `registry`: not made and kept, but kept running."""

from __future__ import annotations

from pathlib import Path

from lab import engine, registry
from lab.recipes.base import Context, Facts, Job, Look


def certs_d(root: Path) -> Path:
    """Directory of the mirror files, mounted by kind nodes."""
    return root / "certs.d"


def data_dir(context: Context) -> Path:
    """Directory of the registry's images; each mode has its own, since a reference may mean another image there."""
    return context.store.root / "registry" / context.mode


def start_engine(job: Job) -> Facts:
    """Have a Docker engine."""
    engine.ensure(job.context.store.root / "engine", job.log)
    return {}


def engine_missing(look: Look) -> str | None:
    """Whether an engine answers."""
    return None if look.world.answers else "no Docker engine answers"


def start_registry(job: Job) -> Facts:
    """Have the loopback registry, from the image that the row is based on."""
    registry.ensure(job.context.registry, job.context.base(job.part), data_dir(job.context), job.log)
    return {}


def registry_missing(look: Look) -> str | None:
    """Whether the registry runs from the right image and answers."""
    if not look.world.answers:
        return "cannot be seen without a Docker engine"
    context = look.context
    return registry.missing(context.registry, look.world, context.base(look.part), data_dir(context))
