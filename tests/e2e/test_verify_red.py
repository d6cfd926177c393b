"""Verify goes red when the platform is not what it should be, and green again once bootstrap has repaired it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.harness import Region
from tests.e2e.test_recovery import query

Act = Callable[[Region], None]
NAMESPACES = ("kontrol-verify", "kontrol-outside", "clickhouse")


def patch(region: Region, kind: str, item: dict[str, Any], change: dict[str, Any]) -> None:
    """Change an object behind our back, as a person with kubectl would."""
    where = ("--namespace", item["metadata"]["namespace"], item["metadata"]["name"])
    region.kubectl("patch", kind, *where, "--type", "merge", "--patch", json.dumps(change))


def permissive(region: Region) -> None:
    for item in region.items("peerauthentications"):
        patch(region, "peerauthentication", item, {"spec": {"mtls": {"mode": "PERMISSIVE"}}})


def no_peer_authentication(region: Region) -> None:
    """What a person owns is not taken over, so what was edited has to go before bootstrap can put it back."""
    region.kubectl("delete", "peerauthentications", "--all", "--all-namespaces")


def no_authorization(region: Region) -> None:
    region.kubectl("delete", "authorizationpolicies", "--all", "--all-namespaces")


def logins(region: Region) -> list[dict[str, Any]]:
    secrets = region.items("secrets", "--selector", "app.kubernetes.io/managed-by=kontrol")
    return [secret for secret in secrets if "password" in secret.get("data", {})]


def wrong_password(region: Region) -> None:
    """Change every password that the probes log in with, but not the database."""
    found = logins(region)
    assert found
    for secret in found:
        patch(region, "secret", secret, {"stringData": {"password": "not-the-password"}})


def no_logins(region: Region) -> None:
    for secret in logins(region):
        region.kubectl("delete", "secret", secret["metadata"]["name"], "--namespace", secret["metadata"]["namespace"])


def jobs_cannot_start(region: Region) -> None:
    """Leave no room for a pod in the namespaces where probes run."""
    spec = {"hard": {"pods": "0"}}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-room"}, "spec": spec}
    for namespace in NAMESPACES:
        region.kubectl("apply", "--namespace", namespace, "--filename", "-", text=json.dumps(quota))


def room_again(region: Region) -> None:
    for namespace in NAMESPACES:
        region.kubectl("delete", "resourcequota", "no-room", "--namespace", namespace)


def undeclared_port(region: Region) -> None:
    """Listen in a pod of the mesh, as a debugging tool that somebody left behind does."""
    code = "import socket,time; s=socket.socket(); s.bind(('0.0.0.0',7777)); s.listen(); time.sleep(900)"
    shell = f'nohup python3 -c "{code}" >/dev/null 2>&1 &'
    region.kubectl("exec", "--namespace", "kontrol-verify", "deployment/target", "--", "/bin/sh", "-c", shell)


def new_target(region: Region) -> None:
    region.kubectl("delete", "pods", "--namespace", "kontrol-verify", "--selector", "app.kubernetes.io/name=target")


def secret_in_environment(region: Region) -> None:
    """Hand a password to the database in the way that many charts do."""
    source = ("--from", "secret/clickhouse-login-verify", "--prefix", "LEAK_")
    region.kubectl("set", "env", "statefulset/clickhouse", "--namespace", "clickhouse", *source)
    region.kubectl("rollout", "status", "statefulset/clickhouse", "--namespace", "clickhouse", "--timeout", "300s")


def no_environment(region: Region) -> None:
    """What somebody else added is theirs to take away."""
    region.kubectl("set", "env", "statefulset/clickhouse", "--namespace", "clickhouse", "LEAK_PASSWORD-")


def stopped_sidecar(region: Region) -> None:
    """Hang the proxy of a pod, as far as its clients can tell."""
    where = ("--namespace", "kontrol-verify", "deployment/target", "--container", "istio-proxy")
    region.kubectl("exec", *where, "--", "/bin/sh", "-c", "kill -STOP $(pidof envoy)")


def lost_schema(region: Region) -> None:
    """Take a database away, as somebody in a hurry does who is in the wrong window."""
    query(region, "RENAME DATABASE matches TO aside")


def found_schema(region: Region) -> None:
    query(region, "RENAME DATABASE aside TO matches")


def nothing(region: Region) -> None:
    """Bootstrap needs no help."""


CASES = {
    permissive: no_peer_authentication,
    no_authorization: nothing,
    wrong_password: no_logins,
    jobs_cannot_start: room_again,
    undeclared_port: new_target,
    stopped_sidecar: new_target,
    lost_schema: found_schema,
    secret_in_environment: no_environment,
}


@pytest.mark.parametrize(("damage", "undo"), CASES.items(), ids=[damage.__name__ for damage in CASES])
def test_verify_goes_red_and_bootstrap_makes_it_green_again(damage: Act, undo: Act, region: Region) -> None:
    damage(region)
    try:
        done = region.run("verify")
        assert done.rc != 0
        assert re.search(r"^FAIL", done.stdout, re.MULTILINE), "red, but no check says what is wrong"
        assert "Traceback" not in done.stdout
    finally:
        undo(region)
        again = region.run("bootstrap")
    again.green()
