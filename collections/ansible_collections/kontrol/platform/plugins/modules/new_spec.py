# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the spec of a new region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: new_spec
short_description: Write the spec of a new region
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Writes C(<inventories>/<name>/region.yml) once, with networks that overlap no other region and with the driver and
    location that the market policy decided on. A spec that is there is left as it is; where it says otherwise than the
    arguments, the task fails.
  - Judges the spec before it is there. With any problem nothing is written.
  - One run at a time chooses a name and networks.
options:
  name:
    description: Name of the region.
    type: str
    required: true
  market:
    description: Country of its market, as ISO 3166-1 code.
    type: str
    default: ""
  driver:
    description: How it is made. The market policy decides where nothing is said.
    type: str
    default: ""
  location:
    description: Region of the cloud. The market policy decides where nothing is said.
    type: str
    default: ""
  profile:
    description: Profile that it builds on.
    type: str
    default: ""
  components:
    description: Components, separated by commas. All that there are where nothing is said.
    type: str
    default: ""
  sources:
    description: The inventory sources of the command, of which there must be one, a folder of regions.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Shows the spec that would be written.
  diff_mode:
    support: none
    description: The spec is shown as a whole.
"""

EXAMPLES = r"""
- name: Declare a region for Spain on this machine
  kontrol.platform.new_spec:
    name: madrid
    market: ES
    driver: kind
    profile: development
    sources: "{{ ansible_inventory_sources }}"
"""

RETURN = r"""
file:
  description: The region.yml.
  type: str
  returned: success
"""

# An action plugin of the same name does the work on the controller.
