# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell of the backups of a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_table
short_description: Tell of the backups of a region
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - Shows a table of the backups per component, and hands them as checks to the report of the run.
  - Fails when a backup that was complete is damaged, and when a component has no good backup at all.
options:
  lists:
    description: What the command C(backup-list) of the tools returned, by component.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Skipped, since no store was read.
  diff_mode:
    support: none
    description: There is nothing to change.
"""

EXAMPLES = r"""
- name: Show the backups
  kontrol.platform.backup_table:
    lists:
      clickhouse:
        backups: []
        newest: ""
"""

RETURN = r"""
kontrol_lines:
  description: The table.
  returned: outside check mode
  type: list
  elements: str
kontrol_checks:
  description: A check for each backup, and one for the newest good one of each component.
  returned: outside check mode
  type: list
  elements: dict
"""

# An action plugin of the same name does the work on the controller.
