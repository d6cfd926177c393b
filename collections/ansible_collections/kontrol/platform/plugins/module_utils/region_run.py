"""What one run works with in one region: its state folder, its private folder, the tools, the driver, the stores."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, state
from ansible_collections.kontrol.platform.plugins.module_utils.artifacts import LabFacts, load_lab
from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import BackupBucket
from ansible_collections.kontrol.platform.plugins.module_utils.backup_store import (
    ACCESS_SECRET,
    SECRET_SECRET,
    BackupStore,
)
from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.kind import KindDriver
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.lease import Holder
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUN: Final = "KONTROL_RUN"
MAIN_PID: Final = "KONTROL_MAIN_PID"
PLAYBOOK: Final = "KONTROL_PLAYBOOK"
STARTED: Final = "KONTROL_STARTED"
PERSON: Final = "KONTROL_PERSON"
"""Whether a person sits before this run, who can be asked: "yes" or "no"."""
PERSON_FILE: Final = "kubeconfig"
CALLBACK_REMEDY: Final = (
    "activate the project's environment, it exports ANSIBLE_CONFIG; that ansible.cfg enables the callback"
)


@dataclass
class RegionRun:
    """One run in one region.

    Attributes:
        region: Name of the region.
        run: Id of the run, "" for a reader outside of any run.
        private: The run's private folder.
        say: Shows a line of progress.
        runner: Runs programs.
    """

    region: str
    run: str
    private: Path
    say: Callable[[str], None] = lambda _line: None
    runner: process.Runner = field(default=process.run)

    @property
    def folder(self) -> Path:
        """State folder of the region."""
        return paths.region_state(self.region)

    @property
    def lock_file(self) -> Path:
        """Lock file of the region, held by the warden of the writing run."""
        return self.folder / "lock"

    @cached_property
    def lab(self) -> LabFacts:
        """What `make local` left of tools, images and settings."""
        return load_lab(paths.lab_file()) or LabFacts(mode="online")

    @cached_property
    def docker(self) -> Docker:
        """The Docker engine."""
        return Docker(process.find_tool("docker", self.lab.tools), self.runner)

    def driver(self, image: str = "") -> KindDriver:
        """Return the driver of the region's cluster; `image` is the pinned node image."""
        return KindDriver(
            region=self.region,
            folder=self.folder,
            scratch=self.private,
            program=process.find_tool("kind", self.lab.tools),
            image=self._node_image(image),
            docker=self.docker,
            runner=self.runner,
            overlay=self.lab.kind_config,
            say=self.say,
        )

    def secret_store(self) -> SecretStore:
        """Return the region's secret store."""
        return SecretStore(self.folder, self.runner)

    def backup_store(self, image: str) -> BackupStore:
        """Return the region's backup store; `image` is the pinned image of its server."""
        return BackupStore(self.region, self.folder, self.private, self.pulled_from(image), self.docker)

    def source_store(self, image: str, source: str) -> BackupStore:
        """Return a server that lets this region read the backups of another one, and nothing more."""
        folder = paths.region_state(source)
        return BackupStore(self.region, folder, self.private, self.pulled_from(image), self.docker, borrowed=True)

    def backup_credentials(self) -> tuple[str, str]:
        """Return access key and secret key of the backup store."""
        store = self.secret_store()
        return store.get(ACCESS_SECRET), store.get(SECRET_SECRET)

    def backup_bucket(self, name: str) -> BackupBucket | None:
        """Return the bucket of the backups on the store's loopback address; None when no store answers."""
        address = self.backup_store("").answering()
        return BackupBucket(address, name, *self.backup_credentials()) if address else None

    def stopped_registry(self) -> list[tuple[str, list[dict[str, str]]]]:
        """Return (object, changes) of the registry that the nodes here pull from, where it is there and stopped."""
        name = self.lab.registry_container
        found = self.docker.container(name) if name else None
        status = str((found or {}).get("State", {}).get("Status", ""))
        if not status or status == "running":
            return []
        return [(f"Registry {name}", [{"path": "state", "before": status, "after": "running"}])]

    def pulled_from(self, image: str) -> str:
        """Return the reference under which this machine's engine gets an image: where there is a lab, its registry."""
        if not self.lab.active or not image:
            return image
        host, _, path = image.partition("/")
        is_host = "." in host or ":" in host or host == "localhost"
        return f"{self.lab.registry}/{path if is_host else image}"

    def _node_image(self, image: str) -> str:
        """Return the node image; one built on this machine has a name but no digest that the engine would know."""
        tag = image.partition("@")[0]
        if self.lab.active and image != tag and not self.docker.has_image(image):
            return tag
        return image


def current_run() -> str:
    """Return the id of the run that this process belongs to.

    Raises:
        KontrolError: when the callback that makes it is not active: nothing would be journalled or killed.
    """
    run = os.environ.get(RUN, "")
    if not run or not os.environ.get(MAIN_PID):
        raise KontrolError(f'Callback "kontrol.platform.run" is not active; {CALLBACK_REMEDY}')
    return run


def current_holder(region: str) -> Holder:
    """Return who this run is, for the lock and the Lease."""
    return Holder(
        run=current_run(),
        region=region,
        playbook=os.environ.get(PLAYBOOK, Path(sys.argv[0]).name),
        pid=int(os.environ[MAIN_PID]),
        host=socket.gethostname(),
        started=os.environ.get(STARTED, state.now()),
    )


def entry(object_id: str, verb: str, known: str = "server", **more: Any) -> dict[str, Any]:
    """Return one line of a task's kontrol_objects; `changes` tells a plan what would change, see kube/planned.py."""
    return {"object": object_id, "verb": verb, "known": known, **more}


def verified(what: str, checks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of a task that checked something.

    Raises:
        KontrolError: when a check failed, or there was none; the checks are part of its result.
    """
    red = [
        f"{one['check']}: {one['target']}: expected {one['expected']}, seen {one['seen']}"
        for one in checks
        if not one["ok"]
    ]
    if red or not checks:
        text = "; ".join(red) or "no check was made"
        raise KontrolError(f"Verify of {what} failed: {text}", {"kontrol_checks": checks})
    return {"changed": False, "kontrol_checks": checks}


@contextmanager
def keeping(objects: list[dict[str, Any]]) -> Iterator[None]:
    """Let a failure carry what was done before it, so that the run's record tells of it."""
    try:
        yield
    except KontrolError as error:
        error.result = {**result(objects), **error.result}
        raise


def result(objects: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a task's result: changed is what its objects say."""
    return {"changed": any(one["verb"] != "none" for one in objects), "kontrol_objects": objects, **more}
