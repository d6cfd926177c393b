"""Make, verify and remove what outlives the clusters of a region; documented in plugins/modules/foundation.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from ansible.utils.display import Display

from ansible_collections.kontrol.platform.plugins.module_utils import drill, identity, register
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import KEPT, BackupBucket, kept
from ansible_collections.kontrol.platform.plugins.module_utils.backup_store import (
    ACCESS_SECRET,
    SECRET_SECRET,
    BackupStore,
)
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import load_record
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import (
    PERSON_FILE,
    RegionRun,
    current_run,
    entry,
    keeping,
    result,
    verified,
)
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import KEY_FILE, STORE_FILE

BACKUP_BUCKET: Final = "kontrol-backups"
BACKUP_SECRETS: Final = [ACCESS_SECRET, SECRET_SECRET]


class ActionModule(KontrolAction):
    """Identity, secret store and backup store of one region."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "state": {"type": "str", "default": "present", "choices": ["present", "verified", "absent"]},
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "image": {"type": "str", "required": True},
        "bucket": {"type": "str", "default": BACKUP_BUCKET},
        "given": {"type": "list", "elements": "str", "default": []},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Dispatch on the state."""
        del task_vars
        region = RegionRun(args["region"], current_run(), Path(args["private"]), Display().display)
        if args["state"] == "verified":
            if self.check_mode:
                return {"changed": False}
            return verified("the foundation", verify(region, args["image"], args["bucket"]))
        if args["state"] == "absent":
            return self._absent(region, args["image"])
        refuse_without(region, args["given"])
        work = planned if self.check_mode else make
        return result(work(region, args["image"], args["bucket"]))

    def _absent(self, region: RegionRun, image: str) -> dict[str, Any]:
        """Remove container, backups, secrets and identity; the records of runs stay."""
        if load_record(region.folder) is not None and not self.check_mode:
            raise KontrolError(f'Region "{region.region}" still has a cluster; remove it before its foundation')
        store, source = region.backup_store(image), region.source_store(image, region.region)
        there, left = (region.docker.container(one.name) is not None for one in (store, source))
        known = identity.load(region.folder) is not None
        objects = [
            entry(f"BackupStore {region.region}", "delete" if there else "none"),
            entry(f"SecretStore {region.region}", "delete" if region.secret_store().exists() else "none"),
            entry(f"Identity {region.region}", "delete" if known else "none"),
            *([entry(f"SourceStore {region.region}", "delete")] if left else []),  # of a drill that was killed
        ]
        if not self.check_mode:
            store.remove()
            source.remove()
            shutil.rmtree(region.folder / "backups", ignore_errors=True)
            for name in (
                PERSON_FILE,
                drill.STATE_FILE,
                register.FILE,
                STORE_FILE,
                KEY_FILE,
                identity.FILE,
            ):  # the identity last: with it a killed removal goes on
                (region.folder / name).unlink(missing_ok=True)
        return result(objects)


def refuse_without(region: RegionRun, names: list[str]) -> None:
    """Refuse to go on without secrets that only a person can give. Raises KontrolError with how to give them."""
    if missing := sorted(set(names) - set(region.secret_store().names())):
        commands = " and ".join(f"`python -m tools.give_secret {region.region} {name}`" for name in missing)
        quoted = ", ".join(f'"{name}"' for name in missing)
        raise KontrolError(f"The secret store lacks {quoted}, which only you can give: run {commands}")


def planned(region: RegionRun, image: str, bucket: str = BACKUP_BUCKET) -> list[dict[str, Any]]:
    """Return what `make` would do; nothing is written."""
    store = region.secret_store()
    names = store.names()
    credentials = region.backup_credentials if set(BACKUP_SECRETS) <= set(names) else None
    return [
        entry(f"Identity {region.region}", "none" if identity.load(region.folder) else "create"),
        entry(f"SecretStore {region.region}", "none" if store.exists() else "create"),
        *(entry(f"StoredSecret {name}", "none" if name in names else "create") for name in BACKUP_SECRETS),
        _told(region.backup_store(image), credentials),
        _bucket_told(region, image, bucket, known=credentials is not None),
        *(entry(name, "update", changes=changes) for name, changes in region.stopped_registry()),
    ]


def _told(store: BackupStore, credentials: Callable[[], tuple[str, str]] | None) -> dict[str, Any]:
    verdict = store.verdict(credentials)
    return entry(f"BackupStore {store.region}", verdict, changes=store.changes() if verdict == "update" else [])


def _bucket_told(region: RegionRun, image: str, bucket: str, *, known: bool) -> dict[str, Any]:
    """Return what would be done to the bucket; of a store that does not run nobody knows."""
    name = f"BackupBucket {bucket}"
    store = region.backup_store(image)
    if not known or region.docker.container(store.name) is None:
        there = (region.folder / "backups" / "data" / bucket).is_dir()
        return entry(name, "none", "unknown") if there else entry(name, "create", "rendered")
    found = region.backup_bucket(bucket)
    return entry(name, found.verdict()) if found else entry(name, "none", "unknown")


def make(region: RegionRun, image: str, bucket: str = BACKUP_BUCKET) -> list[dict[str, Any]]:
    """Make what is missing and return what was done; a failure carries what was done before it."""
    objects: list[dict[str, Any]] = []
    store = region.secret_store()
    with keeping(objects):
        _own, new_identity = identity.ensure(region.folder, region.region, region.run)
        objects.append(entry(f"Identity {region.region}", "create" if new_identity else "none"))
        objects.append(entry(f"SecretStore {region.region}", "create" if store.create() else "none"))
        made = store.ensure_all(BACKUP_SECRETS)
        objects.extend(entry(f"StoredSecret {name}", "create" if name in made else "none") for name in BACKUP_SECRETS)
        for name, _changes in region.stopped_registry():
            region.docker.start(region.lab.registry_container)
            objects.append(entry(name, "update"))
        server, keys = region.backup_store(image), region.backup_credentials()
        objects.append(entry(f"BackupStore {region.region}", server.ensure(*keys)))
        objects.append(entry(f"BackupBucket {bucket}", BackupBucket(server.answering(), bucket, *keys).ensure()))
    return objects


def verify(region: RegionRun, image: str, bucket: str = BACKUP_BUCKET) -> list[dict[str, Any]]:
    """Return the checks of the foundation, by effect: a secret is opened, the backup store is asked."""
    try:
        opened = f"{len(region.secret_store().names())} secrets" if region.backup_credentials() else ""
    except KontrolError as error:
        opened = str(error)
    store = region.backup_store(image)
    address = store.answering()
    return [
        check("secret store opens", region.region, "secrets", opened, ok=opened.endswith("secrets")),
        check("backup store answers", store.name, "an S3 answer", address or "no answer", ok=bool(address)),
        _keeps_versions(region, bucket),
    ]


def _keeps_versions(region: RegionRun, bucket: str) -> dict[str, Any]:
    """Return the check that what was deleted from the bucket is still there for a time."""
    try:
        seen = kept(region.backup_bucket(bucket))
    except KontrolError as error:
        seen = str(error)
    return check("backup store keeps what is deleted", bucket, KEPT, seen, ok=seen == KEPT)
