# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters of the component roles: thin, the work is in module_utils."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

from ansible_collections.kontrol.platform.plugins.module_utils import (
    jobs,
    quantities,
    upgrades,
    verification,
    volumes,
)
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import plain
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import SENTINEL

if TYPE_CHECKING:
    from collections.abc import Callable


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text; one that is not known yet stays unknown."""
    return SENTINEL if SENTINEL in text else hashlib.sha256(text.encode()).hexdigest()


def guarded(work: Callable[..., Any]) -> Callable[..., Any]:
    """Give a filter plain values, and turn its errors into Ansible's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return work(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})
        except (KontrolError, ValueError) as error:
            raise AnsibleFilterError(str(error)) from error

    return call


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        found: dict[str, Callable[..., Any]] = {
            "cron_job": jobs.cron_job,
            "growth_problem": volumes.growth_problem,
            "login_checks": verification.login_checks,
            "ended_checks": verification.ended_checks,
            "matrix_checks": verification.matrix_checks,
            "open_checks": verification.open_checks,
            "open_endpoints": verification.open_endpoints,
            "pod_checks": verification.pod_checks,
            "rows_checks": verification.rows_checks,
            "schema_checks": verification.schema_checks,
            "schedule_checks": verification.schedule_checks,
            "sha256_of": sha256_of,
            "storage_class_problem": volumes.storage_class_problem,
            "stranger_jobs": verification.stranger_jobs,
            "strict_checks": verification.strict_checks,
            "times": quantities.times,
            "to_bytes": quantities.to_bytes,
            "upgrade_refusal": upgrades.refusal,
        }
        return {name: guarded(work) for name, work in found.items()}
