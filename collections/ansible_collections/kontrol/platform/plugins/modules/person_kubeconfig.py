# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give a person a short-lived way into a region's cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: person_kubeconfig
short_description: Give a person a short-lived way into a region's cluster
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - Writes a kubeconfig with a token that the API server made for the ServiceAccount C(kontrol-person) and that ends by
    itself, mode 0600, below the state folder. It is never merged into another file.
  - A token and not a client certificate, because every cloud's API server gives tokens while some sign no client
    certificates, and because deleting the account ends a token at once.
options:
  region:
    description: Name of the region.
    type: str
    required: true
  seconds:
    description: How long it is valid, at least 600.
    type: int
    default: 3600
attributes:
  check_mode:
    support: full
    description: Tells where the file would be written.
  diff_mode:
    support: none
    description: The objects that change are listed by name.
"""

EXAMPLES = r"""
- name: Give a person a short-lived kubeconfig
  kontrol.platform.person_kubeconfig:
    region: local
"""

RETURN = r"""
path:
  description: Path of the kubeconfig.
  type: str
  returned: always
expires:
  description: When the token ends.
  type: str
  returned: success
"""

# An action plugin of the same name does the work on the controller.
