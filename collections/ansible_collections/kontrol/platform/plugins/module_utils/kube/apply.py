"""Apply a component's objects: wave by wave, many at once, and tell the truth about what changed.

An object has changed when the server's answer differs in content from what was there before. What was there comes from
one LIST per kind and namespace, narrowed to our own labels: an object that is missing from it either does not exist
(then the answer is 201) or was not ours (then our labels change it). So each object costs one request.
"""

from __future__ import annotations

import copy
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import diff, guard, planned, ready
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import MERGE_PATCH, ApiError, Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.delete import remove_object
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery, NotServedError, Resource
from ansible_collections.kontrol.platform.plugins.module_utils.kube.fields import Scope, leave_to_server, ours_differ
from ansible_collections.kontrol.platform.plugins.module_utils.kube.foreign import additions, claimed, removal, without
from ansible_collections.kontrol.platform.plugins.module_utils.kube.inventory import Inventory
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import (
    COMPONENT,
    CRD,
    DATA_KINDS,
    FOUNDATION,
    MANAGED_BY,
    OWNER,
    WAVES,
    Item,
    Object,
    ObjectId,
    same,
    scrubbed,
)
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wait import Target, Waiter

SERVER, RENDERED, UNKNOWN = "server", "rendered", "unknown"
CRD_TIMEOUT = 60.0
RETRY_TIMEOUT = 60.0  # for webhooks that are not up yet and endpoints of new CRDs
_RETRY_PAUSE = 1.0
ANYONE = "*"
_MANAGER = re.compile(r'"([^"]+)"')
_SHOWN = 25  # failed objects that a message lists
_LIST_FROM = 4  # objects of one kind and namespace; fewer are read one by one
_IMMUTABLE = re.compile(
    r"immutable|updates to .* are forbidden|may not be (?:changed|updated)|Forbidden: updates to", re.IGNORECASE
)


@dataclass(frozen=True)
class Options:
    """What an apply is asked to do.

    Attributes:
        component: Name of the component; empty for objects that no inventory follows.
        prune: Delete what the inventory names and the manifests do not.
        max_prune: More deletions than this stop the apply before anything is written.
        take_over: Fields that may be taken from another manager.
        take_back: Managers from whom any of our fields may be taken; ANYONE only to judge, in check mode.
        server_fields: Fields of existing objects that are left to the server.
        recreated: Ids of objects that check mode takes for deleted, as the run would have done before.
        check: Write nothing; tell field by field what would change.
        diff: Collect before and after.
        seal: Makes the digest of a secret value, for what check mode tells.
    """

    component: str = ""
    prune: bool = False
    max_prune: int = 5
    take_over: tuple[Scope, ...] = ()
    take_back: frozenset[str] = frozenset()
    server_fields: tuple[Scope, ...] = ()
    recreated: frozenset[str] = frozenset()
    check: bool = False
    diff: bool = False
    seal: planned.Seal = planned.digest


