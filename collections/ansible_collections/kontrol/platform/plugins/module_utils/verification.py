"""What verify of a component asks and how it judges: the Jobs to run, and their answers as checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

OUTSIDE_NAMESPACE: Final = "kontrol-outside"
MESH_NAMESPACE: Final = "kontrol-verify"
SETTLE_SECONDS: Final = 5.0
"""How long a probe repeats while the answer is not as wanted: new configuration takes a second or two to a sidecar."""


def check(name: str, target: str, expected: str, seen: str, ok: bool) -> Object:
    """Return one check of a report."""
    return {"check": name, "target": target, "expected": expected, "seen": seen, "ok": ok}


def probe_job(place: str, image: str, endpoints: list[Object], **differing: Any) -> Object:
    """Return the Job that probes endpoints from a place; keyword arguments override what is usual there."""
    usual: Object = {
        "name": f"probe-{place}",
        "namespace": OUTSIDE_NAMESPACE if place == matrix.OUTSIDE else MESH_NAMESPACE,
        "service_account": "stranger" if place == matrix.DENIED else "probe",
        "mesh": place != matrix.OUTSIDE,
        "image": image,
        "steps": [{"name": "ports", "command": "probe", "settle": SETTLE_SECONDS, "endpoints": endpoints}],
    }
    return {**usual, **differing}


def answers(jobs: Mapping[str, Object]) -> dict[str, list[Object]]:
    """Return what each place's probe reported, from the result of `kontrol.platform.job`; a missing one is empty."""
    return {
        place: (jobs.get(f"probe-{place}", {}).get("results", {}).get("ports") or {}).get("endpoints") or []
        for place in matrix.PLACES
    }


def with_host(pods: Iterable[Object], domain: str) -> list[Object]:
    """Return pods with their DNS name below a headless Service's domain."""
    return [{**pod, "host": f"{pod['name']}.{domain}"} for pod in pods]


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


def sidecar_checks(pods: Iterable[Object]) -> list[Object]:
    """Check that each pod has a native sidecar (an init container that goes on); no pod at all is a failed check."""
    checks = []
    for pod in pods:
        containers = pod["spec"].get("initContainers") or []
        native = any(one["name"] == "istio-proxy" and one.get("restartPolicy") == "Always" for one in containers)
        target = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        checks.append(check("native sidecar", target, "there", "there" if native else "not there", native))
    return checks or [check("native sidecar", "all pods", "at least one pod", "none", ok=False)]


def mesh_jobs(pods: Iterable[Object], image: str, port: int) -> list[Object]:
    """Return the Jobs that probe the mesh's own target: by address from outside, by name from inside."""
    place = f"target.{MESH_NAMESPACE}.svc.cluster.local"
    plan = matrix.plan([_target(pods, place)], [{"port": port, "path": "/"}])
    return [probe_job(place, image, plan[place]) for place in matrix.PLACES]


def _target(pods: Iterable[Object], host: str) -> Object:
    ready: Object = next((pod for pod in pods if (pod.get("status") or {}).get("podIP")), {"status": {}})
    return {
        "name": "target",
        "ip": ready["status"].get("podIP", "target-has-no-pod.invalid"),
        "host": host,
        "ports": [],
    }


def mesh_checks(jobs: Mapping[str, Object], port: int) -> list[Object]:
    """Judge what the Jobs of `mesh_jobs` reported."""
    declared = [{"port": port, "path": "/"}]
    pod = {"name": "target", "ip": "", "host": "", "ports": [port]}
    plan = matrix.plan([pod], declared)
    return matrix.judge(plan, answers(jobs), [pod], declared)


def rows_checks(step: Object | None, target: str) -> list[Object]:
    """Judge a round trip of rows; a missing result is a failed check."""
    seen = (step or {}).get("seen", "no result")
    return [check("rows written and read back", target, "equal", str(seen), bool((step or {}).get("ok")))]


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
