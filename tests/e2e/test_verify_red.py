"""Verify goes red when the platform is not what it should be, and green again once bootstrap has repaired it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.harness import Region

Break = Callable[[Region], None]


def permissive(region: Region) -> None:
    patch = '{"spec": {"mtls": {"mode": "PERMISSIVE"}}}'
    for item in region.items("peerauthentications"):
        where = ("--namespace", item["metadata"]["namespace"], item["metadata"]["name"])
        region.kubectl("patch", "peerauthentication", *where, "--type", "merge", "--patch", patch)


def no_authorization(region: Region) -> None:
    region.kubectl("delete", "authorizationpolicies", "--all", "--all-namespaces")


def wrong_password(region: Region) -> None:
    """Change every password that the probes log in with, behind the back of the database."""
    wrong = base64.b64encode(b"not-the-password").decode()
    for secret in region.items("secrets", "--selector", "app.kubernetes.io/managed-by=kontrol"):
        keys = [key for key in secret.get("data", {}) if "password" in key]
        if keys:
            where = ("--namespace", secret["metadata"]["namespace"], secret["metadata"]["name"])
            patch = json.dumps({"data": dict.fromkeys(keys, wrong)})
            region.kubectl("patch", "secret", *where, "--type", "merge", "--patch", patch)


def jobs_cannot_start(region: Region) -> None:
    """Leave no room for a pod in the namespaces where probes run."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-room"},
        "spec": {"hard": {"pods": "0"}},
    }
    for namespace in ("kontrol-verify", "kontrol-outside", "clickhouse"):
        region.kubectl("apply", "--namespace", namespace, "--filename", "-", text=json.dumps(quota))


def room_again(region: Region) -> None:
    for namespace in ("kontrol-verify", "kontrol-outside", "clickhouse"):
        region.kubectl("delete", "resourcequota", "no-room", "--namespace", namespace, "--ignore-not-found")


@pytest.fixture
def repaired(region: Region) -> Iterator[Region]:
    """The region; after the test bootstrap has to bring it back."""
    region.run("verify").green()
    yield region
    room_again(region)
    region.run("bootstrap").green()


@pytest.mark.parametrize(
    "damage", [permissive, no_authorization, wrong_password, jobs_cannot_start], ids=lambda f: f.__name__
)
def test_verify_goes_red(damage: Break, repaired: Region) -> None:
    damage(repaired)
    done = repaired.run("verify")
    assert done.rc != 0
    assert "Traceback" not in done.stdout
