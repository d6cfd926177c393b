"""Rules of the block `foundation`."""

from __future__ import annotations

from typing import Final

REQUIRES: tuple[str, ...] = ("region",)

PATTERNS: Final = {
    # The rules of S3 without dots, which break the certificate of https://<bucket>.<host>.
    "backup_bucket": (
        "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$",
        "a bucket name of 3 to 63 characters (a-z, 0-9 and -, first and last not -)",
    ),
}
