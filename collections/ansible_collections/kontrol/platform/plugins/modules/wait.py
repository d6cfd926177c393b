# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wait
short_description: Wait until objects are ready
version_added: 0.1.0
description:
  - Follows many objects at once, with one deadline for all of them.
  - A Deployment, DaemonSet, StatefulSet or ReplicaSet is ready when all its pods are of the new version and available.
    With the strategy OnDelete, or below the partition of a StatefulSet, old pods are left and this is said.
  - A Job must complete; when it has failed the task fails at once. A Pod must be ready or have succeeded, a claim be
    bound, a CRD established, a Namespace active.
  - Any other object is ready when its condition Ready is true, or when it is there and has no such condition.
  - A status that its controller wrote before the newest change does not count.
  - On failure the message holds the reasons, such as the state of pods, their events and their last log lines.
options:
  component:
    description: Wait for all objects in the inventory of this component.
    type: str
  everything:
    description:
      - Wait for all objects in the inventories of all components.
      - One that is not there fails the task at once, since nothing but an apply brings it; each object that is not
        ready is a failed check.
    type: bool
  objects:
    description: Wait for these objects.
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
      field:
        description: Path of a field to wait for, such as C(status.phase), instead of the rule of the kind.
        type: str
      value:
        description: What the field must be; left out, any value will do.
        type: str
  timeout:
    description: Seconds for all objects together.
    type: int
    default: 300
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - Nothing is waited for in check mode.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Wait for the mesh
  kontrol.platform.wait:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    component: mesh
    timeout: 180

- name: Wait for a claim
  kontrol.platform.wait:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    objects:
      - api_version: v1
        kind: PersistentVolumeClaim
        namespace: clickhouse
        name: data-clickhouse-0
        field: status.phase
        value: Bound
"""

RETURN = r"""
waited:
  description: What was waited for.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: Id of the object.
      type: str
      sample: Deployment.apps istio-system/istiod
    state:
      description: One of done, waiting, failed.
      type: str
      sample: done
    note:
      description: What a person should know, or how far it is.
      type: str
      sample: "its strategy is OnDelete: pods need a manual restart to be of the new version"
    seconds:
      description: When it was last seen to change, in seconds from the start of the task.
      type: float
      sample: 3.2
"""
