"""The region's gateway of telemetry: takes OTLP, counts spans, passes logs and traces on."""

from __future__ import annotations

import json
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import checks, sidecars

Object = dict[str, Any]

GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318
BUCKETS: Final = ("5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s")
"""Upper bounds of the durations of spans; the objectives of the API are among them."""
MOST_SERIES: Final = 2000
"""Of one service; what goes beyond is counted together, so that a span's name made of an id cannot fill Prometheus."""
OWN_INTERVAL: Final = "3s"
"""How old the gateway's own numbers may be: verify waits for them."""

_CONFIG: Final = "/etc/kontrol/gateway"


def gateway_container(_component: str, settings: Object) -> Object:
    """Return the container of the gateway.

    Args:
        settings: collector_image (a reference), memory and cpu, config_volume (name of the volume with config.yaml).
    """
    ports = ({"name": "grpc-otlp", "containerPort": GRPC_PORT}, {"name": "http-otlp", "containerPort": HTTP_PORT})
    mounts = [{"name": settings["config_volume"], "mountPath": _CONFIG, "readOnly": True}]
    size = {"cpu": settings["cpu"], "request": settings["memory"], "limit": settings["memory"]}
    found = sidecars.collector(settings["collector_image"], _CONFIG, size, mounts, ports)
    return found | {"readinessProbe": found["livenessProbe"] | {"periodSeconds": 5}}


def gateway_config(component: str, settings: Object) -> str:
    """Return the gateway's configuration as YAML text (JSON, which is YAML).

    Args:
        component: Name of the job under which it asks itself.
        settings: endpoint: where logs and traces go over OTLP/HTTP, "" for nowhere (they are counted).
    """
    out, sender = _exporter(settings["endpoint"])
    protocols = {name: {"endpoint": f"0.0.0.0:{port}"} for name, port in (("grpc", GRPC_PORT), ("http", HTTP_PORT))}
    own = sidecars.scrape(component, sidecars.OWN_PORT, "otelcol_(exporter|process|receiver)_.*")
    own["scrape_interval"] = OWN_INTERVAL
    spans = {
        "histogram": {"unit": "ms", "explicit": {"buckets": list(BUCKETS)}},
        "metrics_flush_interval": OWN_INTERVAL,
        "aggregation_cardinality_limit": MOST_SERIES,
    }
    steps = ["memory_limiter", "batch"]
    pipelines = {
        "traces": {"receivers": ["otlp"], "processors": steps, "exporters": ["spanmetrics", out]},
        "logs": {"receivers": ["otlp"], "processors": steps, "exporters": [out]},
        "metrics": {
            "receivers": ["otlp", "spanmetrics", "prometheus"],
            "processors": ["memory_limiter"],
            "exporters": ["prometheus"],
        },
    }
    exposed = {"endpoint": f"0.0.0.0:{sidecars.TELEMETRY_PORT}", "without_scope_info": True}
    return json.dumps(
        {
            "extensions": sidecars.HEALTH,
            "receivers": {"otlp": {"protocols": protocols}, "prometheus": {"config": {"scrape_configs": [own]}}},
            "processors": {"memory_limiter": sidecars.LIMITER, "batch": sidecars.BATCH},
            "connectors": {"spanmetrics": spans},
            "exporters": {out: sender, "prometheus": exposed},
            "service": sidecars.service(["health_check"], pipelines),
        },
        indent=1,
    )


def _exporter(endpoint: str) -> tuple[str, Object]:
    if not endpoint:
        return "debug", {"verbosity": "basic"}
    queue = {"queue_size": 20000, "sizer": "items", "num_consumers": 2}
    return "otlp_http", {"endpoint": endpoint, "sending_queue": queue, "retry_on_failure": {"max_elapsed_time": "10m"}}


def sent_checks(answer: Object | None, component: str) -> list[Object]:
    """Return the checks of a span and a log that another pod sent: found again in what the gateway counts.

    Args:
        answer: Result of the tools' command otlp-send; None when it could not be done.
        component: Name of the target in the report.
    """
    asked = {"span": "a span is counted", "log": "a log is taken", "passed_on": "logs and spans are passed on"}
    expected, silent = "found in the gateway's numbers", "no answer of the client"
    return [
        checks.check(
            what, component, expected, answer["seen"][name] if answer else silent, bool(answer and answer[name])
        )
        for name, what in asked.items()
    ]
