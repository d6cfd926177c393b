"""The lanes that run elsewhere: what they hand to ansible-test and to the container."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools import sanity, trixie

Calls = list[list[str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Command lines that were run; `--target` folders appear as by uv."""
    seen: Calls = []

    def run(argv: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        seen.append(argv)
        if "--target" in argv:
            programs = Path(argv[argv.index("--target") + 1]) / "bin"
            programs.mkdir(parents=True)
            (programs / "pytest").write_bytes(b"#!/host/python\nimport pytest\n")
        return subprocess.CompletedProcess(
            argv, 0, stdout="kontrol.lab/trixie-python:new\nkontrol.lab/trixie-python:old\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_sanity_gives_pip_without_a_download_to_ansible_test(calls: Calls, tmp_path: Path) -> None:
    script = sanity.write_get_pip(tmp_path)
    assert script == tmp_path / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    assert str(tmp_path / "pip-24.2") in script.read_text(encoding="utf-8")
    assert calls[0][-1] == "pip==24.2"


def test_sanity_runs_in_the_collection_with_a_home_of_its_own(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["sanity", "--test", "pylint"])
    assert sanity.main() == 0
    assert calls[-1][:2] == ["ansible-test", "sanity"]
    assert calls[-1][-2:] == ["--test", "pylint"]
    assert sanity.home() == tmp_path / "cache" / "kontrol" / "ansible-test"


def test_packages_are_installed_once_per_lock(calls: Calls, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("a==1\n", encoding="utf-8")
    site = trixie.packages(lock, tmp_path / "trixie")
    assert trixie.packages(lock, tmp_path / "trixie") == site
    assert len(calls) == 1
    assert "--require-hashes" in calls[0]
    lock.write_text("a==2\n", encoding="utf-8")
    assert trixie.packages(lock, tmp_path / "trixie") != site
    assert not site.exists()


def test_the_packages_become_an_environment_of_the_other_python(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    venv = trixie.packages(tmp_path / "lock", tmp_path / "trixie")
    assert calls
    assert (venv / "bin" / "pytest").read_text(encoding="utf-8") == "#!/venv/bin/python3\nimport pytest\n"
    assert (venv / "bin" / "python3").readlink() == Path("/usr/bin/python3")
    assert "home = /usr/bin" in (venv / "pyvenv.cfg").read_text(encoding="utf-8")


def test_the_container_has_no_network_and_cannot_write_to_the_project() -> None:
    argv = trixie.argv("image", Path("/cache/venv-3.13"), ("python3", "-V"))
    assert argv[argv.index("--network") + 1] == "none"
    assert f"{trixie.ROOT}:/project:ro" in argv
    assert argv[-3:] == ["image", "python3", "-V"]


def test_the_container_runs_no_test_that_the_unit_stage_leaves_out() -> None:
    stages = yaml.safe_load((trixie.ROOT / "tests" / "stages.yml").read_text(encoding="utf-8"))["stages"]
    unit = next(line for one in stages if one["name"] == "unit" for line in one["run"])
    left_out = set(re.findall(r"not (\w+)", unit))
    pytest_in_container = next(command for command in trixie.COMMANDS if command[0] == "pytest")
    assert left_out <= set(re.findall(r"not (\w+)", pytest_in_container[pytest_in_container.index("-m") + 1]))
    assert "cloud" in left_out


def test_the_newest_image_of_the_lab_is_taken(calls: Calls) -> None:
    assert trixie.image() == "kontrol.lab/trixie-python:new"
    assert calls[0][0] == "docker"


def test_a_missing_image_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda argv, **_o: subprocess.CompletedProcess(argv, 0, stdout=""))
    with pytest.raises(SystemExit, match="python -m lab up"):
        trixie.image()


def test_all_commands_run_and_the_first_failure_is_the_answer(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trixie, "packages", lambda *_paths: tmp_path)
    assert trixie.main() == 0
    assert "--syntax-check" in calls[-1]
    ran = len(calls)

    def fail(argv: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        calls.append(argv)
        return subprocess.CompletedProcess(argv, 0 if "image" in argv else 5, stdout="image:tag\n")

    monkeypatch.setattr(subprocess, "run", fail)
    assert trixie.main() == 5
    assert len(calls) == ran + 2
