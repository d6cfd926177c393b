# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: volume
short_description: Make the volumes of a StatefulSet as large as declared
version_added: 0.1.0
description:
  - Compares the declared size with the volume claims of one claim template of a StatefulSet.
  - Where they are smaller and their StorageClass allows expansion, they are made to ask for more.
    The StatefulSet is then deleted without its pods (propagation C(Orphan)), because its claim template cannot be
    changed; the next M(kontrol.platform.apply) makes it again and it takes over the pods that run.
  - What cannot be done is an error with a way out, namely a smaller size, or a class that does not allow expansion.
  - After a run that was killed in the middle the same task does the rest.
options:
  namespace:
    description: Namespace of the StatefulSet.
    type: str
    required: true
  stateful_set:
    description: Its name. That it is not there is no error.
    type: str
    required: true
  template:
    description: Name of its claim template; the claims are named C(<template>-<stateful_set>-<number>).
    type: str
    required: true
  size:
    description: The declared size, such as V(20Gi).
    type: str
    required: true
  option:
    description: The option of the spec that holds the size, for messages.
    type: str
    required: true
  recreate:
    description: V(false) where an operator makes the StatefulSet, and makes it again by itself.
    type: bool
    default: true
  timeout:
    description: Seconds until the StatefulSet must be gone.
    type: int
    default: 60
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Make the volume as large as declared
  kontrol.platform.volume:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    namespace: clickhouse
    stateful_set: clickhouse
    template: data
    size: "{{ clickhouse_storage }}"
    option: clickhouse.storage
"""

RETURN = r"""
recreated:
  description: The StatefulSet where it was, or in check mode would be, deleted; for M(kontrol.platform.apply).
  returned: always
  type: list
  elements: str
  sample: [StatefulSet.apps clickhouse/clickhouse]
kontrol_objects:
  description: One entry per claim, and one for the StatefulSet when it is made again, with object, verb and known.
  returned: always
  type: list
  elements: dict
"""
