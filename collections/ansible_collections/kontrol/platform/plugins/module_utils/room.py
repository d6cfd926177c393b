"""How much room the volume of a database has, as its server sees it: a restore that fills it has failed half way.

A component that holds data runs as a StatefulSet of one pod, of its own name, in the namespace of its name; so do its
container and, in the pod, the volume `data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import damage, pod_exec
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

VOLUME: Final = "data"
_KIB: Final = 1024
_LOOK: Final = ("sh", "-c", 'df -Pk "$0" && { du -sk "$0" 2>/dev/null || true; }')
"""POSIX df and du; du may miss a file that goes while it looks, or one that is the file system's own."""


def look(client: Client, component: str, run: Callable[..., str] = pod_exec.run) -> dict[str, int]:
    """Return `free`, the bytes that a component's volume has left, and `held`, the bytes that lie on it.

    Raises:
        KontrolError: its server does not run, or cannot be looked into.
    """
    pod = client.find(damage.pod_path(component))
    if pod is None:
        raise KontrolError(f"Pod '{component}/{component}-0' is not there, so nobody knows how much room it has")
    said = run(client.connection, component, f"{component}-0", component, [*_LOOK, _path(pod, component)])
    try:
        _head, system, folder = said.splitlines()[:3]
        return {"free": int(system.split()[3]) * _KIB, "held": int(folder.split()[0]) * _KIB}
    except (ValueError, IndexError) as error:
        raise KontrolError(f"The room of '{component}' cannot be read from: {said[:200]}") from error


def _path(pod: dict[str, Any], component: str) -> str:
    """Return where a component's own container has its volume."""
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or []:
            if (container["name"], mount["name"]) == (component, VOLUME):
                return str(mount["mountPath"])
    raise KontrolError(f"Container '{component}' mounts no volume '{VOLUME}', so nobody knows how much room it has")
