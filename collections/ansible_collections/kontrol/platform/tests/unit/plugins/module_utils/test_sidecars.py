"""What runs beside a database: no privileges, one open port, logs read as the database writes them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import collector_logs, sidecars

SETTINGS: dict[str, Any] = {
    "tools_image": "tools:1",
    "collector_image": "collector:1",
    "host": "127.0.0.1",
    "port": 8123,
    "user": "verify",
    "login_secret": "clickhouse-login-verify",
    "metrics_port": 9363,
    "telemetry": True,
    "region": "local",
}


BACKUPS = {
    "endpoint": "http://store:7070",
    "bucket": "b",
    "secret": "clickhouse-backup-store",
    "rpo_seconds": 90000,
    "foreign": False,
}


def config(**changes: Any) -> Any:
    return json.loads(sidecars.collector_config("clickhouse", SETTINGS | changes))


def test_no_container_has_a_privilege_or_lacks_a_limit() -> None:
    for container in sidecars.sidecar_containers("clickhouse", SETTINGS):
        context = container["securityContext"]
        assert (context["runAsNonRoot"], context["readOnlyRootFilesystem"]) == (True, True)
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
        assert context["runAsUser"] > 1000
        assert {"memory"} == set(container["resources"]["limits"])


def test_the_database_is_only_read() -> None:
    settings = SETTINGS | {"store_volume": "data"}
    for container in sidecars.sidecar_containers("clickhouse", settings):
        owned = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert set(owned) <= {"probe-log", "collector-state"}


SECOND = {
    "endpoint": "https://s3.example.com",
    "bucket": "copies",
    "region": "eu-central-1",
    "secret": "clickhouse-second-store",
}


@pytest.mark.parametrize("more", [{}, {"backups": BACKUPS}, {"backups": BACKUPS | {"second": SECOND}}])
def test_each_mounted_volume_is_there(more: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in sidecars.sidecar_volumes("clickhouse", SETTINGS | more)}
    for container in sidecars.sidecar_containers("clickhouse", SETTINGS | more):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes | {"logs"}


def test_only_the_probe_gets_the_keys_of_the_backups_and_nothing_else_of_their_secret() -> None:
    settings = SETTINGS | {"backups": BACKUPS}
    probe, collector = sidecars.sidecar_containers("clickhouse", settings)
    assert {"name": "backup-keys", "mountPath": "/run/secrets/kontrol/backups", "readOnly": True} in probe[
        "volumeMounts"
    ]
    assert "backup-keys" not in {mount["name"] for mount in collector["volumeMounts"]}
    (volume,) = (one for one in sidecars.sidecar_volumes("clickhouse", settings) if one["name"] == "backup-keys")
    assert volume["secret"]["secretName"] == "clickhouse-backup-store"
    assert [item["key"] for item in volume["secret"]["items"]] == ["access_key", "secret_key"]
    (step,) = json.loads(sidecars.sidecar_config("clickhouse", settings)["probe.json"])["steps"]
    assert step["backups"] == {
        "component": "clickhouse",
        "endpoint": "http://store:7070",
        "bucket": "b",
        "rpo_seconds": 90000,
        "foreign": False,
        "access_key_file": "/run/secrets/kontrol/backups/access_key",
        "secret_key_file": "/run/secrets/kontrol/backups/secret_key",
    }


def test_the_keys_of_a_second_store_are_apart_from_those_of_the_first_one() -> None:
    settings = SETTINGS | {"backups": BACKUPS | {"second": SECOND}}
    probe, collector = sidecars.sidecar_containers("clickhouse", settings)
    mount = {"name": "second-keys", "mountPath": "/run/secrets/kontrol/second", "readOnly": True}
    assert mount in probe["volumeMounts"]
    assert mount not in collector["volumeMounts"]
    volumes = {one["name"]: one for one in sidecars.sidecar_volumes("clickhouse", settings)}
    assert volumes["second-keys"]["secret"]["secretName"] == "clickhouse-second-store"
    (step,) = json.loads(sidecars.sidecar_config("clickhouse", settings)["probe.json"])["steps"]
    assert step["backups"]["second"] == {
        "endpoint": "https://s3.example.com",
        "bucket": "copies",
        "region": "eu-central-1",
        "access_key_file": "/run/secrets/kontrol/second/access_key",
        "secret_key_file": "/run/secrets/kontrol/second/secret_key",
    }


def test_without_a_second_store_nothing_of_one_is_there() -> None:
    settings = SETTINGS | {"backups": BACKUPS | {"second": {}}}
    made = [make("clickhouse", settings) for make in (sidecars.sidecar_containers, sidecars.sidecar_volumes)]
    text = json.dumps([made, sidecars.sidecar_config("clickhouse", settings)["probe.json"]])
    assert not re.search(r"second-keys|kontrol/second|\"second", text)


def test_only_the_probe_gets_the_password_and_no_text_holds_it() -> None:
    probe, collector = sidecars.sidecar_containers("clickhouse", SETTINGS)
    assert "probe-login" in {mount["name"] for mount in probe["volumeMounts"]}
    assert "probe-login" not in {mount["name"] for mount in collector["volumeMounts"]}
    step = json.loads(sidecars.sidecar_config("clickhouse", SETTINGS)["probe.json"])["steps"][0]
    assert step["password_file"] == "/run/secrets/kontrol/probe/password"
    assert not {"password"} & set(step)


def test_what_listens_beyond_loopback_is_declared() -> None:
    listening = {int(port) for port in re.findall(r'"0\.0\.0\.0:(\d+)"', json.dumps(config()))}
    collector = sidecars.sidecar_containers("clickhouse", SETTINGS)[1]
    assert listening == {port["containerPort"] for port in collector["ports"]}


@pytest.mark.parametrize(("port", "jobs"), [(9363, ["clickhouse", "collector", "probe"]), (0, ["collector", "probe"])])
def test_neighbours_are_asked_on_loopback(port: int, jobs: list[str]) -> None:
    scrapes = config(metrics_port=port)["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert sorted(scrape["job_name"] for scrape in scrapes) == jobs
    targets = [target for scrape in scrapes for static in scrape["static_configs"] for target in static["targets"]]
    assert all(target.startswith("127.0.0.1:") for target in targets)


@pytest.mark.parametrize(("telemetry", "exporter"), [(True, "otlp_grpc"), (False, "debug")])
def test_logs_go_to_the_gateway_where_there_is_one(telemetry: bool, exporter: str) -> None:
    found = config(telemetry=telemetry)
    assert found["service"]["pipelines"]["logs"]["exporters"] == [exporter]
    assert exporter in found["exporters"]
    assert ("collector.telemetry" in json.dumps(found)) is telemetry


def test_what_a_pipeline_names_is_defined() -> None:
    found = config()
    for pipeline in found["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(found[kind])
    assert set(found["service"]["extensions"]) == set(found["extensions"])


CLICKHOUSE = "2026.11.25 09:29:12.123456 [ 7 ] {abc-1} <Error> executeQuery: Code: 62. DB::Exception\n 0. frame"
NEO4J = "2026-11-25 09:29:12.123+0000 WARN  [o.n.k.Thing] Not well\njava.lang.Error: x"


@pytest.mark.parametrize(
    ("component", "text", "severity", "message"),
    [
        ("clickhouse", CLICKHOUSE, "Error", "executeQuery: Code: 62. DB::Exception\n 0. frame"),
        ("neo4j", NEO4J, "WARN", "[o.n.k.Thing] Not well\njava.lang.Error: x"),
    ],
)
def test_a_record_is_taken_apart_with_the_lines_that_follow(
    component: str, text: str, severity: str, message: str
) -> None:
    receiver = collector_logs.receiver(component)
    parser = receiver["operators"][0]
    found = re.search(parser["regex"], text)
    assert found is not None
    assert (found["severity"], found["message"]) == (severity, message)
    known = {
        name
        for value in parser["severity"]["mapping"].values()
        for name in (value if isinstance(value, list) else [value])
    }
    assert severity in known
    starts = [line for line in text.splitlines() if re.search(receiver["multiline"]["line_start_pattern"], line)]
    assert starts == text.splitlines()[:1]
