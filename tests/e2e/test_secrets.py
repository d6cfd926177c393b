"""No secret of the region stands in any output, file, object or process that others may read; run after the rest."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import Region

SHORTEST = 8


@pytest.fixture
def canaries(region: Region) -> dict[str, bytes]:
    """Every secret that the region ever made, by name: from its store and from the cluster, plain."""
    store = region.state / "secrets.sops.json"
    key = region.state / "age.key"
    plain = subprocess.run(
        ["sops", "decrypt", str(store)],
        env={**region.env, "SOPS_AGE_KEY_FILE": str(key)},
        capture_output=True,
        check=True,
    ).stdout
    found = dict(_leaves(json.loads(plain)))
    found["age key"] = next(line for line in key.read_bytes().splitlines() if line.startswith(b"AGE-SECRET-KEY"))
    assert len(found) > 1
    return {name: value for name, value in found.items() if len(value) >= SHORTEST}


def _leaves(value: object, path: str = "") -> list[tuple[str, bytes]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() if key != "sops" for leaf in _leaves(item, f"{path}/{key}")]
    return [(path, value.encode())] if isinstance(value, str) else []


def hits(canaries: dict[str, bytes], text: bytes) -> list[str]:
    """Names of the secrets that stand in a text, plain or in base64."""
    return [name for name, value in canaries.items() if value in text or base64.b64encode(value).rstrip(b"=") in text]


def test_the_search_finds_a_secret(canaries: dict[str, bytes]) -> None:
    name, value = next(iter(canaries.items()))
    assert name in hits(canaries, b"x" + value + b"y")
    assert name in hits(canaries, base64.b64encode(value))


def test_no_output_shows_a_secret(canaries: dict[str, bytes], region: Region) -> None:
    region.run("bootstrap", "--check", "--diff", "-vvv").green()
    assert region.outputs
    assert [hits(canaries, text.encode()) for text in region.outputs] == [[]] * len(region.outputs)


def test_no_file_of_the_state_but_the_key_holds_a_secret(canaries: dict[str, bytes], region: Region) -> None:
    found = {name: hits(canaries, content) for name, content in region.files().items() if name != "age.key"}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_history_in_the_backup_store_holds_no_secret(canaries: dict[str, bytes], region: Region) -> None:
    """Copies of the records of runs: read from the store's own folder, so that none is overlooked."""
    copies = {name: content for name, content in region.files().items() if "/runs/e2e/" in name}
    assert {Path(name).name for name in copies} >= {"journal.jsonl", "record.json", "report.json", "report.html"}
    assert [name for name, content in copies.items() if hits(canaries, content)] == []


def test_no_object_but_secrets_holds_a_secret(canaries: dict[str, bytes], region: Region) -> None:
    kinds = "pods,configmaps,deployments,statefulsets,daemonsets,jobs,services,serviceaccounts,events,leases"
    assert (
        hits(canaries, region.kubectl("get", kinds, "--all-namespaces", "-o", "json", "--show-managed-fields").encode())
        == []
    )


def test_no_process_shows_a_secret(canaries: dict[str, bytes], region: Region) -> None:
    """Arguments and environment of every process while a bootstrap runs: its tools, and all that runs in the pods.

    One exception: the server of the local backup store takes its keys from its environment and in no other way; it is
    no pod, and only root of this machine can read them, who can read the store's files too.
    """
    server = region.tool("docker", "inspect", "--format", "{{.State.Pid}}", "kontrol-e2e-backup-store").strip()
    started = region.start("bootstrap")
    found: set[str] = set()
    while started.process.poll() is None:
        for folder in (p for p in Path("/proc").iterdir() if p.name.isdigit()):
            for name in ("cmdline",) if folder.name == server else ("cmdline", "environ"):
                try:
                    found.update(f"{hit} in {name} of {folder}" for hit in hits(canaries, (folder / name).read_bytes()))
                except OSError:
                    continue
    started.wait().green()
    assert found == set()
