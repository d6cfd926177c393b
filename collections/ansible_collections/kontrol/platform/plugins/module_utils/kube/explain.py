"""Why is an object not ready: its pods, their events, their last log lines; read only when something has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, ObjectId

_PODS = 3  # that are told about
_EVENTS = 3
_LOG_LINES = 10
_LINE = 300  # characters kept of a line


def reasons(client: Client, obj: Object) -> list[str]:
    """Return what is known of an object's trouble, line by line, indented for a list below its name.

    Args:
        client: Reads the cluster; what it cannot read is said and does no harm.
        obj: The object as it is.

    Returns:
        Lines; empty when nothing is known.
    """
    which = ObjectId.of(obj)
    lines = _attempt(lambda: _events(client, which))
    pods = _attempt(lambda: _pods(client, obj, which))
    troubled = [pod for pod in pods if isinstance(pod, str) or not _is_well(pod)]
    for pod in troubled[:_PODS]:
        lines += [pod] if isinstance(pod, str) else list(_pod_lines(client, pod))
    if len(troubled) > _PODS:
        lines.append(f"and {len(troubled) - _PODS} more pods")
    return [f"    {line[:_LINE]}" for line in lines]


def _attempt(work: Callable[[], list[Any]]) -> list[Any]:
    try:
        return work()
    except KontrolError as error:
        return [f"(more could not be read: {error})"]


def _pods(client: Client, obj: Object, which: ObjectId) -> list[Object]:
    if which.type == "Pod":
        return [obj]
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels")
    if not isinstance(labels, dict) or not labels:
        return []
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    return client.list(f"/api/v1/namespaces/{which.namespace}/pods", {"labelSelector": chosen})


def _is_well(pod: Object) -> bool:
    status = pod.get("status") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    return bool(ready) or status.get("phase") == "Succeeded"


def _pod_lines(client: Client, pod: Object) -> Iterator[str]:
    which, status = ObjectId.of(pod), pod.get("status") or {}
    yield f"Pod {which.name} is {status.get('phase')}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"  not scheduled: {condition.get('message')}"
    for state in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        trouble = _container_trouble(state)
        if trouble:
            yield f"  container {state['name']}: {trouble}"
            yield from _attempt(lambda state=state: _log(client, which, state))  # type: ignore[misc] # bound now
    yield from (f"  {line}" for line in _attempt(lambda: _events(client, which)))


def _container_trouble(state: Object) -> str:
    now, last = state.get("state") or {}, (state.get("lastState") or {}).get("terminated")
    parts = []
    if waiting := now.get("waiting"):
        parts.append(_joined(waiting, "reason", "message"))
    ended = now.get("terminated")
    if ended and ended.get("exitCode"):
        parts.append(f"ended with {ended['exitCode']} {_joined(ended, 'reason', 'message')}")
    if last:
        parts.append(f"before that ended with {last.get('exitCode')} {_joined(last, 'reason', 'message')}")
    if "running" in now and not state.get("ready") and state.get("started") is not False:
        parts.append("running and not ready")
    if state.get("restartCount") and parts:
        parts.append(f"{state['restartCount']} restarts")
    return ", ".join(part.strip() for part in parts if part.strip())


def _joined(state: Object, *keys: str) -> str:
    return ": ".join(str(state[key]).strip() for key in keys if state.get(key))


def _log(client: Client, pod: ObjectId, state: Object) -> list[str]:
    now = state.get("state") or {}
    if "waiting" in now and not state.get("restartCount"):
        return []  # it has never run
    params = {"container": state["name"], "tailLines": str(_LOG_LINES)}
    if "waiting" in now:
        params["previous"] = "true"
    text = client.text(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log", params)
    return [f"    | {line}" for line in text.splitlines() if line.strip()]


def _events(client: Client, which: ObjectId) -> list[str]:
    """Return the newest warnings about an object."""
    if not which.namespace:
        return []
    chosen = f"involvedObject.kind={which.kind},involvedObject.name={which.name},type=Warning"
    events = client.list(f"/api/v1/namespaces/{which.namespace}/events", {"fieldSelector": chosen})
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"event {event.get('reason')}: {str(event.get('message')).strip()}" for event in events[-_EVENTS:]]
