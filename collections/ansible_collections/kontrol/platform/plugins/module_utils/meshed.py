"""The pods of the mesh as verify sees them: the ports they declare, the names others reach them by, what is unready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]

SIDECAR: Final = "istio-proxy"
DOMAIN: Final = "svc.cluster.local"
HTTP: Final = ("http", "grpc", "h2c")
"""Beginnings of a Service port's name or appProtocol that make a sidecar treat it as HTTP (source: Istio, protocol
selection). Anything else is TCP to it: a refusal is then a connection that ends without a byte."""


def is_meshed(pod: Object) -> bool:
    """Tell whether a pod is part of the mesh and there to be looked at: a native sidecar, no Job, not leaving."""
    meta, status = pod["metadata"], pod.get("status") or {}
    of_a_job = any(owner.get("kind") == "Job" for owner in meta.get("ownerReferences") or [])
    leaving = "deletionTimestamp" in meta or status.get("phase") in ("Succeeded", "Failed")
    return sidecar(pod) is not None and not of_a_job and not leaving


def sidecar(pod: Object) -> Object | None:
    """Return a pod's native sidecar: an init container that goes on."""
    inits = pod["spec"].get("initContainers") or []
    return next((one for one in inits if one["name"] == SIDECAR and one.get("restartPolicy") == "Always"), None)


def lacks_sidecar(pod: Object) -> bool:
    """Tell whether a pod was injected in the old way: its sidecar is an ordinary container."""
    return sidecar(pod) is None and any(one["name"] == SIDECAR for one in pod["spec"].get("containers") or [])


def containers(pod: Object) -> list[Object]:
    """Return all containers that go on running: the pod's own, and native sidecars."""
    inits = [one for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return [*pod["spec"].get("containers", []), *inits]


def describe(pod: Object, ports: list[int], services: Iterable[Object]) -> Object:
    """Return what verify needs to know of a meshed pod.

    Args:
        pod: The pod.
        ports: Ports on which it listens for others.
        services: All Services of its namespace.

    Returns:
        name (`namespace/pod`), namespace, ip, ports, declared (container ports of the pod, without the sidecar's),
        names (port -> host, port and protocol by which the mesh knows it), proxy (image of the sidecar), containers
        (how many), unready (why which container is not ready).
    """
    meta, proxy = pod["metadata"], sidecar(pod) or {}
    return {
        "name": f"{meta['namespace']}/{meta['name']}",
        "namespace": meta["namespace"],
        "ip": (pod.get("status") or {}).get("podIP", ""),
        "ports": ports,
        "declared": sorted(_declared(pod)),
        "names": {str(port): name for port, name in _names(pod, services).items()},
        "proxy": proxy.get("image", ""),
        "containers": len(containers(pod)),
        "unready": _unready(pod),
    }


def _declared(pod: Object) -> dict[int, str]:
    """Return the container ports of a pod and their names; a sidecar's own ones are not the pod's."""
    return {
        int(port["containerPort"]): str(port.get("name", ""))
        for one in containers(pod)
        if one["name"] != SIDECAR
        for port in one.get("ports") or []
        if port.get("protocol", "TCP") == "TCP"
    }


def _names(pod: Object, services: Iterable[Object]) -> dict[int, Object]:
    """Return by which name a pod's port is reached; a headless Service gives each pod a name of its own and wins."""
    found: dict[int, Object] = {}
    for service in sorted(services, key=_is_headless):
        if not _selects(service, pod):
            continue
        for port in service["spec"].get("ports") or []:
            target = _target(pod, port)
            host = _host(service, pod)
            if target and host and (not _is_headless(service) or port["port"] == target):
                found[target] = {"host": host, "port": port["port"], "protocol": _protocol(port)}
    return found


def _is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def _selects(service: Object, pod: Object) -> bool:
    selector, labels = service["spec"].get("selector") or {}, pod["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _target(pod: Object, port: Object) -> int | None:
    """Return the pod's port behind a Service's port, which may be given by name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    return next((number for number, name in _declared(pod).items() if name == target), None)


def _host(service: Object, pod: Object) -> str:
    meta = service["metadata"]
    domain = f"{meta['name']}.{meta['namespace']}.{DOMAIN}"
    if not _is_headless(service):
        return domain
    spec = pod["spec"]
    own = spec.get("hostname") and spec.get("subdomain") == meta["name"]
    return f"{spec['hostname']}.{domain}" if own else domain


def _protocol(port: Object) -> str:
    told = str(port.get("appProtocol") or port.get("name") or "")
    return "http" if told.startswith(HTTP) else "tcp"


def _unready(pod: Object) -> list[str]:
    """Return which containers are not ready and why; one without a status has not been started yet."""
    status = pod.get("status") or {}
    known = {
        one["name"]: one
        for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    }
    found = []
    for one in containers(pod):
        state = known.get(one["name"])
        if state is None:
            found.append(f"{one['name']}: not started")
        elif not state.get("ready"):
            found.append(f"{one['name']}: {_why(state)}")
    return found


def _why(state: Object) -> str:
    for kind in ("waiting", "terminated"):
        told = (state.get("state") or {}).get(kind) or {}
        if told:
            code = f" (exit code {told['exitCode']})" if "exitCode" in told else ""
            return f"{told.get('reason', kind)}{code}"
    return "running, but its readiness probe fails"
