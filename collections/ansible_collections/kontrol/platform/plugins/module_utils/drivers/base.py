"""What every driver of a cluster offers: the same verbs, the same outputs, the same record of what was created."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

RECORD_FILE: Final = "cluster.json"
CREATING: Final = "creating"
READY: Final = "ready"
DELETING: Final = "deleting"


class DriverError(KontrolError):
    """A driver cannot do what it was asked, or refuses to."""


class Condition(Enum):
    """What a driver found where the cluster should be; each but the last two is put right by `create`."""

    ABSENT = "absent"
    HALF_MADE = "half made"
    STOPPED = "stopped"
    RUNNING = "running"
    UNKNOWN = "not made by this region"
    REMADE = "made again by someone else"


@dataclass(frozen=True)
class Outputs:
    """What a driver read: the truth about a cluster.

    `nodes` are identifiers that a cluster made again by someone else does not share (for kind: container ids).
    """

    driver: str
    name: str
    api_server: str
    ca_sha256: str
    version: str
    nodes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the outputs as JSON text, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class ClusterSpec:
    """What a region declares of its cluster; the networks cannot be changed once it is there."""

    pod_cidr: str
    service_cidr: str
    workers: int = 0


@dataclass(frozen=True)
class Record:
    """The creation of a cluster as journalled in the state folder: before it starts, and when it is complete."""

    phase: str
    driver: str
    name: str
    run: str
    at: str
    api_server: str = ""
    ca_sha256: str = ""
    version: str = ""
    nodes: tuple[str, ...] = ()
    namespace_uid: str = ""
    seconds: float = 0.0
    spec: dict[str, Any] = field(default_factory=dict)

    def matches(self, outputs: Outputs) -> bool:
        """Return whether these outputs are those of the recorded cluster."""
        return (self.nodes, self.ca_sha256, self.api_server) == (outputs.nodes, outputs.ca_sha256, outputs.api_server)


def load_record(folder: Path) -> Record | None:
    """Return the record in a region's state folder, None when no creation was ever recorded or it was deleted."""
    data = state.read_json(folder / RECORD_FILE)
    if data is None:
        return None
    try:
        return Record(**{**data, "nodes": tuple(data.get("nodes", ()))})
    except TypeError as error:
        raise state.StateError(f'State file "{folder / RECORD_FILE}" has unknown content: {error}') from error


def save_record(folder: Path, record: Record) -> None:
    """Write the record to a region's state folder."""
    state.write_json(folder / RECORD_FILE, asdict(record))


def drop_record(folder: Path) -> None:
    """Forget the cluster: it was deleted."""
    (folder / RECORD_FILE).unlink(missing_ok=True)


class Driver(Protocol):
    """Makes and unmakes the cluster of one region; what `read` finds is the truth, the record only says who made it."""

    @property
    def name(self) -> str:
        """Name of the cluster."""

    def read(self) -> Outputs | None:
        """Return the outputs of the running cluster; None when there is none, or it is not running."""

    def condition(self) -> Condition:
        """Return what was found, judged with the record."""

    def plan(self, spec: ClusterSpec, *, adopt: bool = False) -> list[tuple[str, str]]:
        """Return (object, verb) for all that `create` would do.

        Raises:
            DriverError: when it would refuse.
        """

    def replaced(self, spec: ClusterSpec) -> list[dict[str, Any]]:
        """Return what of a cluster that is there differs and cannot be changed in place: path, before, after."""

    def create(self, spec: ClusterSpec, run: str, *, adopt: bool = False) -> Outputs:
        """Make the declared cluster true; the record stays at `creating` until `complete` is called."""

    def complete(self, outputs: Outputs, run: str, namespace_uid: str) -> None:
        """Record that the creation ended, identity written."""

    def delete(self) -> bool:
        """Delete the cluster that the record names, and nothing else; return whether there was something."""

    def kubeconfig(self) -> str:
        """Return the administrator's kubeconfig of the running cluster."""
