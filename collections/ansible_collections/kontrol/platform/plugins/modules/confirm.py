# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stand before a verb that destroys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: confirm
short_description: Stand before a verb that destroys
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - Shows what will be hit. Refuses unless the caller gave the exact name of the region and it is not protected.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  protected:
    description: Whether the region is protected.
    type: bool
    required: true
  confirm:
    description: The name that the caller gave.
    type: str
    default: ""
  remove_foundation:
    description: The name that the caller gave to have the foundation removed, too.
    type: str
    default: ""
  last_backup:
    description: Whether the caller declined the last backup.
    type: str
    default: ""
    choices: ["", declined]
  image:
    description: Image of the backup store's server.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Shows what would be hit, and whether a run would be refused.
  diff_mode:
    support: none
    description: The objects that change are listed by name.
"""

EXAMPLES = r"""
- name: Refuse to destroy a region that the caller did not name
  kontrol.platform.confirm:
    region: local
    protected: false
    confirm: local
"""

RETURN = r"""
msg:
  description: Why it was refused.
  type: str
  returned: failure
"""

# An action plugin of the same name does the work on the controller.
