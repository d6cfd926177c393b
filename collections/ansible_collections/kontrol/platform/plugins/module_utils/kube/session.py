"""What the engine's action plugins share: open a client, read references to objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId

KUBECONFIG: dict[str, Any] = {"type": "str", "required": True}
REFERENCE: dict[str, dict[str, Any]] = {
    "api_version": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": ""},
    "name": {"type": "str", "required": True},
}


@contextmanager
def connected(path: str) -> Iterator[Client]:
    """Open a client for a kubeconfig and close it at the end.

    Args:
        path: The kubeconfig; empty is refused (it means that the cluster does not exist yet).
    """
    if not path:
        raise KontrolError("Argument 'kubeconfig' is empty, which is allowed in check mode only; run the session step")
    client = Client(kubeconfig.load(path))
    try:
        yield client
    finally:
        client.close()


def object_ids(references: Iterable[dict[str, Any]]) -> list[ObjectId]:
    """Return the ids of objects that a task names with api_version, kind, namespace and name."""
    return [
        ObjectId(one["kind"], one["api_version"].rpartition("/")[0], one.get("namespace") or "", one["name"])
        for one in references
    ]
