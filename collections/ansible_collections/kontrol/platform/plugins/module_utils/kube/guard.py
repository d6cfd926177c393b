"""The writer's guard: nothing is written unless the run that this kubeconfig was made for still holds the Lease.

A killed run can leave workers behind; each of them asks here before every wave of writes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kontrol-system/leases/kontrol-writer"


def _now() -> datetime:
    return datetime.now(UTC)


def check(client: Client, now: Callable[[], datetime] = _now) -> None:
    """Refuse to write when the Lease is not, or no longer, that of this run.

    A kubeconfig without the mark of a run (in tests) is not checked.

    Args:
        client: Client of the run's kubeconfig.
        now: The clock.

    Raises:
        KontrolError: The Lease is missing, held by another, or has expired.
    """
    mark = client.connection.mark
    if mark is None:
        return
    lease = client.find(LEASE)
    if lease is None:
        raise KontrolError(f"Nothing was written: the Lease kontrol-system/kontrol-writer of run '{mark.run}' is gone")
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity")
    if holder != mark.run:
        raise KontrolError(
            f"Nothing more was written: region '{mark.region}' is held by run '{holder}', not by this run "
            f"'{mark.run}'; wait until that run has ended, then start again"
        )
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if renewed and seconds:
        age = (now() - datetime.fromisoformat(renewed)).total_seconds()
        if age > seconds:
            raise KontrolError(
                f"Nothing more was written: the Lease of run '{mark.run}' expired {age - seconds:.0f} s ago, so "
                "another run may have begun; start again"
            )
