"""Expands the objectives that roles ship (Sloth's specification) into rules with several burn-rate windows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

SPECS: Final = ("roles/*/files/monitoring/slos/*.yml", "roles/*/files/monitoring/slos/off/*.yml")
HEAD: Final = "# Made from ../slos/{spec} by `python -m tools.generate`; do not edit.\n# yamllint disable\n"


def facts() -> Path:
    """Return where the lab writes what it made."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "kontrol" / "lab.json"


def program(file: Path) -> str:
    """Return the path of sloth, a tool of the lab. Raises SystemExit with the remedy where it is not there."""
    try:
        return str(json.loads(file.read_text("utf-8"))["tools"]["sloth"])
    except (OSError, KeyError) as error:
        raise SystemExit(f"Sloth, which expands objectives, is not in '{file}': run `python -m lab up`") from error


def made(root: Path) -> dict[Path, str]:
    """Return the text of each rules file that is made from objectives; one that is off stays in a folder `off`."""
    specs = sorted(path for pattern in SPECS for path in root.glob(pattern))
    if not specs:
        return {}
    sloth = program(facts())
    return {_rules_file(path): HEAD.format(spec=_below(path)) + _expanded(sloth, path) for path in specs}


def _below(spec: Path) -> str:
    return f"off/{spec.name}" if spec.parent.name == "off" else spec.name


def _rules_file(spec: Path) -> Path:
    monitoring = spec.parents[2] if spec.parent.name == "off" else spec.parents[1]
    return monitoring / "rules" / Path(_below(spec)).with_name(f"slo_{spec.name}")


def _expanded(sloth: str, spec: Path) -> str:
    """Return the rules of one spec, without the program's own comments. Raises SystemExit with what it complains of."""
    done = subprocess.run([sloth, "generate", "--no-log", "-i", str(spec)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Sloth refuses '{spec}': {(done.stderr or done.stdout).strip()}")
    lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith(("#", "---"))]
    return "\n".join(lines) + "\n"
