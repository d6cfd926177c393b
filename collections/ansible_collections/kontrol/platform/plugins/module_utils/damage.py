"""What a drill breaks in a cluster: pods, volumes, namespaces; each function returns when the damage is done.

Nothing here asks whether it may: the drill has confirmed the region, proven the cluster and written down what follows.
A component that holds data runs as a StatefulSet of one pod, of its own name, in the namespace of its name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

GONE_SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.25
AT_ONCE: Final[dict[str, Any]] = {"gracePeriodSeconds": 0}


def pod_path(component: str) -> str:
    """Return the path of a component's pod."""
    return f"/api/v1/namespaces/{component}/pods/{component}-0"


def volume_path(component: str) -> str:
    """Return the path of a component's claim of a volume."""
    return f"/api/v1/namespaces/{component}/persistentvolumeclaims/data-{component}-0"


def uid(client: Client, path: str) -> str:
    """Return the UID of an object, "" when it is not there."""
    found = client.find(path)
    return str(found["metadata"]["uid"]) if found else ""


def pod(client: Client, component: str) -> list[str]:
    """Kill a component's pod without any grace; return what was hit."""
    return _delete(client, pod_path(component))


def volume(client: Client, component: str) -> list[str]:
    """Take a component's volume away, and its pod, until the claim that was there is gone; return what was hit."""
    path = volume_path(component)
    before = uid(client, path)
    hit = [*_delete(client, path), *_delete(client, pod_path(component))]

    def gone() -> bool:
        if uid(client, path) != before:
            return True
        _delete(client, pod_path(component))  # a new pod took hold of the claim before it was gone
        return False

    _wait(gone, f"volume of '{component}'")
    return hit


def namespace(client: Client, component: str) -> list[str]:
    """Delete a component's namespace with all that is in it, until it is gone; return what was hit."""
    path = f"/api/v1/namespaces/{component}"
    hit = _delete(client, path)
    _wait(lambda: client.find(path) is None, f"namespace '{component}'")
    return hit


BREAK: Final[dict[str, Callable[[Client, str], list[str]]]] = {
    "pod": pod,
    "volume": volume,
    "namespaces": namespace,
}
"""Fault -> what it does to one component; the other faults are work of Jobs, and of the driver."""


def _delete(client: Client, path: str) -> list[str]:
    guard.check(client)
    return [] if client.discard(path, AT_ONCE) is None else [path.removeprefix("/api/v1/")]


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise KontrolError(f"The {what} is still there {GONE_SECONDS:.0f} s after it was deleted")
        time.sleep(POLL_SECONDS)
