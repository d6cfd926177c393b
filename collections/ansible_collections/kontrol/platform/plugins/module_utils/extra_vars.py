"""What a person may decide on the command line with `-e`; all else is declared in the spec."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

EXTRA_VARS: Final = {
    "adopt": "name of the region whose cluster, made by someone else, is taken over",
    "backup": "id of the backup to restore; left out, the newest good one",
    "confirm": "name of the region that is to be destroyed",
    "database": "the one database of ClickHouse to restore",
    "kubeconfig": "file with another way into the region's own cluster",
    "fault": "what a drill breaks: pod, volume, database, namespaces or cluster",
    "into": "where the one table is restored to, as database.table, beside the live one",
    "last_backup": "`declined`: the last backup before a decommission is not taken",
    "remove_foundation": "name of the region whose backups, secrets and identity are removed with its cluster",
    "smaller": "name of the region whose next backup may hold much less than the one before",
    "source": "name of the region whose newest backup is proven",
    "store": "`second`: the region's second store is read instead of its own, by the playbooks backups and restore",
    "target": "name of the empty region into which it is restored",
    "table": "the one table of ClickHouse to restore, as database.table",
    "take_back": "managers, separated by commas, whose changes of declared fields are undone; see playbooks/drift.yml",
    "within": "most seconds that a drill waits before it breaks something",
    "plan": "hash of the plan that was reviewed and is to be carried out",
}
"""Name -> what it means; none of them is a secret, so a run's record may show their values."""
NEW_REGION: Final = {
    "region_name": "name of the new region",
    "market": "country of its market",
    "driver": "how it is made; left out, the market policy decides",
    "location": "region of the cloud; left out, the market policy decides",
    "profile": "profile that it builds on",
    "components": "its components, separated by commas; left out, all",
    "approve": "hash of the plan that was read and is to be carried out",
}
"""What the playbook new_region asks for beside them; no other playbook takes these."""


def allowed(playbooks: Iterable[str]) -> dict[str, str]:
    """Return what may be given to these playbooks, by path."""
    new = any(Path(playbook).stem == "new_region" for playbook in playbooks)
    return EXTRA_VARS | NEW_REGION if new else EXTRA_VARS
