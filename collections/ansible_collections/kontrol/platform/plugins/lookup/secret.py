# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look up a secret of the region's store, for use inside templates only."""

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: A secret of the region's store
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - Returns the value of a secret that M(kontrol.platform.stored_secret) made.
  - Use it inside the templates of M(kontrol.platform.apply) only. A value that goes into a variable, a fact or a task
    argument can be shown by Ansible.
  - In check mode a secret that is not made yet is the text C(__KONTROL_UNKNOWN__), which the engine reports as unknown.
options:
  _terms:
    description: Names such as V(clickhouse/admin).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
# In a template of a role:
# stringData:
#   password: "{{ lookup('kontrol.platform.secret', 'clickhouse/admin') }}"
"""

RETURN = r"""
_raw:
  description: The values, in the order of the names.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import UNKNOWN, SecretStore


class LookupModule(LookupBase):
    """Reads the store of the region whose host is being worked on."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return one value per name."""
        del kwargs
        known = variables or {}
        if not known.get("region_name"):
            raise AnsibleLookupError(
                "No variable region_name is there, so no secret store is known; use it for a region"
            )
        store = SecretStore(paths.region_state(str(known["region_name"])), process.run)
        made = set(store.names())
        if (known.get("ansible_check_mode") or known.get("kontrol_check")) and not made.issuperset(map(str, terms)):
            return [store.get(str(term)) if term in made else UNKNOWN for term in terms]
        try:
            return [store.get(str(term)) for term in terms]
        except KontrolError as error:
            raise AnsibleLookupError(str(error)) from error
