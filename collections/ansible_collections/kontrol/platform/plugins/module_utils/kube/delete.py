"""Delete objects in the reverse order of their making, wait until they are gone, and say what holds the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import diff, guard
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery, Resource
from ansible_collections.kontrol.platform.plugins.module_utils.kube.inventory import Inventory
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import (
    COMPONENT,
    DATA_KINDS,
    WAVES,
    Object,
    ObjectId,
    wave,
)

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_FIRST_POLL, _LAST_POLL = 0.1, 2.0
_INTERVAL = 8.0
_SHOWN = 4


def remove_object(client: Client, path: str, live: Object, propagation: str = "Background") -> bool:
    """Ask the server to delete exactly this object; that it is gone already is fine.

    Args:
        client: The API server.
        path: Path of the object.
        live: The object; one of the same name made since then is not deleted.
        propagation: Background or Foreground (dependents first).

    Returns:
        Whether it is gone; False when finalizers, dependents or a grace period still hold it.
    """
    options = {"propagationPolicy": propagation, "preconditions": {"uid": live["metadata"]["uid"]}}
    answer = client.discard(path, options)
    return answer is None or answer.get("kind") == "Status"


@dataclass(frozen=True)
class Options:
    """What a deletion is asked to do.

    Attributes:
        component: Delete what its inventory names; empty when objects are named one by one.
        include_data: Delete kinds that hold data, too.
        wait: Wait until all is gone.
        timeout: Seconds for all of it.
        propagation: Foreground or Background.
        check: Write nothing.
        diff: Collect what would go.
    """

    component: str = ""
    include_data: bool = False
    wait: bool = True
    timeout: float = 120.0
    propagation: str = "Foreground"
    check: bool = False
    diff: bool = False


@dataclass
class Report:
    """Outcome of a deletion: ids deleted, ids kept with the reason, diffs."""

    deleted: list[ObjectId] = field(default_factory=list)
    absent: list[ObjectId] = field(default_factory=list)
    kept: dict[ObjectId, str] = field(default_factory=dict)
    diffs: list[dict[str, str]] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        """Return it as a task result."""
        result: dict[str, Any] = {
            "changed": bool(self.deleted),
            "kontrol_objects": [
                *({"object": str(which), "verb": "delete", "known": "server"} for which in self.deleted),
                *({"object": str(which), "verb": "none", "known": "server"} for which in self.absent),
            ],
            "kept": [{"object": str(which), "reason": reason} for which, reason in self.kept.items()],
        }
        return {**result, "diff": self.diffs} if self.diffs else result


class Deleter:
    """Deletes objects through one client.

    Args:
        client: The API server.
        options: What to do.
        progress: Gets one line of text now and then.
        sleep: Replaced in tests.
        clock: Replaced in tests.
    """

    def __init__(
        self,
        client: Client,
        options: Options,
        progress: Callable[[str], None] = lambda _line: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._options, self._progress = client, options, progress
        self._sleep, self._clock = sleep, clock
        self._deadline = clock() + options.timeout
        self._discovery = Discovery(client)
        self.report = Report()

    def component(self) -> Report:
        """Delete what the inventory of the component names, and the inventory with the last of it."""
        inventory = Inventory(self._client, self._options.component)
        named = inventory.read()
        self._delete(named, listed=True)
        if not self._options.check and named:
            guard.check(self._client)
            if self.report.kept:
                inventory.write(self.report.kept)
            else:
                inventory.remove()
        return self.report

    def objects(self, ids: Iterable[ObjectId]) -> Report:
        """Delete objects that are named one by one."""
        chosen = list(ids)
        held = [str(which) for which in chosen if which.type in DATA_KINDS and not self._options.include_data]
        if held:
            raise KontrolError(
                f"Nothing was deleted: {', '.join(held)} hold data or take it with them; "
                "say include_data: true to delete them"
            )
        self._delete(chosen, listed=False)
        return self.report

    def _delete(self, ids: Iterable[ObjectId], *, listed: bool) -> None:
        ordered = sorted(ids)
        found = {
            which: seen
            for which, seen in zip(ordered, self._client.map(self._discovery.locate, ordered), strict=True)
            if seen is not None
        }
        if not listed:
            self.report.absent = [which for which in ordered if which not in found]
        doomed = [which for which in found if not listed or self._is_ours(which, found[which][1])]
        for number in reversed(WAVES):
            self._wave({which: found[which] for which in doomed if wave(which) == number})

    def _is_ours(self, which: ObjectId, live: Object) -> bool:
        if which.type in DATA_KINDS and not self._options.include_data:
            self.report.kept[which] = "holds data; include_data deletes it"
        elif (live["metadata"].get("labels") or {}).get(COMPONENT) != self._options.component:
            self.report.kept[which] = f"does not carry the label of component '{self._options.component}'"
        return which not in self.report.kept

    def _wave(self, objects: dict[ObjectId, tuple[Resource, Object]]) -> None:
        """Delete objects of one wave and wait for them, so that controllers outlive what they must clean up."""
        if not objects:
            return
        if not self._options.check:
            guard.check(self._client)
        errors = self._client.map(lambda which: self._one(which, *objects[which]), objects)
        for which, error in zip(objects, errors, strict=True):
            if error is None:
                self.report.deleted.append(which)
                if self._options.diff:
                    self.report.diffs.append(diff.render(str(which), objects[which][1], None))
        failed = [f"  {which}: {error}" for which, error in zip(objects, errors, strict=True) if error]
        if failed:
            raise KontrolError("Objects cannot be deleted:\n" + "\n".join(failed), self.report.as_result())
        if self._options.wait and not self._options.check:
            self._gone({which: resource for which, (resource, _) in objects.items()})

    def _one(self, which: ObjectId, resource: Resource, live: Object) -> str | None:
        """Delete one object; return why it could not be."""
        if not self._options.check:
            try:
                path = resource.path(which.namespace, which.name)
                remove_object(self._client, path, live, self._options.propagation)
            except KontrolError as error:
                return str(error)
        return None

    def _gone(self, left: dict[ObjectId, Resource]) -> None:
        """Poll until objects are gone; at the deadline say what holds them."""
        pause, told = _FIRST_POLL, self._clock()
        while True:
            paths = [resource.path(which.namespace, which.name) for which, resource in left.items()]
            lives = {
                which: live
                for which, live in zip(left, self._client.map(self._client.find, paths), strict=True)
                if live
            }
            left = {which: left[which] for which in lives}
            if not left:
                return
            now = self._clock()
            if now >= self._deadline:
                raise KontrolError(self._held(lives), self.report.as_result())
            if now - told >= _INTERVAL:
                told = now
                names = ", ".join(str(which) for which in list(left)[:_SHOWN])
                self._progress(f"Waiting for {len(left)} objects to go, {self._deadline - now:.0f} s left: {names}")
            self._sleep(min(pause, max(0.0, self._deadline - now)))
            pause = min(pause * 1.5, _LAST_POLL)

    def _held(self, lives: dict[ObjectId, Object]) -> str:
        """Say why objects do not go: finalizers, what a namespace still holds, APIs that do not answer."""
        lines = [f"Not gone after {self._options.timeout:.0f} s:"]
        for which, live in lives.items():
            finalizers = [
                *(live["metadata"].get("finalizers") or []),
                *((live.get("spec") or {}).get("finalizers") or []),
            ]
            held = f"held by {', '.join(finalizers)}" if finalizers else "no finalizer holds it, it is still going"
            lines.append(f"  {which}: {held}")
            lines += [
                f"    {condition.get('reason')}: {condition.get('message')}"
                for condition in (live.get("status") or {}).get("conditions") or []
                if which.type == "Namespace" and condition.get("status") == "True"
            ]
        lines += [f"  API {name} does not answer: {why}" for name, why in self._dead_apis()]
        lines.append(
            "  Start the controller that owns a finalizer, or repair the API, then run this again; finalizers are "
            "never removed here"
        )
        return "\n".join(lines)

    def _dead_apis(self) -> list[tuple[str, str]]:
        try:
            services = self._client.list(API_SERVICES)
        except KontrolError:
            return []
        return [
            (service["metadata"]["name"], str(condition.get("message")))
            for service in services
            for condition in (service.get("status") or {}).get("conditions") or []
            if condition.get("type") == "Available" and condition.get("status") == "False"
        ]
