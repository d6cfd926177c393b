"""Rules of the block cluster."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.rules.cluster import network, rules

SOUND = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/16", "wait_timeout": 300}


def judged(**changed: Any) -> list[str]:
    return [str(problem) for problem in rules(SOUND | changed, {})]


@pytest.mark.parametrize(
    "changed", [{}, {"pod_cidr": "100.64.0.0/10"}, {"service_cidr": "192.168.5.0/24"}, {"wait_timeout": 3600}]
)
def test_sound(changed: dict[str, Any]) -> None:
    assert judged(**changed) == []


NOT_A_NETWORK = "Expected an IPv4 network such as 10.244.0.0/16"
NOT_PRIVATE = "Expected a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"pod_cidr": "pods"}, f'cluster.pod_cidr: {NOT_A_NETWORK}, found "pods"'),
        ({"pod_cidr": "10.0.0.1"}, f'cluster.pod_cidr: {NOT_A_NETWORK}, found "10.0.0.1"'),
        ({"pod_cidr": "10.300.0.0/16"}, f'cluster.pod_cidr: {NOT_A_NETWORK}, found "10.300.0.0/16"'),
        ({"pod_cidr": "10.0.0.0/33"}, f'cluster.pod_cidr: {NOT_A_NETWORK}, found "10.0.0.0/33"'),
        ({"pod_cidr": "fd00::/48"}, f'cluster.pod_cidr: {NOT_A_NETWORK}, found "fd00::/48"'),
        (
            {"pod_cidr": "10.244.7.0/16"},
            (
                "cluster.pod_cidr: Expected the first address of the network and its prefix length, "
                'found "10.244.7.0/16": did you mean "10.244.0.0/16"'
            ),
        ),
        (
            {"pod_cidr": "10.244.0.0/255.255.0.0"},
            (
                "cluster.pod_cidr: Expected the first address of the network and its prefix length, "
                'found "10.244.0.0/255.255.0.0": did you mean "10.244.0.0/16"'
            ),
        ),
        ({"pod_cidr": "10.1.0.0/24"}, 'cluster.pod_cidr: Expected a prefix length of 8 to 23, found "10.1.0.0/24"'),
        (
            {"service_cidr": "172.16.0.0/11"},
            (
                "cluster.service_cidr: Expected the first address of the network and its prefix length, "
                'found "172.16.0.0/11": did you mean "172.0.0.0/11"'
            ),
        ),
        (
            {"service_cidr": "10.0.0.0/8"},
            'cluster.service_cidr: Expected a prefix length of 12 to 24, found "10.0.0.0/8"',
        ),
        ({"service_cidr": "8.8.0.0/16"}, f'cluster.service_cidr: {NOT_PRIVATE}, found "8.8.0.0/16"'),
        (
            {"service_cidr": "10.244.128.0/20"},
            'cluster.service_cidr: The network overlaps cluster.pod_cidr "10.244.0.0/16", found "10.244.128.0/20"',
        ),
        ({"wait_timeout": 29}, "cluster.wait_timeout: Expected 30 to 3600 seconds, found 29"),
        ({"wait_timeout": 3601}, "cluster.wait_timeout: Expected 30 to 3600 seconds, found 3601"),
    ],
)
def test_refused(changed: dict[str, Any], line: str) -> None:
    assert judged(**changed) == [line]


def test_everything_at_once() -> None:
    assert len(judged(pod_cidr="x", service_cidr="y", wait_timeout=0)) == 3


def test_network() -> None:
    assert str(network("10.1.2.3/8")) == "10.0.0.0/8"
    assert network("10.0.0.0") is None
