"""What runs beside a database in its pod: a probe that tries it, and a collector that passes its logs and numbers on.

Only one port is open to Prometheus: the collector's. All it passes on it reads on the loopback address or from files.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import collector_logs, quantities

Object = dict[str, Any]

PROBE_PORT: Final = 9464
TELEMETRY_PORT: Final = 8889
HEALTH_PORT: Final = 13133
"""The kubelet asks it through the sidecar, which talks to the pod's address: it cannot be on the loopback address."""
OWN_PORT: Final = 8888
GATEWAY: Final = "collector.telemetry.svc.cluster.local:4317"
INTERVAL: Final = "10s"
"""How often the collector asks its neighbours; Prometheus asks the collector every 15 s or less often."""
EXPIRY: Final = "1m"
"""How long a number is told after its source fell silent."""

_CONFIG: Final = "/etc/kontrol/sidecars"
_LOGIN: Final = "/run/secrets/kontrol/probe"
_STORE: Final = "/store"
_KEYS: Final = "/run/secrets/kontrol/backups"
_SECOND_KEYS: Final = "/run/secrets/kontrol/second"
_STATE: Final = "/state"
_PROBE_USER: Final = 65532
_COLLECTOR_USER: Final = 10001
_PROBE_SIZE: Final = {"cpu": "10m", "request": "24Mi", "limit": "64Mi"}
_COLLECTOR_SIZE: Final = {"cpu": "20m", "request": "64Mi", "limit": "160Mi"}
_UNPRIVILEGED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def sidecar_containers(component: str, settings: Object) -> list[Object]:
    """Return the containers `probe` and `collector`.

    Args:
        component: clickhouse or neo4j.
        settings: tools_image, collector_image (references); for the probe host, port, user and login_secret (with the
            key password); store_volume: name of the data's volume when the probe is to tell its space; metrics_port:
            of the database on the loopback address, 0 for none; telemetry: whether there is a gateway; region: name;
            backups: which ones the probe watches: endpoint, bucket, secret (a Secret with access_key and secret_key)
            and rpo_seconds (0 for none); foreign: whether the store is another region's; second: endpoint, bucket,
            region and secret of the second store, empty for none.
    """
    del component
    return [_probe(settings), collector(settings["collector_image"], _CONFIG, _COLLECTOR_SIZE, _collector_mounts())]


def _probe(settings: Object) -> Object:
    mounts = [
        {"name": "sidecars", "mountPath": _CONFIG, "readOnly": True},
        {"name": "probe-login", "mountPath": _LOGIN, "readOnly": True},
        {"name": "probe-log", "mountPath": "/logs"},
    ]
    if settings.get("store_volume"):
        mounts.append({"name": settings["store_volume"], "mountPath": _STORE, "readOnly": True})
    if settings.get("backups"):
        mounts.append({"name": "backup-keys", "mountPath": _KEYS, "readOnly": True})
    if _second(settings):
        mounts.append({"name": "second-keys", "mountPath": _SECOND_KEYS, "readOnly": True})
    return {
        "name": "probe",
        "image": settings["tools_image"],
        "imagePullPolicy": "IfNotPresent",
        "args": ["--serve-metrics", f"{_CONFIG}/probe.json"],
        "resources": _resources(_PROBE_SIZE),
        "securityContext": {**_UNPRIVILEGED, "runAsUser": _PROBE_USER, "runAsGroup": _PROBE_USER},
        "volumeMounts": mounts,
    }


def _collector_mounts() -> list[Object]:
    return [
        {"name": "sidecars", "mountPath": _CONFIG, "readOnly": True},
        {"name": "logs", "mountPath": "/logs/database", "readOnly": True},
        {"name": "probe-log", "mountPath": "/logs/probe", "readOnly": True},
        {"name": "collector-state", "mountPath": _STATE},
    ]


