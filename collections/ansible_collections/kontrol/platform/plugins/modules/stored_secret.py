# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make secrets in the region's store, once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stored_secret
short_description: Make secrets in the region's store, once
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - A secret that is there is never changed. Values are never returned; templates get them by the lookup
    P(kontrol.platform.secret#lookup).
options:
  names:
    description: Names such as V(clickhouse/admin).
    type: list
    elements: str
    required: true
  region:
    description: Name of the region; by default the variable C(region_name).
    type: str
attributes:
  check_mode:
    support: full
    description: Tells which secrets would be made.
  diff_mode:
    support: none
    description: The objects that change are listed by name, see RV(kontrol_objects).
"""

EXAMPLES = r"""
- name: Make the passwords of ClickHouse
  kontrol.platform.stored_secret:
    names:
      - clickhouse/admin
"""

RETURN = r"""
kontrol_objects:
  description: Every object looked at, with what was (in check mode, would be) done to it and how that is known.
  type: list
  elements: dict
  returned: always
  sample: [{object: Identity local, verb: create, known: server}]
"""

# An action plugin of the same name does the work on the controller.
