"""The package of the tools image, for what the controller does as the Jobs do: one S3 client, not two."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import paths

if TYPE_CHECKING:
    from types import ModuleType

_NAME: Final = "kontrol_tools"


def _package() -> ModuleType:
    """Load the package from the project, as `kontrol_tools`: that is its name in the image, too."""
    folder = paths.project_root() / "images" / "tools" / _NAME
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f'Package "{folder}" cannot be loaded')
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)
    return package


@cache
def tool(name: str) -> Any:
    """Return a module of the package, such as s3."""
    if _NAME not in sys.modules:
        _package()
    return importlib.import_module(f"{_NAME}.{name}")
