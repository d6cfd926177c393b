# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make, verify or remove what outlives the clusters of a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: foundation
short_description: Make, verify or remove what outlives the clusters of a region
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - The identity of the region, its secret store (SOPS with an age key) and its backup store (an S3 server beside kind),
    all below C(XDG_STATE_HOME/kontrol/<region>).
options:
  state:
    description: V(present) makes it, V(verified) checks it by its effects, V(absent) removes it.
    type: str
    choices: [present, verified, absent]
    default: present
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run, from M(kontrol.platform.session).
    type: str
    required: true
  image:
    description: Image of the backup store's server.
    type: str
    required: true
  bucket:
    description: Bucket of the backups; it keeps what is deleted or written over until a backup purges it.
    type: str
    default: kontrol-backups
  given:
    description: Names of secrets that only a person can give; without one of them nothing is made.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: none
    description: The objects that change are listed by name, see RV(kontrol_objects).
"""

EXAMPLES = r"""
- name: Make identity, secret store and backup store
  kontrol.platform.foundation:
    region: local
    private: "{{ kontrol_private }}"
    image: docker.io/versity/versitygw:v1.8.0
"""

RETURN = r"""
kontrol_objects:
  description: Every object looked at, with what was (in check mode, would be) done to it and how that is known.
  type: list
  elements: dict
  returned: always
  sample: [{object: Identity local, verb: create, known: server}]
kontrol_checks:
  description: What was checked, what was expected and what was seen.
  type: list
  elements: dict
  returned: O(state=verified)
"""

# An action plugin of the same name does the work on the controller.
