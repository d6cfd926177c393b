"""Render reports of runs again, such as those of an older version: `python -m tools.report FOLDER...`.

FOLDER is a run's folder (`runs/<id>` below the state folder of its region). Read is its report.json, or what an older
version kept, or the journal of a run that died; report.html and junit.xml are written beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT: Final = Path(__file__).resolve().parent.parent
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils import run_report  # noqa: E402 - found by the loader

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Render the reports of the given folders and print where the pages are; 1 when one of them holds none."""
    parser = argparse.ArgumentParser(prog="python -m tools.report", description=__doc__)
    parser.add_argument("folder", nargs="+", type=Path)
    missing = 0
    for folder in parser.parse_args(arguments).folder:
        report = run_report.read(folder) if folder.is_dir() else None
        missing += report is None
        print(run_report.render(folder, report) if report else f'Folder "{folder}" holds neither report nor journal')
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
