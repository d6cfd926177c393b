# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove by listing that a region is gone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nothing_left
short_description: Prove by listing that a region is gone
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Lists containers and files of a region after its decommission, and fails with all that is left.
  - The records of its runs and its plans stay, they are no part of a region.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run.
    type: str
    required: true
  foundation:
    description: Whether the foundation was removed, too.
    type: bool
    required: true
attributes:
  check_mode:
    support: full
    description: Judges nothing, since nothing was removed.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: Prove that nothing is left
  kontrol.platform.nothing_left:
    region: local
    private: "{{ kontrol_private }}"
    foundation: true
"""

RETURN = r"""
kontrol_checks:
  description: A check for each kind of thing.
  type: list
  elements: dict
  returned: success
"""

# An action plugin of the same name does the work on the controller.
