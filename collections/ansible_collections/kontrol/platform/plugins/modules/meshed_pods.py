# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: meshed_pods
short_description: Look into every pod of the mesh
version_added: 0.2.0
description:
  - Finds all pods with a native sidecar, whatever made them, without those of Jobs.
  - Reads in each of them which TCP ports it really listens on (F(/proc/net/tcp) and F(/proc/net/tcp6)), whatever its
    manifest says. Ports on loopback addresses are left out, since no other host can reach them.
  - Looks for the values of the region's secrets in the environment of every process, and in the manifest. It names
    the secret, never its value. A container without a shell is judged by its manifest alone, and the check says so.
options:
  region:
    description: Name of the region whose secret store is searched for.
    type: str
    required: true
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - Nothing is read; the task is skipped.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Look into every pod of the mesh
  kontrol.platform.meshed_pods:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    region: "{{ region_name }}"
  register: looked
"""

RETURN = r"""
pods:
  description: What is known of each pod.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Namespace and name.
      type: str
      sample: clickhouse/clickhouse-0
    namespace:
      description: Namespace.
      type: str
    ip:
      description: Address.
      type: str
    ports:
      description: Ports on which it listens for others.
      type: list
      elements: int
      sample: [8123, 15006]
    declared:
      description: Container ports of its manifest, without the sidecar's.
      type: list
      elements: int
    names:
      description: Port to the host, port and protocol by which the mesh knows it.
      type: dict
      sample: {"8123": {host: clickhouse-0.clickhouse-pods.clickhouse.svc.cluster.local, port: 8123, protocol: http}}
    proxy:
      description: Image of its sidecar.
      type: str
    containers:
      description: How many containers it has that go on running.
      type: int
    unready:
      description: Which containers are not ready, and why.
      type: list
      elements: str
checks:
  description: Checks on environments and on sidecars that are not native, for M(kontrol.platform.checks).
  returned: always
  type: list
  elements: dict
"""
