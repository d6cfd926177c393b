"""Copies of what is kept of runs, in the backup store: a lost controller does not lose its history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import identity, run_record, run_report
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import BackupBucket

FILES: Final = (
    run_report.JOURNAL,
    run_record.RECORD,
    run_report.REPORT,
    run_report.HTML,
    run_report.JUNIT,
)
LOOK_BACK: Final = 20
"""How many runs back a copy is made up for: of runs that were killed, or whose store did not answer."""


def keep(region: str, bucket: str) -> str:
    """Copy what the last runs of a region left to its backup store; return what to tell, "" when all is well.

    A region without a foundation, before its first bootstrap or after its end, has no store. That a copy cannot be
    made is no reason for a run to fail: the next one makes up for it.
    """
    run = RegionRun(region, "", Path())
    if not bucket or identity.load(run.folder) is None:
        return ""
    try:
        found = run.backup_bucket(bucket)
        if found is None:
            return _missing(run, "the backup store does not answer")
        copy(run.folder / "runs", found, region)
    except (KontrolError, OSError) as error:
        return _missing(run, str(error))
    return ""


def _missing(run: RegionRun, why: str) -> str:
    return (
        f"not copied to the backup store: {why}; the next run tries again, until then it is in {run.folder}/runs only"
    )


def copy(runs: Path, bucket: BackupBucket, region: str) -> int:
    """Copy what differs in size; return how many files that were. Raises BackupBucketError and OSError."""
    prefix = f"runs/{region}/"
    there = bucket.sizes(prefix)
    folders = sorted(runs.glob("*Z-*"), reverse=True)[:LOOK_BACK]
    files = [folder / name for folder in folders for name in FILES if (folder / name).is_file()]
    missing = {f"{prefix}{file.parent.name}/{file.name}": file for file in files}
    behind = {key: file for key, file in missing.items() if there.get(key) != file.stat().st_size}
    for key, file in behind.items():
        bucket.put(key, file)
    return len(behind)
