# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what there is of a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: region_status
short_description: Tell what there is of a region
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - What exists, who writes, and what the last run left. Works when the cluster is gone or does not answer.
  - Reads only, takes neither lock nor Lease. The report of a last run that was killed is made now from its journal, but
    not in check mode.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  image:
    description: Image of the backup store's server.
    type: str
    default: ""
  bucket:
    description: Bucket of the backups; nothing is told of it when it is not given.
    type: str
    default: ""
  components:
    description: The components that the region declares.
    type: list
    elements: str
    default: []
  description:
    description: One line for people.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: There is nothing to change.
  diff_mode:
    support: none
    description: The objects that change are listed by name.
"""

EXAMPLES = r"""
- name: Read what there is of this region
  kontrol.platform.region_status:
    region: local
    components: [mesh, clickhouse]
"""

RETURN = r"""
status:
  description: One line for each part of the region.
  type: dict
  returned: always
  sample: {cluster: kontrol-local is running, writer: nobody}
"""

# An action plugin of the same name does the work on the controller.
