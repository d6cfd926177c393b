"""Rules of the block `cluster`, and the arithmetic of networks that regions share."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region", "foundation")

NETWORKS: Final = {"pod_cidr": (8, 23), "service_cidr": (12, 24)}
"""Option -> shortest and longest prefix.

kubeadm: a service network shorter than /12 is refused. A node takes a /24 of the pod network, and an upgrade needs a
second node beside the first.
"""
PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598: what is never a public address."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the cluster's block: networks and waiting time."""
    del region
    problems = [problem for option in NETWORKS for problem in _network(option, block[option])]
    pods, services = (network(block[option]) for option in NETWORKS)
    if not problems and pods and services and pods.overlaps(services):
        message = f'The network overlaps cluster.pod_cidr "{pods}"'
        problems.append(Problem("", "cluster.service_cidr", block["service_cidr"], message))
    return [*problems, *limits.timeout("cluster", block)]


def network(text: str) -> IPv4Network | None:
    """Return the IPv4 network that a text such as 10.244.0.0/16 means, host bits ignored; None when it is none."""
    try:
        return IPv4Network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _network(option: str, text: str) -> list[Problem]:
    found = network(text)
    shortest, longest = NETWORKS[option]
    remedy = ""
    if found is None:
        message = "Expected an IPv4 network such as 10.244.0.0/16"
    elif str(found) != text:
        message, remedy = "Expected the first address of the network and its prefix length", f'did you mean "{found}"'
    elif not shortest <= found.prefixlen <= longest:
        message = f"Expected a prefix length of {shortest} to {longest}"
    elif not any(found.subnet_of(private) for private in PRIVATE):
        message = f"Expected a part of {', '.join(map(str, PRIVATE))}"
    else:
        return []
    return [Problem("", f"cluster.{option}", text, message, remedy)]
