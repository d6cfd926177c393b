# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: delete
short_description: Delete objects of the cluster
version_added: 0.1.0
description:
  - Deletes objects in the reverse order of M(kontrol.platform.apply), so that controllers outlive what they must clean
    up, and waits until they are gone.
  - When they do not go, the message lists the finalizers that hold them, what a namespace still contains and the APIs
    that do not answer. Finalizers are never removed.
  - When the kubeconfig carries the mark of a run, the Lease of that run is checked before each wave.
options:
  component:
    description: Delete all objects in the inventory of this component, as far as they carry its label.
    type: str
  objects:
    description: Delete these objects. That one does not exist is no error.
    type: list
    elements: dict
    suboptions:
      api_version:
        description: API version.
        type: str
        required: true
      kind:
        description: Kind.
        type: str
        required: true
      namespace:
        description: Namespace; empty for what lives in none.
        type: str
        default: ""
      name:
        description: Name.
        type: str
        required: true
  include_data:
    description:
      - Also delete what holds data or takes it along, namely Namespaces, PersistentVolumes, PersistentVolumeClaims,
        CRDs, StatefulSets and Secrets.
      - Without it such objects of a component are kept and stay in its inventory; named one by one they are an error.
    type: bool
    default: false
  propagation:
    description: V(Foreground) deletes dependents first, V(Background) after.
    type: str
    choices: [Foreground, Background]
    default: Foreground
  wait:
    description: Wait until the objects are gone.
    type: bool
    default: true
  timeout:
    description: Seconds for all of it.
    type: int
    default: 120
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Remove the database with its data
  kontrol.platform.delete:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    component: clickhouse
    include_data: true
    timeout: 300
"""

RETURN = r"""
kontrol_objects:
  description: What was, or in check mode would be, deleted.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: Id of the object.
      type: str
      sample: Service clickhouse/clickhouse
    verb:
      description: One of delete, none (it was not there).
      type: str
      sample: delete
    known:
      description: Always server.
      type: str
      sample: server
kept:
  description: Objects of the component that were not deleted.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: Id of the object.
      type: str
      sample: Secret clickhouse/admin
    reason:
      description: Why it was kept.
      type: str
      sample: holds data; include_data deletes it
"""
