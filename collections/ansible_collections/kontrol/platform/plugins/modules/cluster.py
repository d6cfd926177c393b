# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make, verify or delete the cluster of a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Make, verify or delete the cluster of a region
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - What the driver reads is the truth. A cluster that is gone is made again, one that is stopped is started, one that a
    killed run left half made is deleted and made again.
  - A cluster that this region did not make is refused, unless O(adopt) names the region.
options:
  state:
    description: V(present) makes it, V(verified) checks it by its effects, V(absent) removes it.
    type: str
    choices: [present, verified, absent]
    default: present
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run, from M(kontrol.platform.session).
    type: str
    required: true
  image:
    description: Node image; needed by O(state=present).
    type: str
    default: ""
  pod_cidr:
    description: Network of the pods; needed by O(state=present), and cannot be changed later.
    type: str
  service_cidr:
    description: Network of the services; needed by O(state=present), and cannot be changed later.
    type: str
  kubeconfig:
    description: Private kubeconfig of the run; needed by O(state=verified).
    type: str
    default: ""
  timeout:
    description: Seconds until a cluster that was made or started must answer, and its nodes be ready.
    type: int
    default: 300
  adopt:
    description: Name of this region, to take over a cluster that it did not make.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: none
    description: The objects that change are listed by name, see RV(kontrol_objects).
"""

EXAMPLES = r"""
- name: Make the cluster
  kontrol.platform.cluster:
    region: local
    private: "{{ kontrol_private }}"
    image: kindest/node:v1.34.4
    pod_cidr: 10.244.0.0/16
    service_cidr: 10.96.0.0/16
"""

RETURN = r"""
kontrol_objects:
  description: Every object looked at, with what was (in check mode, would be) done to it and how that is known.
  type: list
  elements: dict
  returned: always
  sample: [{object: Identity local, verb: create, known: server}]
kontrol_checks:
  description: What was checked, what was expected and what was seen.
  type: list
  elements: dict
  returned: O(state=verified)
"""

# An action plugin of the same name does the work on the controller.
