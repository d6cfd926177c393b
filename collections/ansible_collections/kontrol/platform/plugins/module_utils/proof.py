"""The proof before the first write: state, cluster and driver agree on who this is (design rule 5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.kontrol.platform.plugins.module_utils import access, identity, state
from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    Condition,
    Outputs,
    Record,
    load_record,
)
from ansible_collections.kontrol.platform.plugins.module_utils.identity import IdentityError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun, entry

if TYPE_CHECKING:
    from collections.abc import Callable

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


@dataclass
class Proof:
    """The proof of one region's cluster.

    Attributes:
        region: The run in its region.
        named: A kubeconfig that the caller named, "" for the driver's own.
        adopt: Name of the region that may take over a cluster without identity.
        connect: Opens the cluster behind a kubeconfig file; given by tests.
    """

    region: RegionRun
    named: str = ""
    adopt: str = ""
    connect: Callable[[Path], Api] = Api.open

    def prove(self, *, write: bool) -> tuple[access.Access, list[dict[str, Any]]]:
        """Return the proven way into the cluster, and what was (or would be) written to claim it.

        Raises:
            IdentityError: when anything does not agree; nothing was written then.
        """
        own = identity.load(self.region.folder)
        if own is None:
            raise IdentityError(
                f'Region "{self.region.region}" has no identity on this machine; run the playbook bootstrap'
            )
        outputs, record, way = self._endpoint(preview=not write)
        identity.check_path(way, outputs, record)
        path = self.region.private / "unproven"
        state.write_text(path, access.kubeconfig(way, self.region.region))
        try:
            return way, self._carried(self.connect(path), own, record, write=write)
        finally:
            path.unlink(missing_ok=True)

    def _endpoint(self, *, preview: bool) -> tuple[Outputs, Record | None, access.Access]:
        """Return what the driver reads, what was recorded, and the way that is to be used.

        In a preview a cluster that is to be adopted has not been, so the record is that of another one.
        """
        driver = self.region.driver()
        condition = driver.condition()
        adopting = preview and self.adopt == self.region.region and condition in {Condition.UNKNOWN, Condition.REMADE}
        outputs = driver.read() if adopting or condition is Condition.RUNNING else None
        if outputs is None:
            raise IdentityError(
                f'Cluster "{driver.name}" of region "{self.region.region}" is {condition.value}; run bootstrap',
            )
        way = access.load(Path(self.named)) if self.named else access.parse(driver.kubeconfig(), driver.name)
        return outputs, None if adopting else load_record(self.region.folder), way

    def _carried(self, api: Api, own: identity.Identity, record: Record | None, *, write: bool) -> list[dict[str, Any]]:
        """Compare what the cluster carries; claim it where the caller says so."""
        self._same_installation(api, record)
        if identity.check_carried(api.get(identity.CONFIGMAP_PATH), own, api.server):
            return []
        if record is None and not write:
            return []  # what adopting it would write is listed where the cluster is taken over
        if self.adopt != self.region.region:
            raise identity.refuse_unclaimed(self.region.region, api.server)
        if write:
            identity.claim(api, own, self.region.run)
        return [entry(one, "create") for one in identity.OBJECTS]

    def _same_installation(self, api: Api, record: Record | None) -> None:
        """Refuse a cluster whose data are not those recorded: the same CA, but another store behind it."""
        found = installation(api)
        if record is not None and record.namespace_uid and record.namespace_uid != found:
            raise IdentityError(
                f'Cluster "{api.server}" has kube-system uid "{found}", recorded is "{record.namespace_uid}": its '
                "data were replaced; nothing was written to it. Decommission the region's cluster and bootstrap again",
            )


def installation(api: Api) -> str:
    """Return the uid of namespace kube-system: what no two installations share."""
    found = api.get(KUBE_SYSTEM) or {}
    return str(found.get("metadata", {}).get("uid", ""))
