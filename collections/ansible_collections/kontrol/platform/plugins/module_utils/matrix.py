"""The verify matrix: every listening port of every meshed pod x {outside, in the mesh but not allowed, allowed}.

`strangers` and `allowed` say what to ask, `judge` and `judge_allowed` compare. A port that nobody declared is red by
itself and must refuse everybody all the same, an exception carries its owner and reason, and a missing answer is a
failed check, never a passed one. Pods are what `meshed.describe` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.checks import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

OUTSIDE, DENIED, ALLOWED = "outside", "denied", "allowed"
REFUSALS: Final = {
    OUTSIDE: frozenset({"reset"}),
    DENIED: frozenset({"denied", "reset"}),
    ALLOWED: frozenset({"denied", "reset"}),
}
"""What counts as a refusal by the mesh. Outside a 403 does not: plaintext was accepted, so STRICT does not hold.

Nowhere counts silence, a timeout or a name that is not found: it may be anything.
"""
CAPTURE_PORTS: Final = frozenset({15001, 15006})
"""Where a sidecar catches redirected traffic: nothing is behind them, a direct connection is closed unanswered."""
SIDECAR_PORTS: Final = {
    15020: "health and merged metrics of the sidecar's agent; the kubelet asks it and has no certificate",
    15021: "readiness of the sidecar; the kubelet asks it and has no certificate",
    15090: "the sidecar's own metrics, no data of the service",
}
"""Ports of a sidecar that answer everybody by Istio's design (source: Istio, application requirements)."""
OWNER: Final = "mesh"
_WHO: Final = {OUTSIDE: "outside the mesh", DENIED: "in the mesh, not allowed", ALLOWED: "in the mesh, allowed"}


def _endpoint(pod: Object, port: int, place: str, want: str, opened: Object | None = None) -> Object:
    """Return one question. From inside, a port that the mesh has a name for is asked by it: only then it uses mTLS."""
    name = pod["names"].get(str(port)) if place != OUTSIDE else None
    protocol = (opened or {}).get("protocol") or (name or {}).get("protocol", "http")
    return {
        "name": f"{pod['name']}:{port}",
        "host": name["host"] if name else pod["ip"],
        "port": name["port"] if name else port,
        "protocol": protocol,
        "path": (opened or {}).get("path", "/"),
        "want": want,
        "named": bool(name),
    }


def _all_ports(pod: Object) -> list[int]:
    return sorted({*pod["ports"], *pod["declared"]})


def strangers(pods: Iterable[Object], place: str) -> list[Object]:
    """Return what a place where nobody is allowed asks: every port, declared or not; the exceptions only outside."""
    endpoints = []
    for pod in pods:
        for port in _all_ports(pod):
            if port not in SIDECAR_PORTS:
                endpoints.append(_endpoint(pod, port, place, "refused"))
            elif place == OUTSIDE:
                endpoints.append(_endpoint(pod, port, place, ""))
    return endpoints


def allowed(pods: Iterable[Object], opened: Iterable[Object]) -> list[Object]:
    """Return what a client that is allowed asks of its component's pods.

    Args:
        pods: The component's pods.
        opened: What it may use: [{port, path}] over HTTP, answered with 200, or [{port, protocol: tcp}].
    """
    by_port = {item["port"]: item for item in opened}
    return [
        _endpoint(pod, port, ALLOWED, "open" if port in by_port else "refused", by_port.get(port))
        for pod in pods
        for port in _all_ports(pod)
        if port not in SIDECAR_PORTS
    ]


def judge(pods: list[Object], answers: Mapping[str, Iterable[Object]]) -> list[Object]:
    """Return the checks of the places where nobody is allowed, and of every pod's ports; no pod at all is red.

    Args:
        pods: All meshed pods.
        answers: Place -> what the probe there reported.
    """
    if not pods:
        return [check("pods of the mesh", "all", "at least one", "none", ok=False)]
    asked = [
        made
        for place in (OUTSIDE, DENIED)
        for made in _compared(place, strangers(pods, place), answers.get(place) or [])
    ]
    return [*(_declares(pod) for pod in pods), *asked]


