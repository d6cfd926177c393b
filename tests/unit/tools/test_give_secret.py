"""Secrets that a person gives: never an argument, never shown, and not while a run writes."""

from __future__ import annotations

import getpass
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import paths, process, secrets, state, warden
from ansible_collections.kontrol.platform.plugins.module_utils.lease import Holder
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeTools
from tools import give_secret

NAME = "second-store/access-key"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTools]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = FakeTools()
    monkeypatch.setattr(secrets.SecretStore.__init__, "__defaults__", (lambda: ("AGE-1", "age1x"), lambda: "/bin/sops"))
    monkeypatch.setattr(process, "run", made)
    state.make_private_dir(paths.region_state("r"))
    yield made
    assert "CANARY" not in " ".join(word for call in made.calls for word in call)


def give(monkeypatch: pytest.MonkeyPatch, value: str, *words: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(value))
    return give_secret.main(words or ("r", NAME))


def stored(name: str = NAME) -> str:
    return secrets.SecretStore(paths.region_state("r"), process.run).get(name)


def test_a_value_comes_by_pipe_and_may_be_replaced(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value, done in (("CANARY-1\n", "stored"), ("CANARY-2\n", "replaced")):
        assert give(monkeypatch, value) == 0
        assert stored() == value.strip()
        assert capsys.readouterr() == (f'Secret "{NAME}" of region "r" was {done}\n', "")


def test_a_person_is_asked_without_showing_it(tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(getpass, "getpass", lambda asked: "CANARY" if NAME in asked else "")
    assert give_secret.main(["r", NAME]) == 0
    assert stored() == "CANARY"


@pytest.mark.parametrize(
    ("value", "words", "why"),
    [
        ("", ("r", NAME), "Expected a value of one line that is not empty"),
        ("CANARY\nmore", ("r", NAME), "Expected a value of one line that is not empty"),
        ("CANARY", ("r", "Key"), 'Expected a name such as second-store/access-key, found "Key"'),
        ("CANARY", ("other", NAME), 'Region "other" was never begun on this machine; run the playbook bootstrap first'),
        ("CANARY", ("../r", NAME), 'Region "../r" was never begun'),
    ],
)
def test_what_cannot_be_right_is_refused(
    tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    words: tuple[str, ...],
    why: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        give(monkeypatch, value, *words)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert why in told
    assert "CANARY" not in told


def test_it_waits_for_nobody_who_writes(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = Holder("run-1", "r", "bootstrap", os.getpid(), "here", state.now())
    lock, _holder = warden.take_lock(paths.region_state("r") / "lock", holder.to_json(), 0.0)
    assert lock is not None
    with lock:
        assert give(monkeypatch, "CANARY") == 1
    assert 'Region "r" is being written to by run "run-1" of bootstrap' in capsys.readouterr().err
    assert give(monkeypatch, "CANARY") == 0
