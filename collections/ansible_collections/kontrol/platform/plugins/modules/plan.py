# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the plan of what was looked at, and hold it against one that was reviewed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Make the plan of a region
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - Makes one plan of the verdicts that the tasks before gave in check mode (keyword C(check_mode)), with one hash.
  - Writes it as JSON, Markdown and HTML below the state folder of the region, C(plans/<hash>/), and shows it.
  - With O(reviewed) it writes nothing, and fails unless every step is in the reviewed plan with the same values.
    A value that was not known then may be known now; a step that is true by now may be missing.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run, where the callback collected the verdicts.
    type: str
    required: true
  protected:
    description: Whether the region is protected.
    type: bool
    required: true
  reviewed:
    description: Hash of the plan that was reviewed, or at least its first 8 digits.
    type: str
    default: ""
  failure:
    description: Why the look ended before its end. The plan is written and shown, and the task fails.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Works in check mode; it writes nothing but the plan.
  diff_mode:
    support: none
    description: The plan is the difference.
"""

EXAMPLES = r"""
- name: Make the plan
  kontrol.platform.plan:
    region: local
    private: "{{ kontrol_private }}"
    protected: false
"""

RETURN = r"""
hash:
  description: Hash of the plan.
  type: str
  returned: success
"""

# An action plugin of the same name does the work on the controller.
