# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide on the last backup of a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: last_backup
short_description: Decide on the last backup of a region
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Tells which components are backed up before the cluster of a region is removed.
  - Refuses where the cluster is there but does not run, and where it was lost, unless the last backup was declined.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run.
    type: str
    required: true
  components:
    description: Components of the region.
    type: list
    elements: str
    required: true
  declined:
    description: Whether the caller declined it.
    type: bool
    required: true
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: See whether there is something to back up
  kontrol.platform.last_backup:
    region: local
    private: "{{ kontrol_private }}"
    components: [mesh, clickhouse]
    declined: false
"""

RETURN = r"""
needed:
  description: Whether a backup is taken.
  type: bool
  returned: success
components:
  description: The components that are backed up.
  type: list
  elements: str
  returned: success
"""

# An action plugin of the same name does the work on the controller.
