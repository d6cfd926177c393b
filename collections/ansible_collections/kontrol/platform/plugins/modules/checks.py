# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: checks
short_description: Hand the checks of a verify to the report and fail when one is red
version_added: 0.1.0
description:
  - The run's report and the table on the screen are made from what this task returns.
  - No check at all is a failure, too.
options:
  component:
    description: Name of the component that was verified.
    type: str
    required: true
  checks:
    description: The checks.
    type: list
    elements: dict
    required: true
    suboptions:
      check:
        description: What was asked.
        type: str
        required: true
      target:
        description: Of what it was asked.
        type: str
        required: true
      expected:
        description: What must be seen.
        type: str
        required: true
      seen:
        description: What was seen.
        type: str
        required: true
      ok:
        description: Whether that is good.
        type: bool
        required: true
      owner:
        description: Who answers for an exception.
        type: str
      reason:
        description: Why there is an exception.
        type: str
attributes:
  action:
    description: Runs on the controller as an action plugin; no module is transferred.
    support: full
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - Nothing was probed, so nothing is judged; the task is skipped.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Judge
  kontrol.platform.checks:
    component: clickhouse
    checks:
      - {check: rows written and read back, target: clickhouse, expected: equal, seen: equal, ok: true}
"""

RETURN = r"""
kontrol_checks:
  description: The checks.
  returned: outside check mode
  type: list
  elements: dict
"""
