"""Rules of the block `foundation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import backup_store
from ansible_collections.kontrol.platform.plugins.module_utils.problems import MISSING, Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ("region",)

# The rules of S3 without dots, which break the certificate of https://<bucket>.<host>.
_BUCKET: Final = "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_NAME_OF_BUCKET: Final = "a bucket name of 3 to 63 characters (a-z, 0-9 and -, first and last not -)"
PATTERNS: Final = {
    "backup_bucket": (f"^{_BUCKET}$", _NAME_OF_BUCKET),
    "second_store.endpoint": (
        "^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?$",
        "the address of an S3 server such as https://s3.example.com, without a path",
    ),
    "second_store.bucket": (f"^({_BUCKET})?$", _NAME_OF_BUCKET),
    "second_store.region": ("^[a-z0-9-]+$", "a region of S3 such as eu-central-1"),
}
SECOND: Final = "foundation.second_store"


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the block: a second store that is named by half, or is the region's own."""
    second = block["second_store"]
    named = [name for name in ("endpoint", "bucket") if second[name]]
    if not named:
        return []
    if len(named) == 1:
        lacking = "bucket" if named == ["endpoint"] else "endpoint"
        remedy = f"give both endpoint and bucket, or leave second_store out; here is {named[0]}"
        return [Problem("", f"{SECOND}.{lacking}", MISSING, "Option is missing", f'{remedy} "{second[named[0]]}"')]
    taken = own_buckets(block, region["region"]["name"]) & second_buckets(block)
    if not taken:
        return []
    message = f'The region\'s own store at "{second["endpoint"]}" has this bucket, so nothing would be in another place'
    return [Problem("", f"{SECOND}.bucket", second["bucket"], message, "name a bucket of another store")]


def own_buckets(block: Block, region: str) -> set[str]:
    """Return the buckets of a region's own store, with their addresses."""
    return _buckets(backup_store.endpoint_of(region), block["backup_bucket"])


def second_buckets(block: Block) -> set[str]:
    """Return the buckets that a region's second store takes up, with their addresses; nothing without one."""
    second = block["second_store"]
    return _buckets(second["endpoint"], second["bucket"]) if second["bucket"] else set()


def _buckets(endpoint: str, bucket: str) -> set[str]:
    """Return a bucket and that of its locks, as addresses that can be compared."""
    return {f"{endpoint.lower()}/{name}" for name in (bucket, f"{bucket}-locks")}
