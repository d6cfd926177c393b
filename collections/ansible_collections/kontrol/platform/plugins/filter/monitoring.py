# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of what watches a region: thin, the work is in module_utils."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.kontrol.platform.plugins.filter.components import guarded
from ansible_collections.kontrol.platform.plugins.module_utils import monitoring, watching

if TYPE_CHECKING:
    from collections.abc import Callable


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        found: dict[str, Callable[..., Any]] = {
            "alertmanager_config": monitoring.alertmanager_config,
            "meshed_endpoint": monitoring.meshed_endpoint,
            "prometheus_rules": monitoring.prometheus_rules,
            "shipped_monitoring": monitoring.shipped,
            "watching_checks": watching.checks,
        }
        return {name: guarded(work) for name, work in found.items()}
