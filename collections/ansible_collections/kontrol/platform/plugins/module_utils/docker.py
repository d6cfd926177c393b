"""The docker program, as far as the kind driver and the backup store need it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.process import must

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.kontrol.platform.plugins.module_utils.process import Completed, Runner

SHORT: Final = 60.0
LONG: Final = 900.0
ENGINE_REMEDY: Final = "start the Docker engine, or run `make local` where none is installed"
NETWORK: Final = "kind"


class Docker:
    """One Docker engine, reached through its program."""

    def __init__(self, program: str, runner: Runner) -> None:
        self._program = program
        self._run = runner

    def labelled(self, label: str) -> list[dict[str, Any]]:
        """Return the containers with this label (name=value), running or not, as `docker inspect` tells them."""
        found = self._must("Listing containers", "ps", "-aq", "--no-trunc", "--filter", f"label={label}").split()
        return self._inspect(found) if found else []

    def container(self, name: str) -> dict[str, Any] | None:
        """Return one container by its exact name, None when there is none."""
        found = self._must("Looking for a container", "ps", "-aq", "--no-trunc", "--filter", f"name=^/{name}$").split()
        return next(iter(self._inspect(found)), None) if found else None

    def has_image(self, reference: str) -> bool:
        """Return whether the engine holds the image."""
        return self._call("image", "inspect", "--format", "{{.Id}}", reference).rc == 0

    def pull(self, reference: str) -> None:
        """Fetch an image unless the engine holds it."""
        if not self.has_image(reference):
            must(self._call("pull", "--quiet", reference, timeout=LONG), f'Pulling image "{reference}"', ENGINE_REMEDY)

    def start(self, container: str) -> None:
        """Start a stopped container."""
        self._must("Starting a stopped container", "start", container)

    def remove(self, container: str) -> None:
        """Stop and remove a container, gently first."""
        self._must("Stopping a container", "stop", "-t", "10", container)
        self._must("Removing a container", "rm", "--force", "--volumes", container)

    def create(self, arguments: Sequence[str]) -> str:
        """Create a container from the arguments of `docker create`, and return its id."""
        return self._must("Creating a container", "create", *arguments).strip()

    def ensure_network(self) -> None:
        """Make the network of kind when nobody did yet, so that what outlives clusters can join it first."""
        if self._call("network", "inspect", "--format", "{{.Id}}", NETWORK).rc != 0:
            masquerade = "com.docker.network.bridge.enable_ip_masquerade=true"
            self._must("Making the network of kind", "network", "create", "-d", "bridge", "-o", masquerade, NETWORK)

    def logs(self, container: str, lines: int) -> str:
        """Return the last lines that a container wrote."""
        said = self._call("logs", "--tail", str(lines), container)
        return (said.stdout + said.stderr).strip()

    def _inspect(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Read containers that were just listed; what the engine removed in between is not there any more."""
        said = self._call("container", "inspect", *names)
        if said.rc == 0 or not _only_gone(said.stderr):
            must(said, "Reading containers", ENGINE_REMEDY)
        found: list[dict[str, Any]] = json.loads(said.stdout)
        return found

    def _call(self, *arguments: str, timeout: float = SHORT) -> Completed:
        return self._run([self._program, *arguments], timeout=timeout)

    def _must(self, what: str, *arguments: str) -> str:
        return must(self._call(*arguments), what, ENGINE_REMEDY)


def _only_gone(stderr: str) -> bool:
    """Return whether all that the engine complained of is that containers do not exist."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return bool(lines) and all("no such container" in line.lower() for line in lines)
