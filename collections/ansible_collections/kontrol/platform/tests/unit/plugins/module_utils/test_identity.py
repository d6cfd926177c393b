from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import access, identity, state
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import Outputs, Record
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi, kubeconfig

WAY = access.parse(kubeconfig(), "kind")
OUTPUTS = Outputs("kind", "kontrol-r", WAY.api_server, WAY.ca_sha256, "v1", ("a",))
RECORD = Record("ready", "kind", "kontrol-r", "run-1", "2026-01-01T00:00:00Z", WAY.api_server, WAY.ca_sha256)
OWN = identity.Identity("r", "id-1", "run-1", "2026-01-01T00:00:00Z")


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    assert identity.load(tmp_path) is None
    made, new = identity.ensure(tmp_path, "r", "run-1")
    assert new
    assert identity.ensure(tmp_path, "r", "run-2") == (made, False)
    assert identity.load(tmp_path) == made


def test_an_identity_of_another_region_is_refused(tmp_path: Path) -> None:
    identity.ensure(tmp_path, "r", "run-1")
    with pytest.raises(identity.IdentityError, match='belongs to region "r", not to "s"'):
        identity.ensure(tmp_path, "s", "run-2")


def test_unknown_content_is_refused(tmp_path: Path) -> None:
    state.write_json(tmp_path / identity.FILE, {"id": "x"})
    with pytest.raises(state.StateError, match="unknown content"):
        identity.load(tmp_path)


def test_a_way_that_agrees_with_driver_and_record_is_taken() -> None:
    identity.check_path(WAY, OUTPUTS, RECORD)
    identity.check_path(WAY, OUTPUTS, None)


@pytest.mark.parametrize(
    ("way", "outputs", "record", "words"),
    [
        (
            replace(WAY, api_server="https://other:1"),
            OUTPUTS,
            RECORD,
            ["https://other:1", WAY.api_server, "the driver"],
        ),
        (replace(WAY, ca_sha256="f" * 64), OUTPUTS, RECORD, ["f" * 16, WAY.ca_sha256[:16]]),
        (WAY, OUTPUTS, replace(RECORD, ca_sha256="e" * 64), ["e" * 16, "the creation recorded"]),
        (WAY, OUTPUTS, replace(RECORD, api_server="https://old:1"), ["https://old:1"]),
    ],
)
def test_another_cluster_is_refused_and_both_are_named(
    way: access.Access, outputs: Outputs, record: Record, words: list[str]
) -> None:
    with pytest.raises(identity.IdentityError, match="leads to another cluster than") as caught:
        identity.check_path(way, outputs, record)
    assert all(word in str(caught.value) for word in [*words, "nothing was sent"])


def test_what_a_cluster_carries() -> None:
    api = FakeApi()
    assert not identity.check_carried(api.get(identity.CONFIGMAP_PATH), OWN, "x")
    identity.claim(api, OWN, "run-1")
    assert identity.check_carried(api.get(identity.CONFIGMAP_PATH), OWN, "x")
    assert api.writes == [identity.NAMESPACE_PATH, identity.CONFIGMAP_PATH]
    for other in (replace(OWN, id="id-2"), replace(OWN, region="s")):
        with pytest.raises(identity.IdentityError, match='carries the identity of region "r"'):
            identity.check_carried(api.get(identity.CONFIGMAP_PATH), other, "x")


def test_the_refusal_of_an_unclaimed_cluster_tells_the_way_out() -> None:
    assert "-e adopt=r" in str(identity.refuse_unclaimed("r", "https://x"))
