"""A small Kubernetes API server in threads, for unit tests.

It keeps objects in memory, does server-side apply well enough (field owners, conflicts, dry run, removed fields),
serves LIST with selectors and pages, WATCH, DELETE with finalizers, and can be told to fail. Every request is logged,
so that a test can assert that nothing was written.
"""

from __future__ import annotations

import copy
import json
import queue
import re
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
FieldPath = tuple[Any, ...]

KINDS: dict[str, dict[str, tuple[str, bool]]] = {
    "v1": {
        "Namespace": ("namespaces", False),
        "ConfigMap": ("configmaps", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
        "ServiceAccount": ("serviceaccounts", True),
        "Pod": ("pods", True),
        "Event": ("events", True),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    },
    "apps/v1": {
        "Deployment": ("deployments", True),
        "StatefulSet": ("statefulsets", True),
        "DaemonSet": ("daemonsets", True),
    },
    "batch/v1": {"Job": ("jobs", True)},
    "storage.k8s.io/v1": {"StorageClass": ("storageclasses", False)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True)},
    "coordination.k8s.io/v1": {"Lease": ("leases", True)},
    "apiextensions.k8s.io/v1": {"CustomResourceDefinition": ("customresourcedefinitions", False)},
    "apiregistration.k8s.io/v1": {"APIService": ("apiservices", False)},
    "admissionregistration.k8s.io/v1": {"ValidatingWebhookConfiguration": ("validatingwebhookconfigurations", False)},
}


