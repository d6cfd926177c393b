"""Type `chart`: a Helm chart out of a module's files, with the version that the table gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lab.errors import LabError
from lab.recipes.base import Facts, Job, place_all


def with_version(text: str, version: str) -> str:
    """Chart.yaml with another version and appVersion."""
    return re.sub(r"^(version|appVersion): .*$", rf"\1: {version}", text, flags=re.MULTILINE)


def edited(text: str, edits: Mapping[str, str], where: str) -> str:
    """Text with each piece replaced; each must be there exactly once. Raises LabError."""
    for old, new in edits.items():
        if text.count(old) != 1:
            raise LabError(f"Text '{old}' is {text.count(old)} times in '{where}' and not once: has the chart changed?")
        text = text.replace(old, new)
    return text


def build(job: Job) -> Facts:
    """Copy the chart, give it its version, make the row's edits."""
    row = job.row
    folder = f"{row['chart']}-{row['version']}"
    place_all(job.context, {folder: row["files"]["."]}, job.out)
    chart = job.out / folder
    _rewrite(chart / "Chart.yaml", with_version((chart / "Chart.yaml").read_text(encoding="utf-8"), row["version"]))
    for name, edits in row.get("edits", {}).items():
        _rewrite(chart / name, edited((chart / name).read_text(encoding="utf-8"), edits, name))
    return {"chart": folder}


def _rewrite(path: Path, text: str) -> None:
    """Replace the text of a file."""
    path.write_text(text, encoding="utf-8")
