"""The types that a row of the table may have."""

from __future__ import annotations

from lab.recipes import chart, golang, images, live, manifest, maven, node, rootfs, wheel
from lab.recipes.base import Context, Job, Look, Recipe, files_missing, image_missing

RECIPES: dict[str, Recipe] = {
    "engine": Recipe(1, "io", live.start_engine, live.engine_missing, live=True),
    "packages": Recipe(1, "io", images.packages, images.packages_missing, live=True),
    "registry": Recipe(1, "io", live.start_registry, live.registry_missing, live=True),
    "go": Recipe(1, "cpu", golang.build, files_missing),
    "module": Recipe(1, "io", golang.take, files_missing),
    "wheel": Recipe(1, "io", wheel.build, files_missing),
    "maven": Recipe(1, "io", maven.build, files_missing),
    "chart": Recipe(1, "io", chart.build, files_missing),
    "manifest": Recipe(1, "io", manifest.build, files_missing),
    "rootfs": Recipe(1, "io", rootfs.build, image_missing),
    "pull": Recipe(1, "io", images.pull, image_missing),
    "image": Recipe(1, "io", images.image, image_missing),
    "kind_base": Recipe(1, "io", node.base, image_missing),
    "kind_node": Recipe(1, "io", node.node, image_missing),
}
LANES = {"cpu": 1, "io": 2}
"""How many parts of a lane are made at once: two Go builds on few cores gain nothing."""
FORMATS = {kind: recipe.format for kind, recipe in RECIPES.items()}

__all__ = ["FORMATS", "LANES", "RECIPES", "Context", "Job", "Look", "Recipe"]
