"""What monitoring is made of: monitors of meshed pods, rules that components ship, Alertmanager's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Object = dict[str, Any]

CERTIFICATES: Final = "/etc/prom-certs"
FOLDER: Final = Path("files") / "monitoring"
PAGES: Final = "docs/runbooks/alerts"
DEAD_MAN: Final = "Watchdog"
DEAD_MAN_SECONDS: Final = 60
"""How often the alert that always fires is told again: a dead-man switch outside should wait for some of these."""


def _mesh_tls() -> Object:
    """Return how Prometheus talks to a meshed pod: with its own certificate of the mesh.

    The name is not verified, since a mesh certificate holds an identity (SPIFFE) and no host name; the authority is not
    either then. Who answers is the pod at that address: the mesh still refuses Prometheus without its certificate.
    """
    names = {"caFile": "root-cert", "certFile": "cert-chain", "keyFile": "key"}
    return {key: f"{CERTIFICATES}/{name}.pem" for key, name in names.items()} | {"insecureSkipVerify": True}


def meshed_endpoint(port: str, job: str) -> Object:
    """Return the endpoint of a ServiceMonitor for a port of a meshed pod.

    Args:
        port: Name of the Service's port.
        job: Value of the label `job`, by which the component names the target in its targets.yml.
    """
    relabelings = [{"targetLabel": "job", "replacement": job}]
    return {"port": port, "scheme": "https", "tlsConfig": _mesh_tls(), "relabelings": relabelings}


def prometheus_rules(role: str, component: str, namespace: str, pages: str = PAGES) -> list[Object]:
    """Return a PrometheusRule for each rules file that a role ships.

    Args:
        role: The role's folder.
        component: Its name, the first part of the objects' names.
        namespace: Where the objects live.
        pages: Address of the folder of runbook pages, without a slash at its end.
    """
    found = []
    for file in sorted((Path(role) / FOLDER / "rules").glob("*.yml")):
        groups = _groups(file)
        for rule in (rule for group in groups for rule in group["rules"]):
            _add_page(rule, pages)
        meta = {"name": f"{component}-{file.stem.replace('_', '-')}", "namespace": namespace}
        body = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": meta}
        found.append({**body, "spec": {"groups": groups}})
    return found


def _groups(file: Path) -> list[Object]:
    document = yaml_io.load(file.read_text(encoding="utf-8"), str(file))
    if not isinstance(document, dict) or not document.get("groups"):
        raise KontrolError(f"Rules file '{file}' has no list 'groups'")
    return list(document["groups"])


def _add_page(rule: Object, pages: str) -> None:
    """Turn the annotation `runbook` (page#anchor) into the address of the page."""
    page = rule.get("annotations", {}).pop("runbook", "")
    if page:
        name, anchor = page.split("#")
        rule["annotations"]["runbook_url"] = f"{pages}/{name}.md#{anchor}"


def shipped(root: str, components: Iterable[str]) -> Object:
    """Return what the components ship: `targets` [{job, series}], `groups` (names of rule groups), both in order."""
    targets: list[Object] = []
    groups: list[str] = []
    for component in components:
        folder = Path(root) / "roles" / component / FOLDER
        if (folder / "targets.yml").is_file():
            document = yaml_io.load((folder / "targets.yml").read_text(encoding="utf-8"), str(folder / "targets.yml"))
            targets += document["targets"]
        for file in sorted((folder / "rules").glob("*.yml")):
            groups += [group["name"] for group in _groups(file)]
    return {"targets": targets, "groups": groups}


def alertmanager_config(urls: Mapping[str, str], receivers: list[Object], test_url: str) -> str:
    """Return Alertmanager's configuration as YAML text (JSON, which is YAML).

    Args:
        urls: Name of a receiver's secret -> the address in it.
        receivers: [{name, url_secret, severities}].
        test_url: Address of the test receiver, which gets each alert; "" when there is none.
    """
    routes = [_route(one["name"], f'severity=~"{"|".join(one["severities"])}"') for one in receivers]
    hooks = [_hook(one["name"], urls[one["url_secret"]]) for one in receivers]
    if test_url:
        routes.insert(0, _route("test", f'alertname="{DEAD_MAN}"', repeat=f"{DEAD_MAN_SECONDS}s"))
        routes.insert(1, _route("test", f'alertname!="{DEAD_MAN}"'))
        hooks.insert(0, _hook("test", test_url))
    config = {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "component", "severity"],
            "group_wait": "5s",
            "group_interval": "30s",
            "repeat_interval": "4h",
            "routes": routes,
        },
        "receivers": [{"name": "nobody"}, *hooks],
        # What pages already needs no ticket.
        "inhibit_rules": [
            {
                "source_matchers": ['severity="page"'],
                "target_matchers": ['severity="ticket"'],
                "equal": ["alertname", "component"],
            }
        ],
    }
    return json.dumps(config, indent=2)


def _route(receiver: str, matcher: str, repeat: str = "") -> Object:
    route: Object = {"receiver": receiver, "matchers": [matcher], "continue": True}
    return route | ({"repeat_interval": repeat, "group_interval": "15s"} if repeat else {})


def _hook(name: str, url: str) -> Object:
    return {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
