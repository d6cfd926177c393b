"""Fixtures of the engine's tests: the stub API server and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi


@pytest.fixture
def api() -> Iterator[StubApi]:
    with StubApi() as server:
        yield server


@pytest.fixture
def client(api: StubApi, tmp_path: Path) -> Iterator[Client]:
    one = Client(kubeconfig.load(api.kubeconfig(tmp_path)), sleep=lambda _seconds: None)
    yield one
    one.close()
