"""Which paths an API server offers: asked per group version, only for those needed, kept for one task.

A broken aggregated API therefore harms nobody who does not use it, and nothing is kept in files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import Object, ObjectId


class NotServedError(KontrolError):
    """The API server does not offer a kind: its CRD or aggregated API is not there."""


class Resource(NamedTuple):
    """One kind as the server offers it.

    Attributes:
        api_version: Group and version, such as `apps/v1` or `v1`.
        kind: Kind.
        plural: The word in the path.
        namespaced: Whether its objects live in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str | None = None) -> str:
        """Return the path of all objects, of one namespace or of all."""
        root = _root(self.api_version)
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def path(self, namespace: str | None, name: str) -> str:
        """Return the path of one object.

        Raises:
            KontrolError: The kind needs a namespace and has none.
        """
        if self.namespaced and not namespace:
            raise KontrolError(f"{self.kind} '{name}' has no namespace; write 'metadata.namespace'")
        return f"{self.collection(namespace if self.namespaced else None)}/{name}"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Discovery:
    """The kinds of one API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, dict[str, Resource]] = {}
        self._absent: set[tuple[str, str]] = set()
        self._groups: dict[str, list[str]] = {}

    def prefetch(self, api_versions: Iterable[str]) -> None:
        """Fetch several group versions at once; one that is not served is left for `resource` to report."""
        missing = sorted(set(api_versions) - self._known.keys())
        for api_version, found in zip(missing, self._client.map(self._fetch, missing), strict=True):
            self._known[api_version] = found

    def forget(self) -> None:
        """Drop what is known: CRDs have changed."""
        self._known.clear()
        self._absent.clear()
        self._groups.clear()

    def resource(self, api_version: str, kind: str) -> Resource:
        """Return how a kind is served; on a miss the server is asked once more.

        Raises:
            NotServedError: The kind or its group version is not offered.
        """
        found = self._known.get(api_version, {}).get(kind)
        if found is None and (api_version, kind) not in self._absent:
            self._known[api_version] = self._fetch(api_version)
            found = self._known[api_version].get(kind)
        if found is None:
            self._absent.add((api_version, kind))
            raise NotServedError(f"Kind '{kind}' of '{api_version}' is not served by the cluster; is its CRD installed")
        return found

    def path(self, obj: dict[str, Any]) -> str:
        """Return the path of an object that names its apiVersion, kind and metadata."""
        meta = obj["metadata"]
        return self.resource(obj["apiVersion"], obj["kind"]).path(meta.get("namespace"), meta["name"])

    def preferred(self, group: str, kind: str) -> Resource:
        """Return a kind of a group in the version that the server prefers (objects are known by group alone).

        Raises:
            NotServedError: The group is not offered.
        """
        for api_version in self._versions(group):
            try:
                return self.resource(api_version, kind)
            except NotServedError:
                continue
        raise NotServedError(f"Kind '{kind}' of group '{group}' is not served by the cluster; is its CRD installed")

    def _versions(self, group: str) -> list[str]:
        """Return the versions of a group, the preferred one first; none when it is not served."""
        if not group:
            return ["v1"]
        if group not in self._groups:
            try:
                found = self._client.get(f"/apis/{group}")
            except ApiError as error:
                if error.status != 404:
                    raise
                return []
            names = [found["preferredVersion"], *found["versions"]]
            self._groups[group] = list(dict.fromkeys(item["groupVersion"] for item in names))
        return self._groups[group]

    def locate(self, which: ObjectId) -> tuple[Resource, Object] | None:
        """Return how an object's kind is served and the object, None when one of them is not there."""
        try:
            resource = self.preferred(which.group, which.kind)
        except NotServedError:
            return None
        live = self._client.find(resource.path(which.namespace, which.name))
        return (resource, live) if live else None

    def _fetch(self, api_version: str) -> dict[str, Resource]:
        try:
            listed = self._client.get(_root(api_version))
        except ApiError as error:
            if error.status == 404:
                return {}
            raise KontrolError(f"API group '{api_version}' cannot be used: {error.message}") from error
        return {
            item["kind"]: Resource(api_version, item["kind"], item["name"], bool(item["namespaced"]))
            for item in listed.get("resources") or []
            if "/" not in item["name"]
        }
