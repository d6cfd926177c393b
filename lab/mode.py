"""Which mode holds: `online` where image registries can be reached, else `lab`."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable

from lab.errors import LabError

MODES = ("lab", "online")


def reachable(url: str, timeout_s: float = 4.0) -> bool:
    """Whether anything answers HTTP at a URL; any status counts, since a registry answers 401."""
    try:
        urllib.request.urlopen(url, timeout=timeout_s).close()  # noqa: S310 - the table's own https address
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def detect(probe_url: str, probe: Callable[[str], bool] = reachable) -> str:
    """Mode by $KONTROL_LAB (lab, online, auto), else by probing. Raises LabError for another value."""
    wanted = os.environ.get("KONTROL_LAB", "auto") or "auto"
    if wanted in MODES:
        return wanted
    if wanted != "auto":
        raise LabError(f"KONTROL_LAB is '{wanted}': use lab, online or auto")
    return "online" if probe(probe_url) else "lab"
