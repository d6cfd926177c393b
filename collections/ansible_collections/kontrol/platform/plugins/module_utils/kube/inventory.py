"""The inventory of a component: which objects it has applied, kept in a ConfigMap of the cluster.

It may name more than there is (it is widened before an apply and narrowed after), never less: so that nothing which a
killed run has made is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import (
    COMPONENT,
    MANAGED_BY,
    OWNER,
    ObjectId,
)

NAMESPACE = "kontrol-system"
PREFIX = "kontrol-inventory-"


class Inventory:
    """The inventory of one component.

    Args:
        client: The API server.
        component: Name of the component.
    """

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self.component = component
        self.name = f"{PREFIX}{component}"
        self._path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{self.name}"
        self._written: set[ObjectId] | None = None

    @property
    def id(self) -> ObjectId:
        """Id of the ConfigMap."""
        return ObjectId("ConfigMap", "", NAMESPACE, self.name)

    @property
    def exists(self) -> bool:
        """Whether there was one when it was read."""
        return self._written is not None

    def read(self) -> set[ObjectId]:
        """Return the objects that it names; none when there is no inventory yet."""
        found = self._client.find(self._path)
        if found is None:
            return set()
        self._written = {
            ObjectId.parse(line) for line in (found.get("data") or {}).get("objects", "").splitlines() if line
        }
        return set(self._written)

    def write(self, ids: Iterable[ObjectId]) -> bool:
        """Make it name these objects; nothing is sent when it does already.

        Returns:
            Whether it could be written: False when its namespace does not exist yet.
        """
        wanted = set(ids)
        if wanted == (self._written or set()):
            return True
        labels = {MANAGED_BY: OWNER, COMPONENT: self.component}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": labels},
            "data": {"objects": "".join(f"{which}\n" for which in sorted(wanted))},
        }
        try:
            self._client.apply(self._path, body)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        self._written = wanted
        return True

    def must_write(self, ids: Iterable[ObjectId]) -> None:
        """Write it, or fail."""
        if not self.write(ids):
            raise KontrolError(
                f"Namespace '{NAMESPACE}' is not there, so the objects of component '{self.component}' cannot be "
                "recorded; run the bootstrap playbook, which makes it"
            )

    def remove(self) -> None:
        """Delete it; that it is gone already does not matter."""
        self._client.discard(self._path)


def inventories(client: Client) -> list[Inventory]:
    """Return the inventories of all components that have one, by name."""
    maps = client.list(f"/api/v1/namespaces/{NAMESPACE}/configmaps", {"labelSelector": f"{MANAGED_BY}={OWNER}"})
    names = sorted(one["metadata"]["name"] for one in maps)
    return [Inventory(client, name.removeprefix(PREFIX)) for name in names if name.startswith(PREFIX)]
