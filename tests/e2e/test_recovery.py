"""What is lost comes back: a pod with its rows, a whole cluster with the old passwords."""

from __future__ import annotations

import base64
import json
import urllib.request

import pytest

from tests.e2e.harness import CLUSTER, Region


def query(region: Region, sql: str) -> str:
    """Run a query as the database's administrator, by a port forwarded to behind its sidecar."""
    secret = region.kubectl("get", "secret", "clickhouse-login-admin", "--namespace", "clickhouse", "-o", "json")
    password = base64.b64decode(json.loads(secret)["data"]["password"]).decode()
    with region.forwarded("clickhouse", "clickhouse-0", 8123) as address:
        headers = {"X-ClickHouse-User": "admin", "X-ClickHouse-Key": password}
        request = urllib.request.Request(f"http://{address}/", data=sql.encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text: str = answer.read().decode()
    return text.strip()


def passwords(region: Region) -> dict[str, dict[str, str]]:
    """Contents of the platform's Secrets by name; only compared, never shown."""
    secrets = region.items("secrets", "--selector", "app.kubernetes.io/managed-by=kontrol")
    return {f"{s['metadata']['namespace']}/{s['metadata']['name']}": s.get("data", {}) for s in secrets}


def test_rows_outlive_their_pod(region: Region) -> None:
    query(region, "CREATE TABLE IF NOT EXISTS default.survives (n UInt32) ENGINE = MergeTree ORDER BY n")
    query(region, "INSERT INTO default.survives SELECT number FROM numbers(1000)")
    uid = region.pods()["clickhouse/clickhouse-0"][0]
    region.kubectl("delete", "pod", "clickhouse-0", "--namespace", "clickhouse")
    region.run("verify").green()
    assert region.pods()["clickhouse/clickhouse-0"][0] != uid
    assert query(region, "SELECT count(), sum(n) FROM default.survives") == "1000\t499500"


@pytest.mark.life
def test_a_deleted_cluster_is_noticed_and_made_again_with_the_old_passwords(region: Region) -> None:
    before = passwords(region)
    assert before
    region.tool("docker", "rm", "--force", "--volumes", f"{CLUSTER}-control-plane")
    check = region.run("bootstrap", "--check").green()
    assert (f"Cluster {CLUSTER}", "create") in check.actions
    done = region.run("bootstrap").green()
    assert done.verdicts[f"Cluster {CLUSTER}"][0] == "create"
    assert [verb for thing, (verb, _known) in done.verdicts.items() if thing.startswith("StoredSecret")] == []
    assert passwords(region) == before
    assert region.run("bootstrap").green().changed == 0
