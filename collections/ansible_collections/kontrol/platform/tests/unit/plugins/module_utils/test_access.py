from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import access
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import CERTIFICATE, kubeconfig


def changed(**fields: Any) -> str:
    config = json.loads(kubeconfig())
    config.update(fields)
    return json.dumps(config)


def test_the_current_context_gives_address_and_ca() -> None:
    way = access.parse(kubeconfig("https://127.0.0.1:1/"), "kind")
    assert way.api_server == "https://127.0.0.1:1"
    assert len(way.ca_sha256) == 64
    assert way.user == {"token": "CANARY-token"}


def test_the_ca_is_compared_by_content_not_by_text() -> None:
    one, two = (CERTIFICATE.format(base64.b64encode(text).decode()) for text in (b"one", b"two"))

    def digest(pem: str) -> str:
        cluster = {"server": "x", "certificate-authority-data": base64.b64encode(pem.encode()).decode()}
        return access.parse(changed(clusters=[{"name": "kind-kontrol-r", "cluster": cluster}]), "x").ca_sha256

    assert digest(one + two) == digest("comment\n" + two + "\n\n" + one)
    assert digest(one) != digest(two)


def test_files_are_read_in_so_that_the_copy_works_anywhere(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE.format(base64.b64encode(b"one").decode()))
    (tmp_path / "key").write_text("key")
    config = json.loads(kubeconfig())
    config["clusters"][0]["cluster"] = {"server": "https://x", "certificate-authority": "ca.pem"}
    config["users"][0]["user"] = {"client-key": "key"}
    (tmp_path / "config").write_text(json.dumps(config))
    way = access.load(tmp_path / "config")
    assert way.user == {"client-key-data": base64.b64encode(b"key").decode()}
    again = access.parse(access.kubeconfig(way, "r"), "copy")
    assert (again.ca_sha256, again.user) == (way.ca_sha256, way.user)


def test_the_private_kubeconfig_has_one_context_and_the_mark_of_the_run() -> None:
    way = access.parse(kubeconfig(), "x")
    config = json.loads(access.kubeconfig(way, "r", "run-1"))
    assert config["extensions"] == [{"name": "kontrol.run", "extension": {"run": "run-1", "region": "r"}}]
    assert [one["name"] for one in config["contexts"]] == [config["current-context"]] == ["r"]
    assert "extensions" not in json.loads(access.kubeconfig(way, "r"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read"),
        ("[]", "is not a mapping"),
        ("{}", 'has no context ""'),
        (changed(**{"current-context": "prod"}), 'has no context "prod"'),
        (changed(clusters=[]), 'has no cluster "kind-kontrol-r"'),
        (changed(users=[]), 'has no user "kind-kontrol-r"'),
        (changed(clusters=[{"name": "kind-kontrol-r", "cluster": {"server": "x"}}]), "has no CA certificate"),
        (
            changed(clusters=[{"name": "kind-kontrol-r", "cluster": {"certificate-authority-data": "?"}}]),
            "CA certificate in kubeconfig",
        ),
        (
            changed(users=[{"name": "kind-kontrol-r", "user": {"client-key": "/not/there"}}]),
            'File "/not/there" of kubeconfig "x" cannot be read',
        ),
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_credentials(text: str, message: str) -> None:
    with pytest.raises(access.AccessError, match=message) as caught:
        access.parse(text, "x")
    assert "CANARY" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(access.AccessError, match="cannot be read: No such file"):
        access.load(tmp_path / "none")
