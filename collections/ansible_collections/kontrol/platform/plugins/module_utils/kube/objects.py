"""Kubernetes objects as data: their ids, their order, what is sent of them, what is compared, what may be shown.

Types are judged, never guessed: a label, an annotation or the value of an environment variable must be text in the
source. Once YAML has read `version: 1.10` it is the number 1.1 and its writing is lost, so such a value is refused with
its path instead of being turned into a text that nobody wrote.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

Object = dict[str, Any]

SENTINEL = "__KONTROL_UNKNOWN__"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "kontrol.dev/component"
OWNER = "kontrol"
HIDDEN = "(hidden)"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# Kinds that hold data, or whose end takes data with it: only the verb `remove` deletes them.
DATA_KINDS = frozenset(
    {
        "Namespace",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Secret",
        "StatefulSet.apps",
        "CustomResourceDefinition.apiextensions.k8s.io",
    }
)
CRD = "CustomResourceDefinition.apiextensions.k8s.io"

FOUNDATION, CONFIG, WORKLOAD, CUSTOM = range(4)
WAVES = (FOUNDATION, CONFIG, WORKLOAD, CUSTOM)
_WORKLOADS = frozenset(
    {
        "Pod",
        "ReplicationController",
        "DaemonSet.apps",
        "Deployment.apps",
        "ReplicaSet.apps",
        "StatefulSet.apps",
        "CronJob.batch",
        "Job.batch",
        "HorizontalPodAutoscaler.autoscaling",
    }
)
# Built-in groups end in k8s.io or have no dot; these built-in kinds intercept or extend the API, so they go last.
_LATE_GROUPS = frozenset({"admissionregistration.k8s.io", "apiregistration.k8s.io"})
_BUILT_IN_SUFFIX = ".k8s.io"
_CUSTOM_K8S_GROUPS = ("gateway.networking.k8s.io", "metrics.k8s.io", "snapshot.storage.k8s.io", "x-k8s.io")
_IGNORED_META = frozenset({"managedFields", "resourceVersion", "generation"})
_WORDS: dict[type, str] = {bool: "the boolean", int: "the number", float: "the number"}
_TEXT_MAPS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector"})


class ObjectId(NamedTuple):
    """What an object is known by, without a version: `<Kind>[.<group>] [<namespace>/]<name>`."""

    kind: str
    group: str
    namespace: str
    name: str

    @property
    def type(self) -> str:
        """Kind and group, such as `StatefulSet.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def __str__(self) -> str:
        return f"{self.type} {self.namespace}/{self.name}" if self.namespace else f"{self.type} {self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectId:
        """Read an id as `str` writes it."""
        kind, _, name = text.partition(" ")
        kind, _, group = kind.partition(".")
        namespace, _, last = name.rpartition("/")
        return cls(kind, group, namespace, last)

    @classmethod
    def of(cls, obj: Object) -> ObjectId:
        """Return the id of an object that has apiVersion, kind and metadata.name."""
        group, _, _ = obj["apiVersion"].rpartition("/")
        return cls(obj["kind"], group, obj["metadata"].get("namespace") or "", obj["metadata"]["name"])


def object_id(obj: Object) -> str:
    """Return the id of an object as text, such as `StatefulSet.apps clickhouse/clickhouse`."""
    return str(ObjectId.of(obj))


def is_built_in(group: str) -> bool:
    """Whether a group belongs to Kubernetes itself, and not to a CRD or an aggregated API."""
    if any(group == name or group.endswith(f".{name}") for name in _CUSTOM_K8S_GROUPS):
        return False
    return "." not in group or group.endswith(_BUILT_IN_SUFFIX)


def wave(which: ObjectId) -> int:
    """Return when an object is applied: 0 namespaces and CRDs, 1 configuration, 2 workloads, 3 what extends the API."""
    if which.type in {"Namespace", CRD}:
        return FOUNDATION
    if which.type in _WORKLOADS:
        return WORKLOAD
    return CONFIG if is_built_in(which.group) and which.group not in _LATE_GROUPS else CUSTOM


@dataclass(frozen=True)
class Item:
    """One object that is to be applied.

    Attributes:
        id: What it is known by.
        body: What is sent.
        unknown: It depends on a value that is known only after the run.
    """

    id: ObjectId
    body: Object
    unknown: bool

    @property
    def wave(self) -> int:
        """When it is applied."""
        return wave(self.id)


def prepare(objects: Iterable[Any], component: str = "") -> list[Item]:
    """Make parsed manifests ready to be sent.

    Lists are unfolded, empty documents dropped, nulls and status removed, labels set, types judged.

    Args:
        objects: Parsed documents.
        component: Name of the component that they belong to.

    Returns:
        The objects in their order.

    Raises:
        KontrolError: All that is wrong with all of them.
    """
    items: dict[ObjectId, Item] = {}
    problems: list[str] = []
    for number, obj in enumerate(_unfold(objects), 1):
        wrong = _shape_problem(obj)
        if wrong:
            problems.append(f"document {number}: {wrong}")
            continue
        item = _item(obj, component)
        problems += [f"{item.id}: {text}" for text in _type_problems(item)]
        if item.id in items:
            problems.append(f"{item.id}: is given twice")
        items[item.id] = item
    if problems:
        raise KontrolError("Objects cannot be applied as they are written:\n" + "\n".join(f"  {p}" for p in problems))
    return list(items.values())


def _unfold(objects: Iterable[Any]) -> Iterator[Any]:
    for obj in objects:
        if isinstance(obj, dict) and str(obj.get("kind", "")).endswith("List") and isinstance(obj.get("items"), list):
            yield from _unfold(obj["items"])
        elif isinstance(obj, list):
            yield from _unfold(obj)
        elif obj is not None:
            yield obj


def _shape_problem(obj: Any) -> str | None:
    if not isinstance(obj, dict):
        return f"is {type(obj).__name__}, not a Kubernetes object"
    for key in ("apiVersion", "kind"):
        if not isinstance(obj.get(key), str) or not obj[key]:
            return f"has no '{key}'"
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        return f"{obj['kind']} has no 'metadata.name'"
    for key in ("name", "namespace"):
        if not isinstance(meta.get(key) or "", str):
            return f"{obj['kind']} has 'metadata.{key}' {meta[key]!r}, text is needed; put it in quotes"
    return None


def _item(obj: Object, component: str) -> Item:
    body: Object = without_nulls({key: value for key, value in obj.items() if key != "status"})
    labels = body["metadata"].setdefault("labels", {})
    if isinstance(labels, dict):
        labels[MANAGED_BY] = OWNER
        if component:
            labels[COMPONENT] = component
    unknown = holds_sentinel(body)
    if body["kind"] == "Secret" and isinstance(body.get("stringData"), dict) and not unknown:
        _fold_string_data(body)
    return Item(ObjectId.of(body), body, unknown)


def _fold_string_data(secret: Object) -> None:
    """Turn stringData into data: it is write-only, so a key removed from it would never leave the object."""
    data = secret.setdefault("data", {})
    for key, value in list(secret["stringData"].items()):
        if isinstance(value, str):
            data[key] = base64.b64encode(value.encode()).decode()
            del secret["stringData"][key]
    if not secret["stringData"]:
        del secret["stringData"]


def without_nulls(value: Any) -> Any:
    """Copy a value without the keys that are null: null means absent, on create as on update."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def holds_sentinel(value: Any) -> bool:
    """Whether a value that is not known yet hides anywhere in here."""
    if isinstance(value, dict):
        return any(holds_sentinel(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_sentinel(item) for item in value)
    return isinstance(value, str) and SENTINEL in value


def _type_problems(item: Item) -> list[str]:
    body = item.body
    spots = [(f"metadata.{key}", body["metadata"].get(key)) for key in ("labels", "annotations")]
    if body["kind"] in {"ConfigMap", "Secret"} and not item.id.group:
        spots += [(key, body.get(key)) for key in ("data", "stringData")]
    elif is_built_in(item.id.group) and item.id.type != CRD:
        spots += list(_text_maps(body.get("spec"), "spec"))
    problems: list[str] = []
    for path, mapping in spots:
        if mapping is not None and not isinstance(mapping, dict):
            problems.append(f"'{path}' is {type(mapping).__name__}, a mapping is needed")
            continue
        problems += [
            f"'{path}.{key}' is {_shown(item, value)}, text is needed; put it in quotes where it is written"
            for key, value in (mapping or {}).items()
            if not isinstance(value, str)
        ]
    return problems


def _shown(item: Item, value: Any) -> str:
    kind = _WORDS.get(type(value), f"of type {type(value).__name__}")
    if item.id.type == "Secret" or isinstance(value, (dict, list)):
        return kind
    return f"{kind} {str(value).lower() if isinstance(value, bool) else value}"


def _text_maps(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every place below a spec where Kubernetes wants text: labels, selectors, values of variables."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _text_maps(inner, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _TEXT_MAPS:
                yield f"{path}.{key}", inner
            elif key == "env" and isinstance(inner, list):
                for entry in inner:
                    if isinstance(entry, dict) and "value" in entry:
                        yield f"{path}.env[name={entry.get('name')}]", {"value": entry["value"]}
            else:
                yield from _text_maps(inner, f"{path}.{key}")


def comparable(obj: Object) -> Object:
    """Return what of an object counts as its content.

    Left out are status, managedFields, resourceVersion and generation: the server moves them on its own, and
    resourceVersion even when an apply changes nothing (an empty list in the manifest is enough).
    """
    kept = {key: value for key, value in obj.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in _IGNORED_META}
    return kept


def same(before: Object, after: Object) -> bool:
    """Whether two states of an object have the same content; null and absent are the same."""
    left, right = comparable(before), comparable(after)
    return left == right or bool(without_nulls(left) == without_nulls(right))


def redacted(obj: Object) -> Object:
    """Return an object that may be shown: of a Secret only the names of its keys are left."""
    if obj.get("kind") != "Secret":
        return obj
    shown: Object = {
        key: dict.fromkeys(value, HIDDEN) if key in {"data", "stringData"} and isinstance(value, dict) else value
        for key, value in obj.items()
    }
    notes = (shown.get("metadata") or {}).get("annotations") or {}
    if LAST_APPLIED in notes:
        shown["metadata"] = {**shown["metadata"], "annotations": {**notes, LAST_APPLIED: HIDDEN}}
    return shown


def scrubbed(text: str, obj: Object) -> str:
    """Take the values of a Secret out of a text about it, such as an error of the server."""
    if obj.get("kind") != "Secret":
        return text
    for value in [*(obj.get("data") or {}).values(), *(obj.get("stringData") or {}).values()]:
        if isinstance(value, str) and value:
            text = text.replace(value, HIDDEN)
            try:
                plain = base64.b64decode(value, validate=True).decode()
            except ValueError:
                continue
            text = text.replace(plain, HIDDEN) if plain else text
    return text
