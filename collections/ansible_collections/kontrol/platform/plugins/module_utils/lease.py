"""One writer per region: the Lease in its cluster (coordination.k8s.io/v1), taken over only after it expired.

Expiry is judged by watching: a Lease that did not move for its whole duration on the watcher's own clock has expired.
The clocks of two machines are never compared.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE: Final = "kontrol-system"
NAME: Final = "kontrol-writer"
PATH: Final = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
HOLDER_ANNOTATION: Final = "kontrol.dev/holder"
DURATION_SECONDS: Final = 20
RENEW_SECONDS: Final = 4.0
POLL_SECONDS: Final = 1.0
MOST_CONFLICTS: Final = 20


class BusyError(KontrolError):
    """Another run is writing to this region."""


class ConflictError(Exception):
    """The Lease changed between reading and writing."""


class LeaseApi(Protocol):
    """How the Lease is read and written; a write with an old resourceVersion raises ConflictError."""

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None when it does not exist."""

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object in a collection."""

    def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replace an object, its resourceVersion must still be the newest."""


@dataclass(frozen=True)
class Holder:
    """Who writes: what a refused run needs to know of the other."""

    run: str
    region: str
    playbook: str
    pid: int
    host: str
    started: str

    def text(self) -> str:
        """Return the holder for a message."""
        age = state.age_text(state.age_seconds(self.started))
        return f'run "{self.run}" of {self.playbook} (pid {self.pid} on {self.host}, started {self.started}, {age} ago)'

    def to_json(self) -> str:
        """Return the holder as JSON text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Holder | None:
        """Return the holder in a JSON text, None when it is not one."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            return None


def refusal(region: str, other: str) -> BusyError:
    """Return the refusal of a second writer, with the way out."""
    return BusyError(
        f'Region "{region}" is being written by {other}; wait for its end, or end it with Ctrl+C, then run again. '
        "A killed run gives the region back by itself within half a minute",
    )


class Lease:
    """The Lease of one region as one run sees it."""

    def __init__(
        self,
        api: LeaseApi,
        holder: Holder,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._holder = holder
        self._clock = clock
        self._sleep = sleep

    def acquire(self, say: Callable[[str], None] = lambda _line: None) -> None:
        """Take the Lease: at once when it is free, after watching it expire when its holder is gone.

        Raises:
            BusyError: when another run renews it.
        """
        for _try in range(MOST_CONFLICTS):
            try:
                if self._taken(self._api.get(f"{PATH}/{NAME}"), say):
                    return
            except ConflictError:
                continue  # someone else was faster: look again
        raise refusal(self._holder.region, "several runs that start at the same time")

    def renew(self) -> bool:
        """Renew the Lease; return False when this run does not hold it any more."""
        for _try in range(MOST_CONFLICTS):
            lease = self._api.get(f"{PATH}/{NAME}")
            if lease is None or _holder_id(lease) != self._holder.run:
                return False
            lease["spec"]["renewTime"] = _now()
            try:
                self._api.replace(f"{PATH}/{NAME}", lease)
            except ConflictError:
                continue
            return True
        return False

    def release(self) -> None:
        """Give the Lease back, if this run holds it."""
        lease = self._api.get(f"{PATH}/{NAME}")
        if lease is None or _holder_id(lease) != self._holder.run:
            return
        lease["spec"].pop("holderIdentity", None)
        lease["spec"] |= {"renewTime": _now(), "leaseDurationSeconds": 1}
        try:
            self._api.replace(f"{PATH}/{NAME}", lease)
        except ConflictError:
            self.release()

    def _taken(self, lease: dict[str, Any] | None, say: Callable[[str], None]) -> bool:
        """Take a Lease that was just read; True when it is ours now."""
        if lease is None:
            self._api.create(PATH, self._body(None))
            return True
        if _holder_id(lease) == self._holder.run:
            return True
        if _holder_id(lease):
            lease = self._watch_expire(lease, say)
        self._api.replace(f"{PATH}/{NAME}", self._body(lease))
        return True

    def _watch_expire(self, lease: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
        """Return the Lease once it did not move for its duration; refuse when its holder renews it."""
        duration = float(lease["spec"].get("leaseDurationSeconds") or DURATION_SECONDS)
        seen, deadline = _pulse(lease), self._clock() + duration
        other = describe(lease)
        say(
            f"The Lease of this region is held by {other}; waiting up to {duration:.0f} s to see whether it still lives"
        )
        while self._clock() < deadline:
            self._sleep(POLL_SECONDS)
            current = self._api.get(f"{PATH}/{NAME}")
            if current is None or not _holder_id(current):
                raise ConflictError  # it was given back: take it the normal way
            if _pulse(current) != seen:
                raise refusal(self._holder.region, describe(current))
        say(f"The Lease did not move for {duration:.0f} s: taken over from {other}")
        return lease

    def _body(self, before: dict[str, Any] | None) -> dict[str, Any]:
        """Return the Lease as this run holds it; `before` brings resourceVersion and the count of transitions."""
        lease = copy.deepcopy(before) or {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {},
        }
        labels = lease["metadata"].setdefault("labels", {})
        labels |= {"app.kubernetes.io/managed-by": "kontrol", "kontrol.dev/component": "region"}
        lease["metadata"].setdefault("annotations", {})[HOLDER_ANNOTATION] = self._holder.to_json()
        lease["spec"] = {
            "holderIdentity": self._holder.run,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": int((before or {}).get("spec", {}).get("leaseTransitions") or 0) + (before is not None),
        }
        return lease


def describe(lease: dict[str, Any]) -> str:
    """Return who holds a Lease, for a message; "" when it is free."""
    identity = _holder_id(lease)
    annotation = (lease.get("metadata", {}).get("annotations") or {}).get(HOLDER_ANNOTATION, "")
    holder = Holder.from_json(annotation)
    if holder is not None and holder.run == identity:
        return holder.text()
    return f'"{identity}"' if identity else ""


def _holder_id(lease: dict[str, Any]) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def _pulse(lease: dict[str, Any]) -> tuple[str, str]:
    """Return what changes with each renewal."""
    return _holder_id(lease), str(lease.get("spec", {}).get("renewTime"))


def _now() -> str:
    """Return the time as a Kubernetes MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
