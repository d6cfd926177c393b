# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Begin a run in a region and prove its cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session
short_description: Begin a run in a region and prove its cluster
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - V(begin) makes the private folder of the run, takes the region's lock and starts the warden, a process that outlives
    the run to clean up behind it.
  - V(prove) compares the identity in the state folder, the one that the cluster carries, and the address and CA that
    the driver reads and recorded. Only when all agree it writes the private kubeconfig of the run and takes the Lease.
  - In check mode no lock and no Lease are taken, and nothing is written but the private folder, which goes away with
    the run.
options:
  verb:
    description: The step.
    type: str
    required: true
    choices: [begin, prove]
  region:
    description: Name of the region.
    type: str
    required: true
  private:
    description: Private folder of the run; needed by V(prove).
    type: str
  kubeconfig:
    description:
      - File whose current context is the way into the cluster, proven like the driver's own.
      - Without it the driver's own is used. The environment is never looked at.
    type: str
    default: ""
  adopt:
    description: Name of this region, to claim a cluster that carries no identity.
    type: str
    default: ""
  artifacts:
    description: Resolved artifacts; the report lists those that deviate from their pins.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Proves in the same way, takes nothing.
  diff_mode:
    support: none
    description: The objects that change are listed by name.
"""

EXAMPLES = r"""
- name: Begin the run in this region
  kontrol.platform.session:
    verb: begin
    region: local
  register: session

- name: Prove the cluster
  kontrol.platform.session:
    verb: prove
    region: local
    private: "{{ session.private }}"
"""

RETURN = r"""
private:
  description: Private folder of the run, removed at its end.
  type: str
  returned: O(verb=begin)
kubeconfig:
  description: Path of the private kubeconfig; "" in check mode when there is no running cluster.
  type: str
  returned: O(verb=prove)
"""

# An action plugin of the same name does the work on the controller.