@dataclass
class Verdict:
    """What happened, or would happen, to one object.

    Attributes:
        id: The object.
        verb: create, update, none, prune or take_over.
        known: server, rendered or unknown.
        diff: before and after for a person, None when not asked for or equal.
        live: The object as the server answered it.
        foreign: In check mode the fields of an object that is there which another manager set.
        changes: In check mode the fields that would change, see `planned.changes`.
        content: In check mode a digest of each field of an object that would be made, see `planned.content`.
        error: Why it failed.
    """

    id: ObjectId
    verb: str = "none"
    known: str = SERVER
    diff: dict[str, str] | None = None
    live: Object | None = None
    foreign: list[tuple[str, str, str]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    content: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    def as_result(self) -> dict[str, Any]:
        """Return it as the run's journal wants it."""
        told = {"changes": self.changes, "content": self.content, "foreign": self.foreign}
        return {
            "object": str(self.id),
            "verb": self.verb,
            "known": self.known,
            **{key: value for key, value in told.items() if value},
        }


@dataclass
class Report:
    """The outcome of an apply: verdicts in the order of the waves, and what was kept though no manifest names it."""

    verdicts: list[Verdict] = field(default_factory=list)
    kept: list[ObjectId] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was or would be written."""
        return any(verdict.verb != "none" and not verdict.error for verdict in self.verdicts)

    def as_result(self) -> dict[str, Any]:
        """Return it as a task result."""
        result: dict[str, Any] = {
            "changed": self.changed,
            "kontrol_objects": [verdict.as_result() for verdict in self.verdicts if not verdict.error],
            "kept": [str(which) for which in self.kept],
        }
        diffs = [verdict.diff for verdict in self.verdicts if verdict.diff]
        return {**result, "diff": diffs} if diffs else result


def render(items: Iterable[Item], options: Options) -> Report:
    """Judge objects for a cluster that does not exist yet: each would be created."""
    report = Report()
    for item in sorted(items, key=lambda one: one.wave):
        verdict = Verdict(item.id, "create", UNKNOWN if item.unknown else RENDERED)
        _tell(verdict, None, item.body, options)
        report.verdicts.append(verdict)
    return report


def _tell(verdict: Verdict, before: Object | None, after: Object | None, options: Options) -> None:
    """Fill in what a person, and a plan, is told of a change."""
    if options.diff:
        verdict.diff = diff.render(str(verdict.id), before, after)
    if options.check and before and after:
        verdict.changes = planned.changes(before, after, options.seal)
    elif options.check and after:
        verdict.content = planned.content(after, options.seal)


class Applier:
    """Applies objects through one client.

    Args:
        client: The API server.
        items: From `objects.prepare`.
        options: What to do.
        sleep: Replaced in tests.
    """

    def __init__(
        self, client: Client, items: list[Item], options: Options, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client, self._items, self._options, self._sleep = client, items, options, sleep
        self._discovery = Discovery(client)
        self._inventory = Inventory(client, options.component) if options.component else None
        self._live: dict[ObjectId, Object | None] = {}
        self._prunable: dict[ObjectId, tuple[Resource, Object]] = {}
        self._leaving: set[ObjectId] = set()
        self._retry_until = time.monotonic() + RETRY_TIMEOUT
        self.report = Report()

    def run(self) -> Report:
        """Apply, or judge in check mode.

        Raises:
            KontrolError: What failed, all objects of the wave together; `result` holds what was done before.
        """
        if not self._options.check:
            self._refuse_unknown()
        before = self._read()
        wanted = {item.id for item in self._items}
        self._plan_prune(before - wanted)
        recorded = self._options.check or self._record(before | wanted, must=False)
        for number in WAVES:
            self._wave([item for item in self._items if item.wave == number])
            if number == FOUNDATION and not recorded:
                self._record(before | wanted, must=True)
        self._raise_failures()
        self._prune()
        if not self._options.check:
            self._record(wanted | set(self.report.kept) | self._leaving, must=True)
        return self.report

    def _refuse_unknown(self) -> None:
        unknown = [str(item.id) for item in self._items if item.unknown]
        if unknown:
            raise KontrolError(f"A value is still unknown in {', '.join(unknown)}, so nothing was written")

    def _record(self, ids: set[ObjectId], *, must: bool) -> bool:
        if self._inventory is None:
            return True
        guard.check(self._client)
        if must:
            self._inventory.must_write(ids)
        return must or self._inventory.write(ids)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self) -> set[ObjectId]:
        """Read kinds, inventory and the objects as they are; return what the inventory names."""
        self._discovery.prefetch(item.body["apiVersion"] for item in self._items)
        groups: dict[Resource, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
        for item in self._items:
            resource = self._resource(item)
            if resource:
                groups[resource][item.id.namespace if resource.namespaced else ""].append(item)
        jobs: list[Callable[[], None]] = []
        for resource, spaces in groups.items():
            for namespace, members in spaces.items():
                jobs += self._readers(resource, namespace, members)
        named: set[ObjectId] = set()
        if self._inventory:
            inventory = self._inventory
            jobs.append(lambda: named.update(inventory.read()))
        self._client.map(lambda job: job(), jobs)
        return named

    def _readers(self, resource: Resource, namespace: str, members: list[Item]) -> list[Callable[[], None]]:
        """Return the requests that read some objects of one kind and namespace."""
        if len(members) >= _LIST_FROM and not self._needs_before:
            return [lambda: self._read_list(resource, namespace, members)]
        return [lambda item=item: self._read_one(resource, item) for item in members]  # type: ignore[misc] # bound now

    @property
    def _needs_before(self) -> bool:
        """Whether the state before must be known of objects that are not ours, too."""
        return self._options.check or self._options.diff or bool(self._options.server_fields)

    def _read_list(self, resource: Resource, namespace: str, members: list[Item]) -> None:
        labels = f"{MANAGED_BY}={OWNER}"
        if self._options.component:
            labels += f",{COMPONENT}={self._options.component}"
        found = self._client.list(resource.collection(namespace or None), {"labelSelector": labels})
        by_name = {obj["metadata"]["name"]: obj for obj in found}
        for item in members:
            if item.id.name in by_name:
                self._live[item.id] = by_name[item.id.name]

    def _read_one(self, resource: Resource, item: Item) -> None:
        if not resource.namespaced or item.id.namespace:
            self._live[item.id] = self._client.find(resource.path(item.id.namespace, item.id.name))

    def _resource(self, item: Item) -> Resource | None:
        try:
            return self._discovery.resource(item.body["apiVersion"], item.id.kind)
        except NotServedError:
            return None

    # Waves -----------------------------------------------------------------------------------------------------------

    def _wave(self, items: list[Item]) -> None:
        """Apply one wave; a failure in it ends the apply, but in check mode all waves are judged first."""
        if not items:
            return
        if not self._options.check:
            guard.check(self._client)
        verdicts = self._client.map(self._one, items)
        self.report.verdicts += verdicts
        if not self._options.check:
            self._raise_failures()
            self._established([verdict for verdict in verdicts if verdict.id.type == CRD])

    def _raise_failures(self) -> None:
        failed = [verdict for verdict in self.report.verdicts if verdict.error]
        if not failed:
            return
        rest = len(self._items) - len(self.report.verdicts)
        lines = [f"{len(failed)} of {len(self._items)} objects cannot be applied:", *_listed(failed)]
        if rest:
            lines.append(f"  {rest} objects that come after them were not tried")
        raise KontrolError("\n".join(lines), self.report.as_result())

    def _established(self, crds: list[Verdict]) -> None:
        """Wait until new CRDs are served, then ask the server anew what it serves."""
        late = [one.id for one in crds if one.live and ready.judge(one.live).state != ready.DONE]
        if late:
            resource = self._discovery.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
            Waiter(self._client, [Target(which, resource) for which in late], CRD_TIMEOUT).run()
        defined = {_defines(one.live) for one in crds if one.live and one.verb != "none"}
        needed = [item for item in self._items if (item.id.group, item.id.kind) in defined]
        if not defined:
            return
        self._discovery.forget()
        self._discovery.prefetch(item.body["apiVersion"] for item in self._items)
        while any(self._resource(item) is None for item in needed) and time.monotonic() < self._retry_until:
            self._sleep(_RETRY_PAUSE)
            self._discovery.forget()

    def _one(self, item: Item) -> Verdict:
        """Apply or judge one object."""
        verdict = Verdict(item.id)
        try:
            if item.unknown:
                verdict.verb, verdict.known = ("update" if self._live.get(item.id) else "create"), UNKNOWN
                verdict.content = planned.content(item.body, self._options.seal)
                return verdict
            if self._options.check and str(item.id) in self._options.recreated:
                self._would_create(item, verdict)
                return verdict
            self._send(item, verdict)
        except NotServedError as error:
            if not self._options.check:
                verdict.error = str(error)
            else:
                self._unserved(item, verdict)
        except ApiError as error:
            if self._options.check and _is_namespace_missing(error):
                self._would_create(item, verdict)
            else:
                verdict.error = scrubbed(explained(error), item.body)
        except KontrolError as error:
            verdict.error = scrubbed(str(error), item.body)
        return verdict

    def _would_create(self, item: Item, verdict: Verdict) -> None:
        """Judge an object that would be created, but cannot be asked about yet."""
        verdict.verb, verdict.known = "create", RENDERED
        _tell(verdict, None, item.body, self._options)

    def _unserved(self, item: Item, verdict: Verdict) -> None:
        """Judge an object whose kind, or whose version, is not served yet: its CRD comes with this run."""
        verdict.known = RENDERED
        try:
            resource = self._discovery.preferred(item.id.group, item.id.kind)
            live = self._client.find(resource.path(item.id.namespace, item.id.name))
        except NotServedError:
            live = None
        verdict.verb = "update" if live else "create"
        _tell(verdict, live, item.body, self._options)

    def _send(self, item: Item, verdict: Verdict) -> None:
        """Send one object and compare the answer with what was there."""
        before = self._live.get(item.id)
        body = item.body
        if before and self._options.server_fields:
            body = copy.deepcopy(body)
            leave_to_server(body, before, self._options.server_fields)
        resource = self._discovery.resource(item.body["apiVersion"], item.id.kind)
        path = resource.path(item.id.namespace, item.id.name)
        created, taken, after = self._patch(path, body, item)
        if before and self._options.take_back and (added := additions(before, self._options.take_back)):
            taken, after = True, self._without(path, after, added)
        verdict.live = after
        if created:
            verdict.verb = "create"
        elif taken:
            verdict.verb = "take_over"
        elif before is None or (not same(before, after) and ours_differ(before, after)):
            verdict.verb = "update"
        if before and self._options.check:
            verdict.foreign = claimed(before)
        if verdict.verb != "none":
            _tell(verdict, None if created else before, item.body if created else after, self._options)

    def _patch(self, path: str, body: Object, item: Item) -> tuple[bool, bool, Object]:
        """Send a server-side apply until it is answered; return whether it created, took over, and the answer."""
        check = self._options.check
        while True:
            try:
                created, after = self._client.apply(path, body, dry_run=check)
                return created, False, after
            except ApiError as error:
                conflicts = conflicting(error)
                if conflicts and self._may_take(item.id, conflicts):
                    created, after = self._client.apply(path, body, dry_run=check, force=True)
                    return created, True, after
                if check or conflicts or not _passes(error, item) or time.monotonic() > self._retry_until:
                    raise
            self._sleep(_RETRY_PAUSE)

    def _without(self, path: str, obj: Object, fields: list[str]) -> Object:
        """Take away what a manager in `take_back` added to an object; return what is left."""
        if self._options.check:
            return without(obj, fields)
        return self._client.request("PATCH", path, body=removal(fields), content_type=MERGE_PATCH)

    def _may_take(self, which: ObjectId, conflicts: list[tuple[str, str]]) -> bool:
        """Whether every conflicting field of an object is named in `take_over`, or its manager in `take_back`."""
        named = {scope.path for scope in self._options.take_over if scope.fits(which)}
        return all(path in named or self._takes_back(owner) for path, owner in conflicts)

    def _takes_back(self, owner: str) -> bool:
        """Whether a manager, as a conflict names it (`"kubectl-edit" using apps/v1 at ...`), is in `take_back`."""
        managers = self._options.take_back
        found = _MANAGER.match(owner)
        return (self._options.check and ANYONE in managers) or (found is not None and found[1] in managers)

    # Pruning ---------------------------------------------------------------------------------------------------------

    def _plan_prune(self, gone: set[ObjectId]) -> None:
        """Find what may be pruned; nothing is written yet, so that too much of it can still stop the apply."""
        found = self._client.map(self._discovery.locate, sorted(gone))
        for which, seen in zip(sorted(gone), found, strict=True):
            if seen is None:
                continue  # deleted by somebody else: forget it
            _, live = seen
            ours = (live["metadata"].get("labels") or {}).get(COMPONENT) == self._options.component
            if (
                not self._options.prune
                or which.type in DATA_KINDS
                or not ours
                or live["metadata"].get("deletionTimestamp")
            ):
                self.report.kept.append(which)
            else:
                self._prunable[which] = seen
        if len(self._prunable) > self._options.max_prune:
            names = ", ".join(str(which) for which in self._prunable)
            raise KontrolError(
                f"Nothing was written: {len(self._prunable)} objects would be pruned, more than max_prune "
                f"{self._options.max_prune}: {names}; raise max_prune if that is what you want"
            )

    def _prune(self) -> None:
        """Delete what no manifest names any more."""
        if not self._prunable:
            return
        if not self._options.check:
            guard.check(self._client)
        self.report.verdicts += self._client.map(self._prune_one, list(self._prunable))
        failed = [verdict for verdict in self.report.verdicts if verdict.error]
        if failed:
            lines = [f"{len(failed)} objects cannot be pruned:", *_listed(failed)]
            raise KontrolError("\n".join(lines), self.report.as_result())

    def _prune_one(self, which: ObjectId) -> Verdict:
        resource, live = self._prunable[which]
        verdict = Verdict(which, "prune")
        _tell(verdict, live, None, self._options)
        if not self._options.check:
            try:
                if not remove_object(self._client, resource.path(which.namespace, which.name), live):
                    self._leaving.add(which)  # stays in the inventory until it is gone
            except KontrolError as error:
                verdict.error = str(error)
        return verdict


def _listed(failed: list[Verdict]) -> list[str]:
    lines = [f"  {verdict.id}: {verdict.error}" for verdict in failed[:_SHOWN]]
    return [*lines, f"  and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else lines


def _defines(crd: Object) -> tuple[str, str]:
    """Return group and kind that a CRD brings."""
    return crd["spec"]["group"], crd["spec"]["names"]["kind"]


def _is_namespace_missing(error: ApiError) -> bool:
    return error.status == 404 and error.details.get("kind") == "namespaces"


def _passes(error: ApiError, item: Item) -> bool:
    """Whether an error passes by itself: a webhook that is not up, a new CRD not served yet, two writers at once."""
    if "failed calling webhook" in error.message:
        return True
    if error.status == 404:
        return not error.details.get("name") and "." in item.id.group
    return error.status == 409 and not error.causes


def conflicting(error: ApiError) -> list[tuple[str, str]]:
    """Return the fields that an apply conflicts on, each with its owner."""
    if error.status != 409:
        return []
    return [
        (str(cause.get("field")), str(cause.get("message", "")).removeprefix("conflict with "))
        for cause in error.causes
        if cause.get("reason") == "FieldManagerConflict"
    ]


def explained(error: ApiError) -> str:
    """Return an API error as a text that says what to do."""
    conflicts = conflicting(error)
    if conflicts:
        fields = ", ".join(f"{path} (owner {owner})" for path, owner in conflicts)
        paths = ", ".join(f'"{path}"' for path, _ in conflicts)
        return (
            f"fields belong to another manager: {fields}; leave them out of the manifest, or take them over with "
            f"take_over: [{paths}]; what somebody did by hand is undone with `-e take_back=<manager>`"
        )
    if error.status == 422 and _IMMUTABLE.search(error.message):
        return (
            f"cannot be changed in place: {error.message}; restore the old value, or remove the object first "
            "(it is never deleted and created again on its own)"
        )
    return str(error)
