# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: read
short_description: Read objects of the cluster
version_added: 0.1.0
description:
  - Returns the objects of one kind, all of them, those with a label, or one.
  - Of a Secret only the names of its keys are returned, never a value.
options:
  api_version:
    description: API version.
    type: str
    required: true
  kind:
    description: Kind.
    type: str
    required: true
  namespace:
    description: Namespace; empty for all of them, or for what lives in none.
    type: str
    default: ""
  name:
    description: Name of one object. That it does not exist is no error.
    type: str
    default: ""
  label_selector:
    description: Labels that the objects must carry, as in C(app=clickhouse,tier!=test).
    type: str
    default: ""
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
- name: Read the pods of the database
  kontrol.platform.read:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    api_version: v1
    kind: Pod
    namespace: clickhouse
    label_selector: app=clickhouse
  register: __clickhouse_pods
"""

RETURN = r"""
resources:
  description: The objects, without the book-keeping of field managers.
  returned: always
  type: list
  elements: dict
"""
