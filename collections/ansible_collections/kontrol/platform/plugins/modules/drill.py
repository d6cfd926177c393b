# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lead a recovery drill."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Lead a recovery drill
version_added: 0.2.0
author: KONTROL (@kontrol)
description:
  - One step of a drill of the role C(drill). What each step finds is kept in the region's state folder before the next
    begins, so that C(status) and the next drill know what a killed one has left.
  - In check mode only V(confirm) does anything; it tells what would be broken.
options:
  verb:
    description:
      - V(confirm) shows what will be broken, and refuses a region that is protected or was not named.
      - V(begin) begins a drill and tells what an earlier one has left; V(mended) notes that this was put right,
        V(settled) that a person has done so outside of a drill, and ends what the earlier one let run.
      - V(source) lets a sandbox read the backups of another region, and returns that store.
      - V(phase) writes down that a phase begins, before it does.
      - V(note) keeps what was found; in the phase V(precheck) it refuses to go on where nothing could be proven.
      - V(canaries) starts the Jobs that write canaries, and hears them; V(still) stops them.
      - V(break) does the damage of a fault through the API server.
      - V(failed) keeps in which phase the drill failed, and why.
      - V(conclude) judges the evidence, writes result, page and history, and fails where the verdict is red.
    type: str
    required: true
    choices: [confirm, begin, mended, settled, source, phase, note, canaries, still, break, failed, conclude]
  region:
    description: Name of the region.
    type: str
    required: true
  kubeconfig:
    description: Path of the run's kubeconfig; empty where there is no cluster.
    type: str
    default: ""
  protected:
    description: Whether the region is protected.
    type: bool
    default: true
  confirm:
    description: The name that the caller gave.
    type: str
    default: ""
  mode:
    description: V(practice) breaks and restores a region, V(prove) restores another region's backup into an empty one.
    type: str
    choices: [practice, prove]
    default: practice
  fault:
    description: What is broken, see docs/runbooks/dr_drill.md.
    type: str
    default: ""
  within:
    description: Most seconds to wait before the fault; the moment is drawn.
    type: float
    default: 30.0
  targets:
    description: Targets in seconds, C(rto) and C(rpo).
    type: dict
    default: {}
  components:
    description: The region's components, for V(confirm).
    type: list
    elements: str
    default: []
  databases:
    description: Components that hold data.
    type: list
    elements: str
    default: []
  phase:
    description: The phase that begins.
    type: str
    default: ""
  notes:
    description: Parts of the evidence by name.
    type: dict
    default: {}
  lists:
    description: Lists of backups by database, as the tools' command backup-list answers.
    type: dict
    default: {}
  jobs:
    description: Jobs that write canaries by database, as O(kontrol.platform.job#module:jobs) takes them.
    type: dict
    default: {}
  message:
    description: Why a phase failed.
    type: str
    default: ""
  source:
    description: Region whose backup is proven.
    type: str
    default: ""
  bucket:
    description: Bucket of its backups.
    type: str
    default: ""
  image:
    description: Image of the store's server.
    type: str
    default: ""
  private:
    description: Private folder of the run.
    type: str
    default: ""
attributes:
  check_mode:
    support: partial
    description: It breaks nothing and keeps nothing.
  diff_mode:
    support: none
    description: There is nothing to compare.
"""

EXAMPLES = r"""
- name: Begin a phase
  kontrol.platform.drill:
    verb: phase
    phase: restore
    region: local
"""

RETURN = r"""
drill:
  description: The evidence so far; of V(conclude) the result, whose form module_utils/drill_view.py tells.
  type: dict
  returned: success
backups:
  description: Ids of the backups that are restored, by database.
  type: dict
  returned: for most verbs
store:
  description: The store of the source as the databases' roles take it; C(endpoint), C(bucket), C(access), C(secret).
  type: dict
  returned: for V(source)
databases:
  description: Those of O(components) that a drill can lose and bring back.
  type: list
  returned: for V(confirm)
parts:
  description: Verbs of the role C(drill) that the drill is made of, in their order.
  type: list
  returned: for V(confirm)
destroys:
  description: Whether the fault loses data, so that it must be restored.
  type: bool
  returned: for V(confirm)
rebuilds:
  description: Whether the fault loses parts of the region that must be made anew before.
  type: bool
  returned: for V(confirm)
through_api:
  description: Whether V(break) does the damage; otherwise the role does.
  type: bool
  returned: for V(confirm)
mend:
  description: What an earlier drill has left to do, C(restore), C(deploy) or nothing.
  type: str
  returned: for V(begin)
"""

# An action plugin of the same name does the work on the controller.
