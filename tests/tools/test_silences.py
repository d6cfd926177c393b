"""Silences: made for some components, ended by their author, against a small Alertmanager."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import silences
from images.tools.kontrol_tools.errors import ArgumentError, ToolError
from tests.tools.conftest import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kept() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def step(kept: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    class Handler(BaseHTTPRequestHandler):
        def say(self, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.append({**made, "id": f"s{len(kept)}", "status": {"state": "active"}})
            self.say({"silenceID": kept[-1]["id"]})

        def do_GET(self) -> None:
            self.say(kept)

        def do_DELETE(self) -> None:
            for one in kept:
                if self.path.endswith(one["id"]):
                    one["status"] = {"state": "expired"}
            self.say({})

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with serving(Handler) as port:
        yield {"host": "127.0.0.1", "port": port, "components": ["a", "b"], "seconds": 60, "comment": "drill r1"}


def test_a_silence_is_made_and_ended_and_others_stay(step: dict[str, Any], kept: list[dict[str, Any]]) -> None:
    kept.append({"id": "person", "createdBy": "somebody", "status": {"state": "active"}})
    made = silences.silence(step)["id"]
    (matcher,) = kept[1]["matchers"]
    assert matcher == {"name": "component", "value": "a|b", "isRegex": True, "isEqual": True}
    assert kept[1]["startsAt"] < kept[1]["endsAt"]
    assert silences.unsilence(step) == {"ended": [made]}
    assert [one["status"]["state"] for one in kept] == ["active", "expired"]
    assert silences.unsilence(step) == {"ended": []}


@pytest.mark.parametrize("components", [None, [], "a", [1]])
def test_components_are_names(step: dict[str, Any], components: Any) -> None:
    with pytest.raises(ArgumentError, match="'components' must be a list of names"):
        silences.silence({**step, "components": components})


def test_no_alertmanager_is_an_error(unused_port: int, step: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match=r"Alertmanager '127.0.0.1' does not take 'POST silences'"):
        silences.silence({**step, "port": unused_port})
