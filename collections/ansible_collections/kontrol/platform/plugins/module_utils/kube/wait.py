"""Wait until many objects are ready: LIST, then WATCH, one deadline for all, progress, and at the end the reasons."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import explain, ready
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client, Watch
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, ObjectId
from ansible_collections.kontrol.platform.plugins.module_utils.kube.ready import DONE, FAILED, MISSING, Verdict

INTERVAL = 8.0  # seconds between two lines of progress
_SHOWN = 4  # objects that a line of progress names
_GONE = 410
_PAUSE = 1.0  # before a new attempt after trouble
_BREATH = 0.1  # before a watch that ended is opened again
_LONGEST_WATCH = 240.0


@dataclass(frozen=True)
class Target:
    """One object to wait for.

    Attributes:
        id: The object.
        resource: How its kind is served.
        field: Path of a field to wait for, instead of the rule of the kind.
        value: What the field must be; None for any value.
    """

    id: ObjectId
    resource: Resource
    field: str | None = None
    value: str | None = None

    def judge(self, obj: Object) -> Verdict:
        """Return whether the object is what is waited for."""
        return ready.judge_field(obj, self.field, self.value) if self.field else ready.judge(obj)


@dataclass
class Outcome:
    """Where a target stands: the verdict, the object it rests on, and the seconds until it was done."""

    verdict: Verdict = MISSING
    obj: Object | None = None
    seconds: float = 0.0


class Waiter:
    """Waits for targets, each kind and namespace on a thread and a connection of its own.

    Args:
        client: The API server.
        targets: What to wait for.
        timeout: Seconds, shared by all targets.
        progress: Gets one line of text now and then.
        interval: Seconds between two such lines.
        absent: What an object that is not there means; by default that it is waited for.
        clock: Replaced in tests.
    """

    def __init__(
        self,
        client: Client,
        targets: Iterable[Target],
        timeout: float,
        progress: Callable[[str], None] = lambda _line: None,
        interval: float = INTERVAL,
        absent: Verdict = MISSING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._progress, self._interval, self._clock = client, progress, interval, clock
        self._absent = absent
        self._began = clock()
        self._deadline = self._began + timeout
        self._timeout = timeout
        self._groups: dict[str, dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
        self.outcomes: dict[Target, Outcome] = {}
        for target in targets:
            self._groups[target.resource.collection(target.id.namespace or None)][target.id.name].append(target)
            self.outcomes[target] = Outcome()
        self._moved = threading.Condition()
        self._stopped = threading.Event()
        self._watches: set[Watch] = set()
        self._trouble: KontrolError | None = None
        self._fatal = False

    def run(self) -> dict[Target, Outcome]:
        """Wait.

        Returns:
            The outcomes, all of them done.

        Raises:
            KontrolError: The time is over, or something has failed for good; with all reasons.
        """
        threads = [
            threading.Thread(target=self._follow, args=(path, names), daemon=True, name=f"wait {path}")
            for path, names in self._groups.items()
        ]
        for thread in threads:
            thread.start()
        try:
            self._supervise()
        finally:
            self._stop()
            for thread in threads:
                thread.join(2.0)
        if any(outcome.verdict.state != DONE for outcome in self.outcomes.values()):
            raise self._failure()
        return self.outcomes

    def _supervise(self) -> None:
        """Sleep until all is decided; print progress."""
        told = self._clock()
        with self._moved:
            while not self._decided():
                now = self._clock()
                if now >= self._deadline:
                    return
                if now - told >= self._interval:
                    told = now
                    self._progress(self._line(now))
                self._moved.wait(min(1.0, self._interval, self._deadline - now))

    def _decided(self) -> bool:
        states = {outcome.verdict.state for outcome in self.outcomes.values()}
        return self._fatal or FAILED in states or states <= {DONE}

    def _open(self) -> list[tuple[Target, Outcome]]:
        return [(target, outcome) for target, outcome in self.outcomes.items() if outcome.verdict.state != DONE]

    def _line(self, now: float) -> str:
        waiting = self._open()
        named = "; ".join(f"{target.id}: {outcome.verdict.text}" for target, outcome in waiting[:_SHOWN])
        more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        left = self._deadline - now
        return f"Waiting for {len(waiting)} of {len(self.outcomes)} objects, {left:.0f} s left: {named}{more}"

    def _stop(self) -> None:
        self._stopped.set()
        with self._moved:
            watches = list(self._watches)
        for watch in watches:
            watch.stop()

    def _follow(self, path: str, names: dict[str, list[Target]]) -> None:
        """Keep the outcomes of one collection up to date until they are done."""
        params = {"fieldSelector": f"metadata.name={next(iter(names))}"} if len(names) == 1 else {}
        while not self._stopped.is_set():
            try:
                version = self._list(path, names, params)
                while version and not self._is_done(names):
                    version = self._watch(path, names, {**params, "resourceVersion": version})
                    self._stopped.wait(_BREATH)
                if self._is_done(names):
                    return
            except ApiError as error:
                if error.status == _GONE:
                    continue
                self._note(error, fatal=400 <= error.status < 429 and error.status != 404)
            except KontrolError as error:
                self._note(error, fatal=False)
            self._stopped.wait(_PAUSE)

    def _note(self, error: KontrolError, *, fatal: bool) -> None:
        with self._moved:
            self._trouble, self._fatal = error, fatal or self._fatal
            self._moved.notify_all()

    def _is_done(self, names: dict[str, list[Target]]) -> bool:
        return self._stopped.is_set() or all(
            self.outcomes[target].verdict.state == DONE for targets in names.values() for target in targets
        )

    def _list(self, path: str, names: dict[str, list[Target]], params: dict[str, str]) -> str:
        found, version = self._client.listing(path, params)
        by_name = {obj["metadata"]["name"]: obj for obj in found}
        for name, targets in names.items():
            self._update(targets, by_name.get(name))
        return version

    def _watch(self, path: str, names: dict[str, list[Target]], params: dict[str, str]) -> str:
        """Follow a watch until it ends; return the version to go on from, empty to list anew."""
        left = max(1.0, min(_LONGEST_WATCH, self._deadline - self._clock()))
        with self._client.watch(path, params, left) as watch:
            with self._moved:
                self._watches.add(watch)
            try:
                return self._events(watch, names, params["resourceVersion"])
            finally:
                with self._moved:
                    self._watches.discard(watch)

    def _events(self, watch: Watch, names: dict[str, list[Target]], version: str) -> str:
        if self._stopped.is_set():
            return ""
        for event in watch:
            obj = event["object"]
            if event["type"] == "ERROR":
                return ""
            version = obj["metadata"].get("resourceVersion", version)
            targets = names.get(obj["metadata"].get("name"), [])
            if event["type"] != "BOOKMARK" and targets:
                self._update(targets, None if event["type"] == "DELETED" else obj)
                if self._is_done(names):
                    break
        return version

    def _update(self, targets: list[Target], obj: Object | None) -> None:
        with self._moved:
            for target in targets:
                outcome = self.outcomes[target]
                outcome.obj, outcome.verdict = obj, target.judge(obj) if obj else self._absent
                outcome.seconds = round(self._clock() - self._began, 3)
            self._moved.notify_all()

    def _failure(self) -> KontrolError:
        """Say what is not ready and why."""
        if self._fatal and self._trouble:
            return self._trouble
        waiting = self._open()
        failed = [pair for pair in waiting if pair[1].verdict.state == FAILED]
        head = f"{len(failed)} objects have failed" if failed else f"Not ready after {self._timeout:.0f} s"
        lines = [f"{head} ({len(waiting)} of {len(self.outcomes)} are not ready):"]
        for target, outcome in [*failed, *(pair for pair in waiting if pair not in failed)]:
            lines.append(f"  {target.id}: {outcome.verdict.text}")
            if outcome.obj and len(lines) < 60:
                lines += explain.reasons(self._client, outcome.obj)
        if self._trouble:
            lines.append(f"  The last trouble with the API server: {self._trouble}")
        return KontrolError("\n".join(lines), {"waited": self.summary()})

    def summary(self) -> list[dict[str, Any]]:
        """Return each target's {object, state, note, seconds}."""
        return [
            {
                "object": str(target.id),
                "state": outcome.verdict.state,
                "note": outcome.verdict.text,
                "seconds": outcome.seconds,
            }
            for target, outcome in self.outcomes.items()
        ]
