from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError
from ansible_collections.kontrol.platform.plugins.module_utils.lease import ConflictError
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeClock


class FakeClient:
    """The engine's client, as far as Api calls it."""

    class connection:  # noqa: N801 - an attribute of the real one
        server = "https://x"

    def __init__(self, status: int = 0, ready_after: int = 0) -> None:
        self.status = status
        self.ready_after = ready_after
        self.sent: list[tuple[str, str]] = []

    def request(self, method: str, path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((method, path))
        if self.status:
            raise ApiError(f"{method} {path}", self.status, b"{}", "file")
        return body

    def text(self, path: str) -> str:
        self.ready_after -= 1
        if self.ready_after >= 0:
            raise KontrolError("refused")
        return "ok"


def api(client: FakeClient) -> Api:
    return Api(client)  # type: ignore[arg-type]


def test_a_conflict_is_told_apart_from_other_refusals() -> None:
    client = FakeClient()
    assert api(client).create("/a", {"b": 1}) == {"b": 1}
    api(client).replace("/a/b", {})
    assert client.sent == [("POST", "/a"), ("PUT", "/a/b")]
    with pytest.raises(ConflictError):
        api(FakeClient(409)).replace("/a/b", {})
    with pytest.raises(ApiError):
        api(FakeClient(403)).create("/a", {})


def test_waiting_for_a_server_tells_its_progress_and_ends() -> None:
    clock, said = FakeClock(), list[str]()
    api(FakeClient(ready_after=50)).wait_ready(said.append, 60, clock, clock.sleep)
    assert said == [
        "API server https://x is not ready yet (10 s of 60 s)",
        "API server https://x is not ready yet (20 s of 60 s)",
    ]
    with pytest.raises(KontrolError, match='API server "https://x" was not ready after 60 s'):
        api(FakeClient(ready_after=500)).wait_ready(said.append, 60, clock, clock.sleep)
