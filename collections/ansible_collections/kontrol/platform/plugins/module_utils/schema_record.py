"""Which schema files a database has: files on the controller against a record in the cluster.

The controller has no path to a database under STRICT, so a ConfigMap remembers what the schema Job did, together with
the uid of the volume claim: with a new volume the record does not count. The database's own version rows stay the truth
for the Job, which applies nothing twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import COMPONENT, MANAGED_BY, OWNER

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

CLAIM: Final = "claim"
SUFFIXES: Final = (".sql", ".cypher")


@dataclass(frozen=True)
class Record:
    """What was applied, file -> SHA-256, and to which volume.

    Attributes:
        name: The ConfigMap.
        namespace: Where it is.
        component: Whose schema it is.
        claim: The uid of the volume claim as it is now; empty when there is none.
        files: What counts as applied: empty when the record is about another volume.
    """

    name: str = ""
    namespace: str = ""
    component: str = ""
    claim: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, client: Client, component: str, namespace: str, claim: str) -> Record:
        """Read the record and the claim from the cluster; either may be missing."""
        root = f"/api/v1/namespaces/{namespace}"
        volume = client.find(f"{root}/persistentvolumeclaims/{claim}") or {}
        uid = str((volume.get("metadata") or {}).get("uid", ""))
        name = f"{component}-schema-record"
        data = dict((client.find(f"{root}/configmaps/{name}") or {}).get("data") or {})
        same = bool(uid) and data.pop(CLAIM, "") == uid
        return cls(name, namespace, component, uid, data if same else {})

    def write(self, client: Client, files: dict[str, str]) -> None:
        """Keep what is applied now.

        Raises:
            KontrolError: The volume claim is not there, so there is nothing that this record could be about.
        """
        if not self.claim:
            raise KontrolError(f"The volume claim of '{self.component}' in '{self.namespace}' is gone; run again")
        labels = {MANAGED_BY: OWNER, COMPONENT: self.component}
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "data": {CLAIM: self.claim, **files},
        }
        client.apply(f"/api/v1/namespaces/{self.namespace}/configmaps/{self.name}", body)


@dataclass(frozen=True)
class SchemaPlan:
    """What is to be done: the files there are and those that are missing, by name."""

    component: str
    files: dict[str, str]
    missing: list[str]

    @classmethod
    def of_folder(cls, component: str, folder: str, record: Record) -> SchemaPlan:
        """Compare a folder of `*.sql` or `*.cypher` files with the record.

        Raises:
            KontrolError: There are no files, or one that was applied has changed since.
        """
        paths = sorted(path for path in Path(folder).glob("*") if path.suffix in SUFFIXES)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        if not files:
            raise KontrolError(f"No schema files '*{SUFFIXES[0]}' or '*{SUFFIXES[1]}' in '{folder}'")
        changed = [name for name, digest in files.items() if record.files.get(name, digest) != digest]
        if changed:
            raise KontrolError(f"Schema file '{changed[0]}' differs from what was applied; add a new file instead")
        return cls(component, files, [name for name in files if name not in record.files])

    def objects(self) -> list[tuple[str, str]]:
        """Return (object, verb) of each file, in order."""
        return [
            (f"Schema {self.component}/{Path(name).stem}", "create" if name in self.missing else "none")
            for name in self.files
        ]
