# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Enter a region into the register of this machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registration
short_description: Enter a region into the register of this machine
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Keeps beside the state of a region where it is declared, which market it serves, and why it is where it is, so that
    C(status) tells it also when the market policy has changed since.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  spec:
    description: Its region.yml.
    type: str
    required: true
  market:
    description: Country of its market.
    type: str
    default: ""
  driver:
    description: How it is made.
    type: str
    required: true
  location:
    description: Region of the cloud, or C(local).
    type: str
    required: true
  reasons:
    description: What the market policy said.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Tells whether the entry would be written.
  diff_mode:
    support: none
    description: The entry is listed as an object.
"""

EXAMPLES = r"""
- name: Enter the region into the register
  kontrol.platform.registration:
    region: madrid
    spec: "{{ kontrol_spec }}"
    market: ES
    driver: kind
    location: local
"""

RETURN = r"""
kontrol_objects:
  description: The entry, with its verb.
  type: list
  elements: dict
  returned: success
"""

# An action plugin of the same name does the work on the controller.