@dataclass
class Request:
    """One request as it was received."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]

    @property
    def writes(self) -> bool:
        return self.method != "GET" and "dryRun" not in self.query


@dataclass
class Failure:
    """A scripted answer: for the next `times` requests that match."""

    method: str
    path: str
    status: int
    body: Object
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    drop: bool = False  # close the connection instead of answering


class ApiStatusError(Exception):
    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = status(code, reason, message, details)


def status(code: int, reason: str, message: str, details: Object | None = None) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": details or {},
    }  # fmt: skip


def leaves(value: Any, path: FieldPath = ()) -> dict[FieldPath, Any]:
    """Return the leaf fields of an object; items of lists of named things are fields of their own."""
    if isinstance(value, dict) and value:
        found: dict[FieldPath, Any] = {}
        for key, inner in value.items():
            found |= leaves(inner, (*path, key))
        return found
    if _is_named(value):
        found = {}
        for item in value:
            found |= leaves(item, (*path, ("name", item["name"])))
        return found
    return {path: value}


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, dict) and "name" in i for i in value)


def own_fields(body: Object) -> dict[FieldPath, Any]:
    found = leaves({key: value for key, value in body.items() if key not in {"apiVersion", "kind"}})
    return {p: v for p, v in found.items() if p not in {("metadata", "name"), ("metadata", "namespace")}}


def read_path(obj: Any, path: FieldPath) -> Any:
    for step in path:
        if isinstance(step, tuple):
            obj = next((i for i in obj or [] if i.get("name") == step[1]), None) if isinstance(obj, list) else None
        else:
            obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def write_path(obj: Any, path: FieldPath, value: Any) -> None:
    for step, following in pairwise(path):
        if isinstance(step, tuple):
            item = next((i for i in obj if i.get("name") == step[1]), None)
            if item is None:
                item = {"name": step[1]}
                obj.append(item)
            obj = item
        else:
            empty: Any = [] if isinstance(following, tuple) else {}
            if not isinstance(obj.get(step), type(empty)):
                obj[step] = empty
            obj = obj[step]
    obj[path[-1]] = value


def drop_path(obj: Any, path: FieldPath) -> None:
    parent = read_path(obj, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def dotted(path: FieldPath) -> str:
    return "".join(f'[name="{step[1]}"]' if isinstance(step, tuple) else f".{step}" for step in path)


def fields_v1(paths: set[FieldPath]) -> Object:
    tree: Object = {}
    for path in sorted(paths, key=str):
        node = tree
        for step in path:
            node = node.setdefault(f"k:{json.dumps({'name': step[1]})}" if isinstance(step, tuple) else f"f:{step}", {})
    return tree


@dataclass
class Stored:
    obj: Object
    owners: dict[str, set[FieldPath]] = field(default_factory=dict)


class StubApi:
    """The server; use it as a context manager.

    Attributes:
        requests: All that was asked, in order.
        failures: Scripted answers, see `fail`.
        logs: Pod logs by the path of the pod.
        hooks: Called with each stored object after a write; may change it (a controller, an admission plugin).
        kinds: What discovery serves.
    """

    def __init__(self, certificate: tuple[Path, Path, Path] | None = None, token: str | None = None) -> None:
        self.requests: list[Request] = []
        self.failures: list[Failure] = []
        self.logs: dict[str, str] = {}
        self.hooks: list[Any] = []
        self.token = token
        self.kinds = copy.deepcopy(KINDS)
        self.discovery_lag = 0
        self.lock = threading.RLock()
        self.version = 100
        self.store: dict[str, Stored] = {}
        self.watchers: list[tuple[str, dict[str, str], queue.Queue[Any]]] = []
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.api = self
        if certificate:
            chain, key, authority = certificate
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain, key)
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_OPTIONAL
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server.server_port}"
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kontrol-system"}})

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for _, _, events in list(self.watchers):
            events.put(None)
        self.server.shutdown()
        self.server.server_close()

    # What tests use --------------------------------------------------------------------------------------------------

    def kubeconfig(self, folder: Path, **extra: Any) -> str:
        """Write a kubeconfig for this server and return its path."""
        path = folder / "kubeconfig"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": self.token} if self.token else {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], **extra,
        }  # fmt: skip
        path.write_text(json.dumps(config))
        return str(path)

    @property
    def writes(self) -> list[Request]:
        """The requests that were to change something."""
        return [request for request in self.requests if request.writes]

    def fail(self, method: str, path: str, code: int, reason: str = "", message: str = "scripted", **more: Any) -> None:
        """Answer the next matching requests with a failure; `path` is a regular expression."""
        details = more.pop("details", None)
        self.failures.append(Failure(method, path, code, status(code, reason, message, details), **more))

    def path(self, obj: Object) -> str:
        plural, namespaced = self.kinds[obj["apiVersion"]][obj["kind"]]
        root = "/apis/" if "/" in obj["apiVersion"] else "/api/"
        space = f"/namespaces/{obj['metadata']['namespace']}" if namespaced else ""
        return f"{root}{obj['apiVersion']}{space}/{plural}/{obj['metadata']['name']}"

    def put(self, obj: Object, manager: str | None = None) -> Object:
        """Store an object as somebody else's write would, taking over all its fields for a manager."""
        with self.lock:
            path = self.path(obj)
            old = self.store.get(path)
            stored = Stored(copy.deepcopy(obj), {k: set(v) for k, v in old.owners.items()} if old else {})
            if manager:
                mine = set(own_fields(obj))
                stored.owners = {name: paths - mine for name, paths in stored.owners.items()} | {manager: mine}
            self._commit(path, stored, old)
            return stored.obj

    def get(self, path: str) -> Object | None:
        stored = self.store.get(path)
        return stored.obj if stored else None

    def remove(self, path: str) -> None:
        with self.lock:
            stored = self.store.pop(path, None)
            if stored:
                self.version += 1
                stored.obj["metadata"]["resourceVersion"] = str(self.version)
                self._tell("DELETED", path, stored.obj)

    # Storage ---------------------------------------------------------------------------------------------------------

    def _commit(self, path: str, stored: Stored, old: Stored | None) -> None:
        meta = stored.obj["metadata"]
        self.version += 1
        before = old.obj["metadata"] if old else {}
        meta.setdefault("uid", before.get("uid") or str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", before.get("creationTimestamp") or "2026-01-01T00:00:00Z")
        same_spec = old is not None and old.obj.get("spec") == stored.obj.get("spec")
        meta["generation"] = before.get("generation", 0) + (0 if same_spec else 1)
        meta["resourceVersion"] = str(self.version)
        for hook in self.hooks:
            hook(stored.obj)
        self._manage(stored)
        self.store[path] = stored
        self._tell("MODIFIED" if old else "ADDED", path, stored.obj)

    @staticmethod
    def _manage(stored: Stored) -> None:
        stored.obj["metadata"]["managedFields"] = [
            {
                "manager": name,
                "operation": "Apply" if name == "kontrol" else "Update",
                "fieldsType": "FieldsV1",
                "fieldsV1": fields_v1(paths),
            }
            for name, paths in stored.owners.items()
            if paths
        ]

    def _tell(self, kind: str, path: str, obj: Object) -> None:
        for collection, query, events in list(self.watchers):
            if path.rpartition("/")[0] == collection and _selected(obj, query):
                events.put({"type": kind, "object": copy.deepcopy(obj)})

    # Requests --------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> tuple[int, Object]:
        discovery = self._discovery(request.path)
        if discovery is not None:
            return 200, discovery
        with self.lock:
            if request.method == "GET":
                return 200, self._read(request)
            if request.method == "PATCH" and request.headers.get("Content-Type") == "application/merge-patch+json":
                return 200, self._merge(request)
            if request.method == "PATCH":
                return self._apply(request)
            if request.method == "DELETE":
                return 200, self._delete(request)
            if request.method == "POST":
                path = f"{request.path}/{request.body['metadata']['name']}"
                stored = Stored(request.body)
                self._commit(path, stored, None)
                return 201, stored.obj
        raise ApiStatusError(405, "MethodNotAllowed", "not here")

    def _discovery(self, path: str) -> Object | None:
        if not re.fullmatch(r"/api/v1|/apis/[^/]+(/[^/]+)?", path):
            return None
        name = path.removeprefix("/apis/").removeprefix("/api/")
        if name in self.kinds:
            listed = [
                {"name": plural, "kind": kind, "namespaced": namespaced}
                for kind, (plural, namespaced) in self.kinds[name].items()
            ]
            return {
                "kind": "APIResourceList",
                "resources": [*listed, {"name": "x/status", "kind": "X", "namespaced": True}],
            }
        versions = [{"groupVersion": one} for one in self.kinds if one.split("/")[0] == name]
        if versions:
            return {"kind": "APIGroup", "versions": versions, "preferredVersion": versions[0]}
        raise ApiStatusError(404, "NotFound", "the server could not find the requested resource")

    def _read(self, request: Request) -> Object:
        path = request.path
        if path.endswith("/log"):
            return {"log": self.logs.get(path.removesuffix("/log"), "")}
        if path in self.store:
            return self.store[path].obj
        plural = path.rpartition("/")[2]
        match = re.fullmatch(r"/apis?/((?:[^/]+/)?v[^/]+)(?:/namespaces/([^/]+))?/([^/]+)", path)
        kinds = self.kinds.get(match[1], {}) if match else {}
        kind = next((kind for kind, (name, _) in kinds.items() if name == plural), None)
        if not match or not kind:
            raise ApiStatusError(404, "NotFound", f'"{plural}" not found', {"name": plural})
        return self._list(path, kind, match, request.query)

    def _list(self, path: str, kind: str, match: re.Match[str], query: dict[str, str]) -> Object:
        def inside(key: str) -> bool:
            parent = key.rpartition("/")[0]
            return parent == path or (not match[2] and re.sub(r"/namespaces/[^/]+", "", parent) == path)

        found = [s.obj for key, s in sorted(self.store.items()) if inside(key) and _selected(s.obj, query)]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        page = [
            {k: v for k, v in obj.items() if k not in {"apiVersion", "kind"}} for obj in found[start : start + limit]
        ]
        meta = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            meta["continue"] = str(start + limit)
        return {"apiVersion": match[1], "kind": f"{kind}List", "metadata": meta, "items": page}

    def _apply(self, request: Request) -> tuple[int, Object]:
        self._needs_namespace(request.path)
        self._needs_kind(request.path)
        old = self.store.get(request.path)
        manager, force = request.query["fieldManager"], request.query["force"] == "true"
        mine = own_fields(request.body)
        obj = copy.deepcopy(old.obj) if old else {k: request.body[k] for k in ("apiVersion", "kind")} | {"metadata": {}}
        obj["metadata"]["name"] = request.body["metadata"]["name"]
        if "namespace" in request.body["metadata"]:
            obj["metadata"]["namespace"] = request.body["metadata"]["namespace"]
        owners = {name: set(paths) for name, paths in old.owners.items()} if old else {}
        self._settle_conflicts(obj, mine, owners, manager, force=force)
        others = set().union(*(paths for name, paths in owners.items() if name != manager)) if owners else set()
        for path in owners.get(manager, set()) - mine.keys() - others:
            drop_path(obj, path)
        for path, value in mine.items():
            write_path(obj, path, copy.deepcopy(value))
        owners[manager] = set(mine)
        return self._save(request, old, Stored(obj, owners))

    def _merge(self, request: Request) -> Object:
        old = self.store.get(request.path)
        if old is None:
            raise ApiStatusError(404, "NotFound", "not found", {"name": request.path.rpartition("/")[2]})
        new = Stored(copy.deepcopy(old.obj), old.owners)
        for path, value in own_fields(request.body).items():
            write_path(new.obj, path, value)
        self._commit(request.path, new, old)
        return new.obj

    def _save(self, request: Request, old: Stored | None, new: Stored) -> tuple[int, Object]:
        quirk = "[]" in json.dumps(request.body)  # the real server then moves the version at each apply
        if "dryRun" in request.query:
            self._manage(new)
            for hook in self.hooks if old is None or old.obj.get("spec") != new.obj.get("spec") else []:
                hook(new.obj)
            return (200 if old else 201), new.obj
        if old and old.obj == new.obj and old.owners == new.owners and not quirk:
            return 200, old.obj
        self._commit(request.path, new, old)
        if new.obj["kind"] == "CustomResourceDefinition":
            self._define(new.obj)
        return (200 if old else 201), new.obj

    def _settle_conflicts(
        self, obj: Object, mine: dict[FieldPath, Any], owners: dict[str, set[FieldPath]], manager: str, *, force: bool
    ) -> None:
        conflicts = [
            (path, name)
            for path, value in mine.items()
            for name, paths in owners.items()
            if name != manager and path in paths and read_path(obj, path) != value
        ]
        if conflicts and not force:
            causes = [
                {"reason": "FieldManagerConflict", "message": f'conflict with "{name}" using v1', "field": dotted(path)}
                for path, name in conflicts
            ]
            raise ApiStatusError(409, "Conflict", "Apply failed with conflicts", {"causes": causes})
        for path, name in conflicts:
            owners[name].discard(path)

    def _needs_namespace(self, path: str) -> None:
        match = re.search(r"/namespaces/([^/]+)/", path)
        if match and f"/api/v1/namespaces/{match[1]}" not in self.store:
            raise ApiStatusError(
                404, "NotFound", f'namespaces "{match[1]}" not found', {"kind": "namespaces", "name": match[1]}
            )

    def _needs_kind(self, path: str) -> None:
        plural = path.split("/")[-2]
        if not any(plural == name for kinds in self.kinds.values() for name, _ in kinds.values()):
            raise ApiStatusError(404, "NotFound", "the server could not find the requested resource")

    def _define(self, crd: Object) -> None:
        names, group = crd["spec"]["names"], crd["spec"]["group"]
        crd["status"] = {"conditions": [{"type": "Established", "status": "True"}]}

        def serve() -> None:
            for version in crd["spec"]["versions"]:
                served = self.kinds.setdefault(f"{group}/{version['name']}", {})
                served[names["kind"]] = (names["plural"], crd["spec"]["scope"] == "Namespaced")

        if not self.discovery_lag:
            serve()
        else:
            threading.Timer(self.discovery_lag, serve).start()

    def _delete(self, request: Request) -> Object:
        stored = self.store.get(request.path)
        if stored is None:
            raise ApiStatusError(404, "NotFound", "not found", {"name": request.path.rpartition("/")[2]})
        meta = stored.obj["metadata"]
        wanted = ((request.body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != meta["uid"]:
            raise ApiStatusError(409, "Conflict", "the UID in the precondition does not match")
        if meta.get("finalizers"):
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return stored.obj
        self.remove(request.path)
        for path in [path for path in self.store if path.startswith(f"{request.path}/")]:
            self.remove(path)
        return {"kind": "Status", "status": "Success"}


def _selected(obj: Object, query: dict[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = term.partition("=")
        if labels.get(key) != value:
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = term.partition("=")
        if read_path(obj, tuple(key.split("."))) != value:
            return False
    return True


class Server(ThreadingHTTPServer):
    """The HTTP server; knows its stub."""

    daemon_threads = True
    api: StubApi


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; the stub is found on the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def api(self) -> StubApi:
        return cast("Server", self.server).api

    def log_message(self, *_args: object) -> None:
        pass

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        request = Request(self.command, parts.path, query, body, dict(self.headers.items()))
        self.api.requests.append(request)
        if self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}":
            self.reply(401, status(401, "Unauthorized", "Unauthorized"))
        elif not self.scripted(request):
            self.normal(request)

    def scripted(self, request: Request) -> bool:
        for failure in self.api.failures:
            if failure.times and failure.method in {request.method, "*"} and re.search(failure.path, self.path):
                failure.times -= 1
                if failure.drop:
                    self.close_connection = True
                else:
                    self.reply(failure.status, failure.body, failure.headers)
                return True
        return False

    def normal(self, request: Request) -> None:
        if request.query.get("watch"):
            self.stream(request)
            return
        try:
            code, body = self.api.answer(request)
        except ApiStatusError as error:
            code, body = error.code, error.body
        if request.path.endswith("/log") and code == 200:
            self.reply_bytes(code, body["log"].encode())
            return
        self.reply(code, body)

    def reply(self, code: int, body: Object, headers: dict[str, str] | None = None) -> None:
        self.reply_bytes(code, json.dumps(body).encode(), headers)

    def reply_bytes(self, code: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def stream(self, request: Request) -> None:
        events: queue.Queue[Any] = queue.Queue()
        with self.api.lock:
            self.api.watchers.append((request.path, request.query, events))
            missed = [
                s.obj
                for path, s in self.api.store.items()
                if path.rpartition("/")[0] == request.path
                and int(s.obj["metadata"]["resourceVersion"]) > int(request.query["resourceVersion"])
                and _selected(s.obj, request.query)
            ]
            for obj in missed:
                events.put({"type": "MODIFIED", "object": copy.deepcopy(obj)})
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        deadline = time.monotonic() + float(request.query.get("timeoutSeconds", 60))
        try:
            self.pump(events, deadline)
        except OSError:
            self.close_connection = True

    def pump(self, events: queue.Queue[Any], deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = events.get(timeout=min(left, 0.5))
            except queue.Empty:
                continue
            if event is None:
                break
            data = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = handle_any  # noqa: N815 - http.server's names
