"""The identity of a region, and the proof that the cluster behind a kubeconfig is the one of this region (rule 5)."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.kontrol.platform.plugins.module_utils.access import Access
    from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import Outputs, Record

FILE: Final = "identity.json"
NAMESPACE: Final = "kontrol-system"
CONFIGMAP: Final = "kontrol-identity"
NAMESPACE_PATH: Final = f"/api/v1/namespaces/{NAMESPACE}"
CONFIGMAP_PATH: Final = f"{NAMESPACE_PATH}/configmaps/{CONFIGMAP}"
OBJECTS: Final = (f"Namespace {NAMESPACE}", f"ConfigMap {NAMESPACE}/{CONFIGMAP}")
LABELS: Final = {"app.kubernetes.io/managed-by": "kontrol", "kontrol.dev/component": "cluster"}
SHOWN: Final = 16


class IdentityError(KontrolError):
    """The target is not proven to be the region's own."""


class Api(Protocol):
    """What identity needs of the engine's client."""

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None when it does not exist."""

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Apply an object as field manager kontrol and return it."""


@dataclass(frozen=True)
class Identity:
    """The fixed id of a region, made once by its first run."""

    region: str
    id: str
    created_by: str
    created_at: str


def load(folder: Path) -> Identity | None:
    """Return the identity in a region's state folder, None before the first run."""
    data = state.read_json(folder / FILE)
    if data is None:
        return None
    try:
        return Identity(**data)
    except TypeError as error:
        raise state.StateError(f'State file "{folder / FILE}" has unknown content: {error}') from error


def ensure(folder: Path, region: str, run: str) -> tuple[Identity, bool]:
    """Return the region's identity and whether it was made by this call."""
    found = load(folder)
    if found is None:
        made = Identity(region, str(uuid.uuid4()), run, state.now())
        state.write_json(folder / FILE, asdict(made))
        return made, True
    if found.region != region:
        raise IdentityError(f'State folder "{folder}" belongs to region "{found.region}", not to "{region}"')
    return found, False


def check_path(way: Access, outputs: Outputs, record: Record | None) -> None:
    """Refuse a way into a cluster whose address or CA is not what the driver reads now and recorded at creation.

    It sends nothing: a wrong cluster does not even see a request.

    Raises:
        IdentityError: naming both clusters and what differs.
    """
    others = [("the driver reads", outputs.api_server, outputs.ca_sha256)]
    if record is not None:
        others.append(("the creation recorded", record.api_server, record.ca_sha256))
    for who, api_server, ca_sha256 in others:
        differing = []
        if way.api_server != api_server:
            differing.append(f'address "{way.api_server}" where {who} "{api_server}"')
        if way.ca_sha256 != ca_sha256:
            differing.append(f'CA "{way.ca_sha256[:SHOWN]}" where {who} "{ca_sha256[:SHOWN]}"')
        if differing:
            raise IdentityError(
                f'Kubeconfig "{way.source}" leads to another cluster than "{outputs.name}": {"; ".join(differing)}; '
                "nothing was sent to it. Leave `-e kubeconfig` out, or name a file that leads to the region's cluster",
            )


def check_carried(carried: dict[str, Any] | None, identity: Identity, where: str) -> bool:
    """Return whether the cluster carries this identity; False when it carries none.

    Args:
        carried: The ConfigMap in the cluster, None when it is not there.
        identity: The region's own.
        where: Address of the cluster, for the message.

    Raises:
        IdentityError: when it carries another one.
    """
    if carried is None:
        return False
    data = carried.get("data") or {}
    if data.get("id") != identity.id or data.get("region") != identity.region:
        raise IdentityError(
            f'Cluster "{where}" carries the identity of region "{data.get("region")}" (id "{data.get("id")}"), '
            f'not of "{identity.region}" (id "{identity.id}"); nothing was written to it. '
            "Point the run at the right cluster; a cluster of another region cannot be adopted",
        )
    return True


def refuse_unclaimed(region: str, where: str) -> IdentityError:
    """Return the refusal of a cluster without identity that this run did not create."""
    return IdentityError(
        f'Cluster "{where}" carries no identity and was not created by this run; nothing was written to it. '
        f'If it belongs to region "{region}", run again with `-e adopt={region}`',
    )


def claim(api: Api, identity: Identity, run: str) -> None:
    """Write the identity into a cluster; repeated calls change nothing."""
    metadata = {"name": NAMESPACE, "labels": {**LABELS, "istio-injection": "disabled"}}
    api.put(NAMESPACE_PATH, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIGMAP, "namespace": NAMESPACE, "labels": LABELS},
        "data": {"region": identity.region, "id": identity.id, "created_by": run},
    }
    api.put(CONFIGMAP_PATH, body)
