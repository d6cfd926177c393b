"""The local backup store: an S3 server (versitygw) in a container beside kind, its data in the state folder."""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.docker import NETWORK
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker

PORT: Final = 7070
CONFIG_LABEL: Final = "kontrol.dev/config"
REGION_LABEL: Final = "kontrol.dev/region"
ACCESS_SECRET: Final = "backup-store/access-key"  # noqa: S105 - the name of a secret
SECRET_SECRET: Final = "backup-store/secret-key"  # noqa: S105 - the name of a secret
UNPRIVILEGED: Final = 65532
START_SECONDS: Final = 20.0


def host_of(region: str, *, borrowed: bool = False) -> str:
    """Return the host of a store, which is the name of its container; `borrowed` as in BackupStore."""
    return f"kontrol-{region}-{'source' if borrowed else 'backup'}-store"


def endpoint_of(region: str, *, borrowed: bool = False) -> str:
    """Return the address of a store as pods see it."""
    return f"http://{host_of(region, borrowed=borrowed)}:{PORT}"


class BackupStoreError(KontrolError):
    """The backup store cannot be made or does not answer."""


@dataclass
class BackupStore:
    """The S3 server of one region.

    Attributes:
        region: Name of the region.
        folder: Its state folder; data lies below `backups/`.
        scratch: A private folder of this run for the file with the credentials.
        image: Reference that the engine can pull.
        borrowed: Whether the data is another region's, which a sandbox only reads: `folder` is that one's then.
    """

    region: str
    folder: Path
    scratch: Path
    image: str
    docker: Docker
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    borrowed: bool = False

    @property
    def name(self) -> str:
        """Name of the container, and of the host under which pods reach it."""
        return host_of(self.region, borrowed=self.borrowed)

    @property
    def endpoint(self) -> str:
        """Address of the store as pods see it."""
        return endpoint_of(self.region, borrowed=self.borrowed)

    def verdict(self, credentials: Callable[[], tuple[str, str]] | None) -> str:
        """Return what `ensure` would do: create, update or none.

        Args:
            credentials: Gives access key and secret key; None when they are not made yet.
        """
        found = self.docker.container(self.name)
        if found is None:
            return "create"
        self._refuse_foreign(found)
        wanted = self._fingerprint(*credentials()) if credentials else ""
        same = _labels(found).get(CONFIG_LABEL) == wanted
        return "none" if same and found.get("State", {}).get("Running") else "update"

    def changes(self) -> list[dict[str, Any]]:
        """Return what of a store that is there would change, for a plan: path, before, after."""
        found = self.docker.container(self.name) or {}
        status = str(found.get("State", {}).get("Status", "absent"))
        if status != "running":
            return [{"path": "state", "before": status, "after": "running"}]
        return [{"path": "configuration", "before": _labels(found).get(CONFIG_LABEL), "after": "as declared"}]

    def ensure(self, access: str, secret: str) -> str:
        """Make the store run as declared; data stays what it is. Return the verdict that was carried out."""
        verdict = self.verdict(lambda: (access, secret))
        if verdict == "none":
            return verdict
        found = self.docker.container(self.name)
        if found is not None and _labels(found).get(CONFIG_LABEL) == self._fingerprint(access, secret):
            self.docker.start(self.name)
        else:
            self._replace(found, access, secret)
        self.wait_answering()
        return verdict

    def remove(self) -> bool:
        """Remove the container, not its data; return whether there was one."""
        found = self.docker.container(self.name)
        if found is None:
            return False
        self._refuse_foreign(found)
        self.docker.remove(self.name)
        return True

    def wait_answering(self) -> None:
        """Wait until the server answers on its loopback port.

        Raises:
            BackupStoreError: with the last lines of its log.
        """
        deadline = self.clock() + START_SECONDS
        while not self.answering():
            if self.clock() > deadline:
                said = self.docker.logs(self.name, 5).replace("\n", "; ")
                raise BackupStoreError(
                    f'Backup store "{self.name}" does not answer after {START_SECONDS:.0f} s: {said}'
                )
            self.sleep(0.2)

    def answering(self) -> str:
        """Return the loopback address on which an S3 server answers, "" when none does."""
        found = self.docker.container(self.name) or {}
        bound = (found.get("NetworkSettings", {}).get("Ports") or {}).get(f"{PORT}/tcp") or []
        if not bound:
            return ""
        address = f"http://127.0.0.1:{bound[0]['HostPort']}"
        return address if _answers_s3(address) else ""

    def hits(self) -> list[str]:
        """Return the lines that tell what is lost when the store and its data are removed."""
        data = self.folder / "backups"
        files = [file for file in data.rglob("*") if file.is_file()] if data.is_dir() else []
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        return [f"container {self.name}", f"{len(files)} backup files, {megabytes:.1f} MB, in {data}"]

    def _replace(self, found: dict[str, Any] | None, access: str, secret: str) -> None:
        """Create the container anew; the credentials go by a file of mode 0600 that is removed at once."""
        self.docker.ensure_network()
        self.docker.pull(self.image)
        self._make_folders()
        if found is not None:
            self.docker.remove(self.name)
        file = self.scratch / "backup-store.env"
        state.write_text(file, f"ROOT_ACCESS_KEY={access}\nROOT_SECRET_KEY={secret}\n")
        try:
            self.docker.create(self._arguments(file, self._fingerprint(access, secret)))
        finally:
            file.unlink()
        self.docker.start(self.name)

    def _make_folders(self) -> None:
        if self.borrowed:
            if not (self.folder / "backups" / "data").is_dir():
                raise BackupStoreError(f'No backups are in "{self.folder}"; on which machine is that region kept?')
            return
        for name in ("data", "versions"):
            folder = state.make_private_dir(self.folder / "backups" / name)
            if os.getuid() == 0:
                os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)

    def _user(self) -> str:
        """Return whom the server runs as: the person, or somebody without rights where that is root."""
        return f"{UNPRIVILEGED}:{UNPRIVILEGED}" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"

    def _arguments(self, env_file: Path | None, fingerprint: str) -> list[str]:
        data, versions = (self.folder / "backups" / name for name in ("data", "versions"))
        mode = ":ro" if self.borrowed else ""
        return [
            *("--name", self.name, "--network", NETWORK, "--restart", "unless-stopped", "--user", self._user()),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp:size=64m"),  # noqa: S108 - in the container
            *("--publish", f"127.0.0.1::{PORT}"),
            *("--label", f"{REGION_LABEL}={self.region}", "--label", f"{CONFIG_LABEL}={fingerprint}"),
            *("--volume", f"{data}:/data{mode}", "--volume", f"{versions}:/versions{mode}"),
            *(("--env-file", str(env_file)) if env_file else ()),
            *(self.image, "--port", f":{PORT}", "posix", "--versioning-dir", "/versions", "/data"),
        ]

    def _fingerprint(self, access: str, secret: str) -> str:
        """Return a mark of the whole configuration; both keys are long and random, so it does not give them away."""
        text = json.dumps([self._arguments(None, ""), access, secret])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _refuse_foreign(self, found: dict[str, Any]) -> None:
        if _labels(found).get(REGION_LABEL) != self.region:
            raise BackupStoreError(
                f'Container "{self.name}" is there but was not made by region "{self.region}"; rename or remove it',
            )


def _labels(container: dict[str, Any]) -> dict[str, str]:
    return dict(container.get("Config", {}).get("Labels") or {})


def _answers_s3(address: str) -> bool:
    """Return whether an S3 server answers; without credentials it says 403, which is an answer."""
    try:
        with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - a loopback address made here
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
