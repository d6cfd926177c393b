"""What a person may decide on the command line with `-e`; all else is declared in the spec."""

from __future__ import annotations

from typing import Final

EXTRA_VARS: Final = {
    "adopt": "name of the region whose cluster, made by someone else, is taken over",
    "confirm": "name of the region that is to be destroyed",
    "kubeconfig": "file with another way into the region's own cluster",
    "take_back": "managers, separated by commas, whose changes of declared fields are undone; see playbooks/drift.yml",
    "plan": "hash of the plan that was reviewed and is to be carried out",
}
"""Name -> what it means; none of them is a secret, so a run's record may show their values."""
