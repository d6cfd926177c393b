# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of what runs beside the databases and of the gateway of telemetry: thin, the work is in module_utils."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.kontrol.platform.plugins.filter.components import guarded
from ansible_collections.kontrol.platform.plugins.module_utils import gateway, sidecars

if TYPE_CHECKING:
    from collections.abc import Callable


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        found: dict[str, Callable[..., Any]] = {
            "gateway_config": gateway.gateway_config,
            "gateway_container": gateway.gateway_container,
            "sent_checks": gateway.sent_checks,
            "sidecar_config": sidecars.sidecar_config,
            "sidecar_containers": sidecars.sidecar_containers,
            "sidecar_volumes": sidecars.sidecar_volumes,
        }
        return {name: guarded(work) for name, work in found.items()}
