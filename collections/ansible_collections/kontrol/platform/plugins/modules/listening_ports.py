# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: listening_ports
short_description: Read which TCP ports pods really listen on
version_added: 0.1.0
description:
  - Reads the kernel's tables (F(/proc/net/tcp) and F(/proc/net/tcp6)) in each running pod, whatever its manifest says.
  - Ports on loopback addresses are left out, since no other host can reach them.
options:
  namespace:
    description: Namespace of the pods.
    type: str
    required: true
  label_selector:
    description: Labels of the pods; that no running pod has them is an error.
    type: str
    required: true
  container:
    description: A container with the program C(cat); all containers of a pod share the tables.
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
- name: Read the ports of a database
  kontrol.platform.listening_ports:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    namespace: clickhouse
    label_selector: app.kubernetes.io/name=clickhouse
    container: clickhouse
"""

RETURN = r"""
pods:
  description: Name, address and ports of each pod.
  returned: always
  type: list
  elements: dict
  sample: [{name: clickhouse-0, ip: 10.244.0.9, ports: [8123, 9363, 15006]}]
"""
