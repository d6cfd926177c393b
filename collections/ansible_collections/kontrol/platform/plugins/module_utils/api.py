"""The few calls that a run makes for itself: identity, Lease, readiness, short-lived tokens; on the engine's client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wire import Wire
from ansible_collections.kontrol.platform.plugins.module_utils.lease import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.kubeconfig import Connection

CONFLICT: Final = 409
READY_SECONDS: Final = 180.0
SAY_EVERY: Final = 10.0
DEFAULT_TIMEOUT: Final = 30.0


class _PatientClient(Client):
    """The engine's client with a timeout of its own: a warden must not hang on a cluster that is gone."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        super().__init__(connection, workers=1)
        self._timeout = timeout

    def _connect(self) -> Wire:
        link = self.connection
        return Wire(link.host, link.port, link.context, self._timeout)


class Api:
    """One cluster through one kubeconfig.

    Args:
        client: The engine's client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def open(cls, path: str | Path, timeout: float = DEFAULT_TIMEOUT) -> Api:
        """Return the cluster behind a kubeconfig; nothing is sent yet. `timeout` is in seconds without a byte."""
        return cls(_PatientClient(kubeconfig.load(str(path)), timeout))

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._client.connection.server

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None when it does not exist."""
        return self._client.find(path)

    def list(self, path: str) -> list[dict[str, Any]]:
        """Return all objects of a collection."""
        return self._client.list(path)

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Apply an object as field manager kontrol and return it."""
        return self._client.apply(path, body)[1]

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object in a collection (or through a subresource).

        Raises:
            ConflictError: when it is there already.
        """
        return self._written("POST", path, body)

    def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replace an object.

        Raises:
            ConflictError: when it changed since it was read.
        """
        return self._written("PUT", path, body)

    def ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        try:
            return self._client.text("/readyz") == "ok"
        except KontrolError:
            return False

    def wait_ready(
        self,
        say: Callable[[str], None],
        timeout: float = READY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait until the API server is ready, with a line of progress now and then.

        Raises:
            KontrolError: when it is not after so many seconds.
        """
        started = said = clock()
        while not self.ready():
            now = clock()
            if now - started > timeout:
                raise KontrolError(
                    f'API server "{self.server}" was not ready after {timeout:.0f} s; see the log of its node',
                )
            if now - said >= SAY_EVERY:
                said = now
                say(f"API server {self.server} is not ready yet ({now - started:.0f} s of {timeout:.0f} s)")
            sleep(0.5)

    def _written(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._client.request(method, path, body=body)
        except ApiError as error:
            if error.status == CONFLICT:
                raise ConflictError(str(error)) from error
            raise
