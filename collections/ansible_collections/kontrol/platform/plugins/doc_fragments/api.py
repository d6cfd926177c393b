# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation shared by the plugins that talk to the API server."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and promises of the group kontrol.platform.api."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of the kubeconfig of this run.
        Known are a client certificate, a token, and an exec helper with an absolute path; anything else is an error.
      - Empty means that the cluster does not exist yet, which is allowed in check mode only.
      - The caller's environment (E(KUBECONFIG)) and F(~/.kube) are never read.
    type: str
    required: true
attributes:
  action:
    description: Runs on the controller as an action plugin; no module is transferred.
    support: full
  action_group:
    description: Use C(group/kontrol.platform.api) in C(module_defaults) to set defaults for this module.
    support: full
    membership: [kontrol.platform.api]
  async:
    description: Supports being used with the C(async) keyword.
    support: none
"""
