# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what of a region is not as declared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Tell what of a region is not as declared
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Makes one verdict over foundation, cluster and objects from what the tasks before told in check mode.
  - Tells for each finding the field, what is declared, what is there, and who set it as far as the API server tells.
  - Fails when there is a finding (exit code 2 of C(ansible-playbook)). Is unreachable when the look could not be taken
    to its end (exit code 4), since then nobody knows.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run, where the callback collected the verdicts.
    type: str
    required: true
  failure:
    description: Why the look ended before its end.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: The findings are the difference.
"""

EXAMPLES = r"""
- name: Tell what is not as declared
  kontrol.platform.drift:
    region: local
    private: "{{ kontrol_private }}"
"""

RETURN = r"""
drift:
  description: The findings, each a map of target, what, field, declared, seen and owner.
  type: list
  elements: dict
  returned: always
"""

# An action plugin of the same name does the work on the controller.
