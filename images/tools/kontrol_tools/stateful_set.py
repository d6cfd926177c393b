"""Stops and starts a StatefulSet from inside a pod, as the pod's service account: its scale, and nothing else of it."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MANAGER: Final = "kontrol-tools"
"""What the API server calls us: the owner of what was written last."""
_TIMEOUT: Final = 10.0
_PAUSES: Final = (0.2, 1.0, 3.0)
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class StatefulSet:
    """One StatefulSet with at most one pod.

    Attributes:
        namespace: Where it is.
        name: Its name.
        account: Folder with the token and the API server's authority.
    """

    namespace: str
    name: str
    account: Path = _ACCOUNT

    @classmethod
    def from_arguments(cls, step: Mapping[str, Any]) -> StatefulSet:
        """Read `namespace`, `stateful_set`, and `account`: a folder, if it is not the usual one."""
        account = Path(arguments.text(step, "account", str(_ACCOUNT)))
        return cls(arguments.text(step, "namespace"), arguments.text(step, "stateful_set"), account)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def image(self, container: str) -> str:
        """Return which image a container of it is declared to run; "" when there is no such container."""
        containers = self._ask("GET")["spec"]["template"]["spec"]["containers"]
        return next((str(one["image"]) for one in containers if one["name"] == container), "")

    def wanted(self) -> int:
        """Return how many pods are asked for."""
        return int(self._ask("GET", "/scale")["spec"].get("replicas", 0))

    def scale(self, replicas: int) -> None:
        """Ask for a number of pods. Raises ToolError."""
        self._ask("PATCH", f"/scale?fieldManager={_MANAGER}", {"spec": {"replicas": replicas}})

    def wait(self, replicas: int, seconds: float) -> None:
        """Wait until no pod is left, or the only one is ready. Raises ToolError."""
        deadline = time.monotonic() + seconds
        while True:
            status = self._ask("GET").get("status") or {}
            if (status.get("readyReplicas", 0) if replicas else status.get("replicas", 0)) == replicas:
                return
            if time.monotonic() > deadline:
                state = "ready" if replicas else "stopped"
                raise ToolError(f"StatefulSet '{self}' is not {state} after {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _ask(self, method: str, rest: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request, again while nobody answers. Raises ToolError."""
        pauses = list(_PAUSES)
        while True:
            try:
                return self._answer(method, rest, body)
            except (OSError, http.client.HTTPException) as error:
                if not pauses:
                    raise ToolError(f"The API server does not answer: {type(error).__name__} {error}") from error
                time.sleep(pauses.pop(0))

    def _answer(self, method: str, rest: str, body: dict[str, Any] | None) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/{self.name}{rest}"
        token = arguments.secret(str(self.account / "token"))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
        connection = self._connection()
        try:
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"it answers {answer.status}")
        if answer.status != HTTPStatus.OK:
            raise ToolError(f"The API server answers {answer.status} to {method} of '{self}': {text[:300]}")
        found: dict[str, Any] = json.loads(text)
        return found

    def _connection(self) -> http.client.HTTPSConnection:
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{one}", "") for one in ("HOST", "PORT"))
        if not host:
            raise ToolError("There is no API server here: KUBERNETES_SERVICE_HOST is not set")
        authority = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        return http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT, context=authority)