def collector(image: str, folder: str, size: Object, mounts: list[Object], ports: tuple[Object, ...] = ()) -> Object:
    """Return a container `collector` that reads config.yaml in a folder.

    Args:
        image: Its reference.
        folder: Where the configuration is mounted.
        size: cpu, and memory as `request` and `limit`; before the limit it collects its garbage and refuses work.
        mounts: Its volume mounts.
        ports: Container ports besides those for Prometheus and the kubelet.
    """
    return {
        "name": "collector",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [f"--config={folder}/config.yaml"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "GOMEMLIMIT", "value": str(quantities.to_bytes(size["limit"]) * 8 // 10)},
            {"name": "GOMAXPROCS", "value": "2"},
        ],
        "ports": [
            {"name": "http-telemetry", "containerPort": TELEMETRY_PORT},
            {"name": "http-health", "containerPort": HEALTH_PORT},
            *ports,
        ],
        "startupProbe": {**_asked(), "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {**_asked(), "periodSeconds": 15, "timeoutSeconds": 5, "failureThreshold": 4},
        "resources": _resources(size),
        "securityContext": {**_UNPRIVILEGED, "runAsUser": _COLLECTOR_USER, "runAsGroup": _COLLECTOR_USER},
        "volumeMounts": mounts,
    }


def _asked() -> Object:
    return {"httpGet": {"path": "/", "port": "http-health"}}


def _resources(size: Object) -> Object:
    return {"requests": {"cpu": size["cpu"], "memory": size["request"]}, "limits": {"memory": size["limit"]}}


def sidecar_volumes(component: str, settings: Object) -> list[Object]:
    """Return their volumes; the database brings `logs`, where it writes its log files, and its data.

    Args:
        component: Its ConfigMap is `<component>-sidecars`.
        settings: As for sidecar_containers.
    """
    return [
        {"name": "sidecars", "configMap": {"name": f"{component}-sidecars"}},
        {"name": "probe-login", "secret": {"secretName": settings["login_secret"], "defaultMode": 0o440}},
        {"name": "probe-log", "emptyDir": {"sizeLimit": "8Mi"}},
        {"name": "collector-state", "emptyDir": {"sizeLimit": "16Mi"}},
        *_keys("backup-keys", settings.get("backups")),
        *_keys("second-keys", _second(settings)),
    ]


def _second(settings: Object) -> Object:
    """Return the second store, empty for none."""
    return (settings.get("backups") or {}).get("second") or {}


def _keys(volume: str, store: Object | None) -> list[Object]:
    """Return the volume with the keys of a store, and nothing else of its Secret."""
    if not store:
        return []
    items = [{"key": name, "path": name} for name in ("access_key", "secret_key")]
    return [{"name": volume, "secret": {"secretName": store["secret"], "defaultMode": 0o440, "items": items}}]


def sidecar_config(component: str, settings: Object) -> dict[str, str]:
    """Return the data of the ConfigMap `<component>-sidecars`: config.yaml and probe.json."""
    step = {key: settings[key] for key in ("host", "port", "user")}
    step |= {"database": component, "password_file": f"{_LOGIN}/password", "log": "/logs/probe.log"}
    if settings.get("store_volume"):
        step["store"] = _STORE
    if backups := settings.get("backups"):
        step["backups"] = {
            "component": component,
            **{name: backups[name] for name in ("rpo_seconds", "foreign")},
            **_store(backups, _KEYS),
        }
    if second := _second(settings):
        step["backups"]["second"] = _store(second, _SECOND_KEYS)
    return {"config.yaml": collector_config(component, settings), "probe.json": json.dumps({"steps": [step]}, indent=1)}


def _store(store: Object, keys: str) -> Object:
    """Return where a store is and in which files its keys are, as the probe is told."""
    where: Object = {name: store[name] for name in ("endpoint", "bucket", "region") if name in store}
    return {**where, **{f"{name}_file": f"{keys}/{name}" for name in ("access_key", "secret_key")}}


def collector_config(component: str, settings: Object) -> str:
    """Return the configuration of a database's collector as YAML text (JSON, which is YAML)."""
    out, sender = _exporter(settings["telemetry"])
    receivers = {
        "file_log/database": collector_logs.receiver(component),
        "file_log/probe": collector_logs.PROBE,
        "prometheus": {"config": {"scrape_configs": _scrapes(component, settings)}},
    }
    resource = {
        "service.name": component,
        "k8s.namespace.name": "${env:POD_NAMESPACE}",
        "k8s.pod.name": "${env:POD_NAME}",
        "kontrol.region": settings["region"],
    }
    attributes = [{"key": key, "value": value, "action": "upsert"} for key, value in resource.items()]
    processors = {"memory_limiter": LIMITER, "batch": BATCH, "resource": {"attributes": attributes}}
    pipelines = {
        "logs": {
            "receivers": ["file_log/database", "file_log/probe"],
            "processors": ["memory_limiter", "resource", "batch"],
            "exporters": [out],
        },
        "metrics": {"receivers": ["prometheus"], "processors": ["memory_limiter"], "exporters": ["prometheus"]},
    }
    return json.dumps(
        {
            "extensions": {**HEALTH, "file_storage": {"directory": _STATE}},
            "receivers": receivers,
            "processors": processors,
            "exporters": {out: sender, **PROMETHEUS},
            "service": service(["health_check", "file_storage"], pipelines),
        },
        indent=1,
    )


LIMITER: Final = {"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 15}
BATCH: Final = {"timeout": "2s", "send_batch_size": 1000, "send_batch_max_size": 2000}
HEALTH: Final = {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}}
PROMETHEUS: Final = {
    "prometheus": {
        "endpoint": f"0.0.0.0:{TELEMETRY_PORT}",
        "metric_expiration": EXPIRY,
        "translation_strategy": "UnderscoreEscapingWithoutSuffixes",
        "without_scope_info": True,
    }
}


def service(extensions: list[str], pipelines: Object) -> Object:
    """Return the part `service` of a configuration, with the collector's own numbers on the loopback address."""
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": OWN_PORT}}}}
    logs = {"level": "warn", "encoding": "json"}
    return {
        "extensions": extensions,
        "telemetry": {"logs": logs, "metrics": {"readers": [reader]}},
        "pipelines": pipelines,
    }


def scrape(job: str, port: int, keep: str = "") -> Object:
    """Return what asks one neighbour on the loopback address; `keep` is a pattern of the metrics that pass."""
    found: Object = {
        "job_name": job,
        "scrape_interval": INTERVAL,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    if keep:
        found["metric_relabel_configs"] = [{"source_labels": ["__name__"], "regex": keep, "action": "keep"}]
    return found


def _scrapes(component: str, settings: Object) -> list[Object]:
    asked = [scrape("probe", PROBE_PORT), scrape("collector", OWN_PORT, "otelcol_(exporter|process|receiver)_.*")]
    if settings.get("metrics_port"):
        asked.append(scrape(component, settings["metrics_port"]))
    return asked


def _exporter(telemetry: bool) -> tuple[str, Object]:
    """Return name and settings of where logs go; the mesh encrypts, so the connection itself does not."""
    if not telemetry:
        return "debug", {"verbosity": "basic", "sampling_initial": 1, "sampling_thereafter": 1000}
    queue = {"queue_size": 20000, "sizer": "items", "num_consumers": 1}
    retry = {"max_interval": "15s", "max_elapsed_time": "0s"}
    return "otlp_grpc", {
        "endpoint": GATEWAY,
        "tls": {"insecure": True},
        "sending_queue": queue,
        "retry_on_failure": retry,
    }
