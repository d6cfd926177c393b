"""The stacks as text: one set of pins, nothing of a place or a credential in them, formatted as terraform does it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "terraform"
FOLDERS = sorted({file.parent for file in ROOT.rglob("*.tf")})
FILES = sorted(ROOT.rglob("*.tf"))


def block(file: Path, start: str) -> str:
    """The block of a file that starts so, up to its closing brace."""
    return (file.read_text(encoding="utf-8") + "\n").partition(start)[2].partition("\n}\n")[0]


def test_there_are_stacks_and_a_module() -> None:
    assert [str(folder.relative_to(ROOT)) for folder in FOLDERS] == [
        "modules/aws_bucket",
        "stacks/aws/bootstrap",
        "stacks/aws/cluster",
        "stacks/aws/foundation",
        "stacks/aws/state",
    ]


def test_all_pin_the_same_versions() -> None:
    words = r'^ +(required_version|source|version) += "(.+)"$'
    found = {tuple(re.findall(words, (folder / "versions.tf").read_text(), re.MULTILINE)) for folder in FOLDERS}
    (pinned,) = found
    assert [name for name, _value in pinned] == ["required_version", "source", "version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", dict(pinned)["version"]), "an exact version of the provider"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_credential_no_address_no_account_stands_in_a_stack(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"access_key|secret_key|profile|token|endpoint|skip_|https?://|\b\d{12}\b", text)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_variables_and_outputs_are_typed_told_and_in_order(folder: Path) -> None:
    for name, kind, needed in (("variables", "variable", ("description", "type")), ("outputs", "output", ("value",))):
        file = folder / f"{name}.tf"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        found = re.findall(rf'^{kind} "(\w+)"', text, re.MULTILINE)
        assert found == sorted(found)
        for one in found:
            for word in (*needed, "description"):
                assert re.search(rf"^  {word} +=", block(file, f'{kind} "{one}" {{'), re.MULTILINE), (one, word)


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on PATH")
def test_they_are_formatted() -> None:
    done = subprocess.run(
        ["terraform", f"-chdir={ROOT}", "fmt", "-check", "-recursive"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