def judge_allowed(pods: list[Object], opened: list[Object], answers: Iterable[Object] | None) -> list[Object]:
    """Return the checks of who is allowed: what is open answers, everything else refuses; no pod at all is red."""
    if not pods:
        return [check("pods of the component", "all", "at least one", "none", ok=False)]
    listen = [_listens(pods, item["port"]) for item in opened]
    return [*listen, *_compared(ALLOWED, allowed(pods, opened), answers or [])]


def _listens(pods: list[Object], port: int) -> Object:
    """Check that every pod that declares an open port listens on it, and that there is one."""
    owners = [pod for pod in pods if port in pod["declared"]]
    silent = [pod["name"] for pod in owners if port not in pod["ports"]]
    seen = f"not in {', '.join(silent)}" if silent else f"in {len(owners)} pods"
    return check(
        "open port listens", f"port {port}", "in each pod that declares it", seen, ok=bool(owners) and not silent
    )


def _declares(pod: Object) -> Object:
    """Check that all that a pod listens on is declared: by a container port, or by the sidecar's design."""
    own = {*CAPTURE_PORTS, *SIDECAR_PORTS}
    undeclared = [port for port in pod["ports"] if port not in own and port not in pod["declared"]]
    expected = _listed(pod["declared"]) if pod["declared"] else "none but the sidecar's"
    seen = f"undeclared: {_listed(undeclared)}" if undeclared else "all declared"
    return check("listening ports are declared", pod["name"], expected, seen, ok=not undeclared)


def _compared(place: str, endpoints: Iterable[Object], answers: Iterable[Object]) -> list[Object]:
    found = {answer.get("name"): answer for answer in answers}
    return [_judged(place, endpoint, found.get(endpoint["name"])) for endpoint in endpoints]


def _judged(place: str, endpoint: Object, answer: Object | None) -> Object:
    port = int(endpoint["name"].rpartition(":")[2])
    exception = SIDECAR_PORTS.get(port)
    if exception:
        expected, ok = "open to all (exception)", answer is not None
    elif endpoint["want"] == "open":
        expected = "answers" if endpoint["protocol"] == "tcp" else "answers 200"
        ok = answer is not None and _answers(endpoint, answer)
    else:
        expected, ok = "refused by the mesh", answer is not None and _refused(place, port, endpoint, answer)
    made = check(f"port, {_WHO[place]}", endpoint["name"], expected, _seen(answer), ok=ok)
    return made | {"owner": OWNER, "reason": exception} if exception else made


def _answers(endpoint: Object, answer: Object) -> bool:
    return answer.get("outcome") == "open" and (endpoint["protocol"] == "tcp" or answer.get("status") == 200)


def _refused(place: str, port: int, endpoint: Object, answer: Object) -> bool:
    """Tell whether an answer is a refusal.

    A close without an answer may come from the service itself, so it counts only where that cannot be, or where it is
    all that a refusal looks like: on the sidecar's own ports; from inside by address, where the caller's sidecar turns
    a reset into a close (the same plaintext as from outside, which must see the reset); and from inside on a TCP port,
    where the caller's sidecar has accepted before the pod's one refuses (who is allowed is answered there).
    """
    inside = place != OUTSIDE and (not endpoint["named"] or endpoint["protocol"] == "tcp")
    closed_counts = port in CAPTURE_PORTS or inside
    return answer.get("outcome") in REFUSALS[place] or (closed_counts and answer.get("outcome") == "closed")


def _seen(answer: Object | None) -> str:
    if answer is None:
        return "no answer of the probe"
    status = f" {answer['status']}" if answer.get("status") else ""
    detail = "" if answer.get("outcome") == "open" else f": {answer.get('detail', '')}"
    return f"{answer.get('outcome')}{status}{detail}".rstrip(": ")


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(map(str, ports)) or "none"
