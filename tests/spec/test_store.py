"""Which store is read: an unknown one, or a second one that is not declared, ends a run before it has begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.test_bad_input import GOOD, ROOT, run

SECOND = "foundation: {second_store: {endpoint: https://s3.example.com, bucket: copies}}\n"
UNKNOWN = 'Store "third" is not known: name "second", or leave it out for the store of the region itself'
UNDECLARED = 'Region "good" has no second store: declare it as foundation.second_store, with endpoint and bucket'


@pytest.mark.parametrize("playbook", ["backups", "restore"])
@pytest.mark.parametrize(
    ("text", "store", "why"),
    [(GOOD, "third", UNKNOWN), (GOOD + SECOND, "third", UNKNOWN), (GOOD, "second", UNDECLARED)],
)
def test_a_store_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, playbook: str, text: str, store: str, why: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "region.yml").write_text(text, encoding="utf-8")
    file = str(ROOT / "playbooks" / f"{playbook}.yml")
    done = run(tmp_path, "ansible-playbook", "-i", "good", file, "-e", f"store={store}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert why in done.stdout.replace('\\"', '"')
    assert not (tmp_path / "state").exists()
