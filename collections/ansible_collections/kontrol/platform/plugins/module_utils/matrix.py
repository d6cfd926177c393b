"""The verify matrix: every listening port of every meshed pod x {outside, denied, allowed}.

`plan` says what to ask and what must come, `judge` compares. A port that nobody declared must refuse everybody, an
exception carries its owner and reason, and a missing answer is a failed check, never a passed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

OUTSIDE, DENIED, ALLOWED = "outside", "denied", "allowed"
PLACES: Final = (OUTSIDE, DENIED, ALLOWED)
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
SIDECAR_PORTS: Final = tuple(
    {"port": port, "owner": "mesh", "reason": reason}
    for port, reason in (
        (15020, "health and merged metrics of the sidecar's agent; the kubelet asks it and has no certificate"),
        (15021, "readiness of the sidecar; the kubelet asks it and has no certificate"),
        (15090, "the sidecar's own metrics, no data of the service"),
    )
)
"""Ports of a sidecar that answer everybody by Istio's design (source: Istio, application requirements)."""
_WHO: Final = {OUTSIDE: "outside the mesh", DENIED: "in the mesh, not allowed", ALLOWED: "in the mesh, allowed"}


def _endpoint(pod: Object, port: int, place: str, declared: Object | None, want: str) -> Object:
    """Return one question. In the mesh a declared port is asked by name: only then the caller's sidecar uses mTLS."""
    named = declared is not None and place != OUTSIDE
    return {
        "name": f"{pod['name']}:{port}",
        "host": pod["host"] if named else pod["ip"],
        "port": port,
        "protocol": "http",
        "path": (declared or {}).get("path", "/"),
        "want": want,
        "named": named,
    }


def plan(
    pods: Iterable[Object], declared: Iterable[Object], exceptions: Iterable[Object] = SIDECAR_PORTS
) -> dict[str, list[Object]]:
    """Return the endpoints to probe from each place.

    Args:
        pods: [{name, ip, host (DNS name), ports (listening)}].
        declared: Ports that someone may use: [{port, path}].
        exceptions: Ports that answer everybody by design: [{port, owner, reason}].
    """
    by_port = {item["port"]: item for item in declared}
    open_to_all = {item["port"] for item in exceptions}
    endpoints: dict[str, list[Object]] = {place: [] for place in PLACES}
    for pod in pods:
        for port in sorted({*pod["ports"], *by_port}):
            if port in open_to_all:
                endpoints[OUTSIDE].append(_endpoint(pod, port, OUTSIDE, None, ""))
                continue
            for place in PLACES:
                want = "open" if place == ALLOWED and port in by_port else "refused"
                endpoints[place].append(_endpoint(pod, port, place, by_port.get(port), want))
    return endpoints


def _check(place: str, endpoint: Object, answer: Object | None, exceptions: Mapping[int, Object]) -> Object:
    exception = exceptions.get(endpoint["port"])
    seen = _seen(answer)
    if exception:
        expected, ok = "open to all (exception)", answer is not None
    elif endpoint["want"] == "open":
        expected, ok = (
            "answers 200",
            answer is not None and answer.get("outcome") == "open" and answer.get("status") == 200,
        )
    else:
        expected, ok = "refused by the mesh", answer is not None and _refused(place, endpoint, answer)
    check = {
        "check": f"port, {_WHO[place]}",
        "target": endpoint["name"],
        "expected": expected,
        "seen": seen,
        "ok": ok,
    }
    if exception:
        check |= {"owner": exception["owner"], "reason": exception["reason"]}
    return check


def _refused(place: str, endpoint: Object, answer: Object) -> bool:
    """Tell whether an answer is a refusal.

    A close without an answer may come from the service itself, so it counts only where no service can be reached: on
    the sidecar's own ports, and from inside by address, where the caller's sidecar turns a reset into a close (the same
    plaintext as from outside, which must see the reset).
    """
    closed_counts = endpoint["port"] in CAPTURE_PORTS or (place != OUTSIDE and not endpoint["named"])
    return answer.get("outcome") in REFUSALS[place] or (closed_counts and answer.get("outcome") == "closed")


def _seen(answer: Object | None) -> str:
    if answer is None:
        return "no answer of the probe"
    status = f" {answer['status']}" if answer.get("status") else ""
    detail = "" if answer.get("outcome") == "open" else f": {answer.get('detail', '')}"
    return f"{answer.get('outcome')}{status}{detail}".rstrip(": ")


def judge(
    endpoints: Mapping[str, list[Object]],
    answers: Mapping[str, Iterable[Object]],
    pods: Iterable[Object],
    declared: Iterable[Object],
    exceptions: Iterable[Object] = SIDECAR_PORTS,
) -> list[Object]:
    """Return one check per planned endpoint, and one per pod that its declared ports listen.

    Args:
        endpoints: From `plan`.
        answers: Place -> what the probe there reported.
        pods: As for `plan`; none at all is a failed check.
        declared: As for `plan`.
        exceptions: As for `plan`.
    """
    by_port = {item["port"]: item for item in exceptions}
    checks = []
    for place in PLACES:
        found = {answer.get("name"): answer for answer in answers.get(place) or []}
        checks += [_check(place, endpoint, found.get(endpoint["name"]), by_port) for endpoint in endpoints[place]]
    return [*_listening(list(pods), [item["port"] for item in declared]), *checks]


def _listening(pods: list[Object], declared: list[int]) -> list[Object]:
    if not pods:
        return [{"check": "pods", "target": "all", "expected": "at least one", "seen": "none", "ok": False}]
    return [
        {
            "check": "declared ports listen",
            "target": pod["name"],
            "expected": ", ".join(map(str, declared)),
            "seen": ", ".join(map(str, pod["ports"])) or "none",
            "ok": set(declared) <= set(pod["ports"]),
        }
        for pod in pods
    ]
