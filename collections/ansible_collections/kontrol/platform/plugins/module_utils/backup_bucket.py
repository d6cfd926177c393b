"""The bucket of a region's backups, as the controller sees it: on the loopback address of the backup store."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.tools_package import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION: Final = "us-east-1"
"""Of the signature: versitygw's own."""
KEPT: Final = "keeps versions"
_SEEN: Final = {"none": KEPT, "update": "keeps no versions; run bootstrap", "create": "is not there; run bootstrap"}
"""What is seen of a bucket, by what `ensure` would do to it."""


class BackupBucketError(KontrolError):
    """The backup store does not do what it was asked; the text never holds a key."""


@dataclass(frozen=True)
class BackupBucket:
    """One bucket.

    Attributes:
        address: Loopback address of the store.
        name: Name of the bucket.
        access: Access key.
        secret: Secret key.
    """

    address: str
    name: str
    access: str
    secret: str

    @property
    def _store(self) -> Any:
        return tool("s3").Store(self.address, REGION, self.access, self.secret)

    def verdict(self) -> str:
        """Return what `ensure` would do: create, update or none. Raises BackupBucketError."""
        with _told():
            kept = tool("s3").keeps_versions(self._store, self.name)
        if kept is None:
            return "create"
        return "none" if kept else "update"

    def ensure(self) -> str:
        """Make the bucket keep what is written over or deleted; return the verdict. Raises BackupBucketError."""
        verdict = self.verdict()
        with _told():
            if verdict == "create":
                tool("s3").ensure_bucket(self._store, self.name)
            if verdict != "none":
                tool("s3").keep_versions(self._store, self.name)
        return verdict

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of each key that begins with a prefix. Raises BackupBucketError."""
        with _told():
            return dict(tool("s3").sizes(self._store, self.name, prefix))

    def put(self, key: str, file: Path) -> None:
        """Store a file. Raises BackupBucketError."""
        with _told():
            tool("s3").put_file(self._store, self.name, key, file)


def kept(bucket: BackupBucket | None) -> str:
    """Return what is seen of a bucket: KEPT, or what is wrong. Raises BackupBucketError."""
    return _SEEN[bucket.verdict()] if bucket else "does not answer"


@contextmanager
def _told() -> Iterator[None]:
    """Tell what the client says in the words of the controller."""
    try:
        yield
    except tool("errors").ToolError as error:
        raise BackupBucketError(str(error)) from error
