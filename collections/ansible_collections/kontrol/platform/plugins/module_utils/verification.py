"""What verify of a component asks and how it judges: the Jobs to run, and their answers as checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import matrix, meshed
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

OUTSIDE_NAMESPACE: Final = "kontrol-outside"
MESH_NAMESPACE: Final = "kontrol-verify"
PORTS: Final = "ports"
"""The step of a Job that probes ports."""
SETTLE_SECONDS: Final = 5.0
"""How long a probe repeats while the answer is not as wanted: new configuration takes a second or two to a sidecar."""


def stranger_jobs(pods: list[Object], image: str) -> list[Object]:
    """Return the Jobs that ask every port of every meshed pod from outside, and by somebody who is allowed nowhere."""
    outside = _stranger(matrix.OUTSIDE, OUTSIDE_NAMESPACE, "probe", image, pods)
    return [outside | {"mesh": False}, _stranger(matrix.DENIED, MESH_NAMESPACE, "stranger", image, pods)]


def _stranger(place: str, namespace: str, account: str, image: str, pods: list[Object]) -> Object:
    endpoints = matrix.strangers(pods, place)
    step = {"name": PORTS, "command": "probe", "settle": SETTLE_SECONDS, "endpoints": endpoints}
    return {
        "name": f"probe-{place}",
        "namespace": namespace,
        "service_account": account,
        "image": image,
        "steps": [step],
    }


def endpoints_of(step: Object | None) -> list[Object]:
    """Return what a step `probe` reported; nothing when it has no result."""
    return list((step or {}).get("endpoints") or [])


def matrix_checks(answers: Mapping[str, Object], pods: list[Object]) -> list[Object]:
    """Judge the Jobs of `stranger_jobs`: `answers` is Job -> step -> result."""
    places = (matrix.OUTSIDE, matrix.DENIED)
    return matrix.judge(pods, {one: endpoints_of((answers.get(f"probe-{one}") or {}).get(PORTS)) for one in places})


def within(pods: Iterable[Object], namespace: str) -> list[Object]:
    """Return the meshed pods of a namespace."""
    return [pod for pod in pods if pod["namespace"] == namespace]


def open_endpoints(pods: Iterable[Object], namespace: str, opened: list[Object]) -> list[Object]:
    """Return what a component's own client asks of the component's pods."""
    return matrix.allowed(within(pods, namespace), opened)


def open_checks(answers: Object | None, pods: Iterable[Object], namespace: str, opened: list[Object]) -> list[Object]:
    """Judge the step `ports` of a component's own client: `answers` is step -> result."""
    return matrix.judge_allowed(within(pods, namespace), opened, endpoints_of((answers or {}).get(PORTS)))


def pod_checks(pods: Iterable[Object], proxy: str) -> list[Object]:
    """Check each meshed pod: every container is ready, and its sidecar is of the control plane's version.

    Args:
        pods: All meshed pods.
        proxy: Image of the sidecar that goes with the control plane.
    """
    checks = []
    for pod in pods:
        ready = "; ".join(pod["unready"]) or f"{pod['containers']} ready"
        checks.append(check("containers are ready", pod["name"], "all", ready, ok=not pod["unready"]))
        remedy = "" if pod["proxy"] == proxy else f"{version(pod['proxy'])}; restart the pod"
        same = pod["proxy"] == proxy
        checks.append(check("sidecar's version", pod["name"], version(proxy), remedy or version(proxy), ok=same))
    return checks


def version(image: str) -> str:
    """Return the tag of an image reference, or what there is of it."""
    return image.partition("@")[0].rpartition(":")[2] or image


def ended_checks(ended: Mapping[str, str], job: str) -> list[Object]:
    """Check that a Job with a sidecar ended by itself: `ended` is Job -> its last condition."""
    seen = ended.get(job) or "no end was seen"
    return [check("a Job with a sidecar ends", job, "Complete", seen, ok=seen == "Complete")]


def strict_checks(policies: Iterable[Object]) -> list[Object]:
    """Check every PeerAuthentication: the mesh-wide one must say STRICT, no other may say anything weaker."""
    checks = []
    mesh_wide = False
    for policy in policies:
        meta, spec = policy["metadata"], policy.get("spec") or {}
        mode = (spec.get("mtls") or {}).get("mode", "UNSET")
        ports = {name: (value or {}).get("mode") for name, value in (spec.get("portLevelMtls") or {}).items()}
        weak = [f"port {port} {value}" for port, value in ports.items() if value not in ("STRICT", "UNSET")]
        is_mesh_wide = meta["namespace"] == "istio-system" and not spec.get("selector")
        mesh_wide = mesh_wide or is_mesh_wide
        ok = mode in (("STRICT",) if is_mesh_wide else ("STRICT", "UNSET")) and not weak
        target = f"PeerAuthentication {meta['namespace']}/{meta['name']}"
        checks.append(check("mutual TLS is STRICT", target, "STRICT", ", ".join([mode, *weak]), ok))
    if not mesh_wide:
        target = "PeerAuthentication of the whole mesh"
        checks.append(check("mutual TLS is STRICT", target, "STRICT", "there is none", ok=False))
    return checks


def old_sidecar_checks(pods: Iterable[Object]) -> list[Object]:
    """Return a failed check for each pod whose sidecar is not native: a Job in it would never end."""
    return [
        check(
            "native sidecar",
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",
            "there",
            "not there",
            ok=False,
        )
        for pod in pods
        if meshed.lacks_sidecar(pod)
    ]


def rows_checks(step: Object | None, target: str) -> list[Object]:
    """Judge a round trip of rows; a missing result is a failed check."""
    seen = (step or {}).get("seen", "no result")
    return [check("rows written and read back", target, "equal", str(seen), bool((step or {}).get("ok")))]


def schema_checks(step: Object | None, target: str) -> list[Object]:
    """Judge a look at the schema; a missing result is a failed check."""
    seen = (step or {}).get("seen", "no result")
    return [check("the schema is there", target, "all that was shipped", str(seen), bool((step or {}).get("ok")))]


def schedule_checks(found: list[Object], schedule: str, target: str) -> list[Object]:
    """Judge a CronJob, read by its name: there, as declared, and not suspended. Nothing is asked without a schedule."""
    if not schedule:
        return []
    specs = [one.get("spec") or {} for one in found]
    seen = f"{specs[0].get('schedule')}{', suspended' if specs[0].get('suspend') else ''}" if specs else "no CronJob"
    return [check("backups are made on schedule", target, schedule, seen, seen == schedule)]


def login_checks(step: Object | None, expected: Mapping[str, str], target: str) -> list[Object]:
    """Judge logins: `expected` is user -> accepted or refused; a missing answer is a failed check."""
    found = {login["user"]: login for login in (step or {}).get("logins") or []}
    checks = []
    for user, outcome in expected.items():
        seen = found.get(user, {"outcome": "no answer"})
        detail = f": {seen['detail'][:160]}" if seen.get("detail") and seen["outcome"] != outcome else ""
        name = f"login of '{user}'"
        checks.append(check(name, target, outcome, f"{seen['outcome']}{detail}", seen["outcome"] == outcome))
    return checks
