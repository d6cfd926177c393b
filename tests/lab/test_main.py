from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command
from lab import facts, mode, paths, schedule
from lab.errors import LabError
from lab.recipes import Context
from lab.store import Store
from tests.lab.conftest import Programs

ROWS: dict[str, Any] = {
    "engine": {"type": "engine"},
    "registry": {"type": "registry", "base": "base"},
    "base": {"type": "rootfs", "suite": "s", "include": []},
    "prog": {"type": "go", "programs": {}, "expect_s": 90},
    "web": {"type": "image", "base": "scratch", "ref": "docker.io/a/web:1"},
    "node": {"type": "kind_node", "base": "base"},
    "chart": {"type": "chart", "chart": "web", "version": "1.0.0", "files": {".": "prog:."}},
    "crds": {"type": "manifest", "manifest": "crds", "version": "v2", "files": {".": "prog:."}},
    "older": {"type": "chart", "group": "upgrade", "chart": "web", "version": "0.9.0", "files": {".": "prog:."}},
}


@pytest.fixture
def context(context_of: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, programs: Programs) -> Context:
    """The command works on this context; docker is there and answers nothing."""
    programs.add("docker", "exit 1")
    made = context_of(ROWS, settings={"tools": {"kind": "prog:kind"}, "probe": "https://registry.test/"})
    monkeypatch.setattr(command, "context_of", lambda store: made)
    return made


def finish(context: Context, name: str, told: dict[str, Any], files: dict[str, str] | None = None) -> None:
    part = context.table.parts[name]
    work = context.store.scratch(part)
    for path, text in (files or {}).items():
        (work / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "out" / path).write_text(text)
    context.store.commit(part, work, told)


def complete(context: Context) -> None:
    finish(context, "web", {"ref": "docker.io/a/web:1", "digest": "sha256:d", "image": "i"})
    finish(context, "node", {"tag": "docker.io/kindest/node:v1", "image": "i"})
    finish(context, "chart", {}, {"web-1.0.0/Chart.yaml": "name: web\n"})
    finish(context, "crds", {}, {"crds-v2.yaml": "---\n"})


def test_check_says_what_is_missing_and_makes_nothing(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["up", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "missing engine (engine): no Docker engine answers; about 5 s" in lines
    assert "missing prog (go): not built; about 1 min 30 s" in lines
    assert lines[-1] == "lab: 8 parts missing (mode lab)"
    assert not context.store.root.exists()
    assert not (paths.state_root() / "lab.json").exists()


@pytest.mark.usefixtures("context")
def test_check_needs_lab_json_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(schedule, "plan", lambda table, missing, names: [])
    assert command.main(["check"]) == 1
    assert "missing lab.json: run `python -m lab up`" in capsys.readouterr().out
    paths.state_root().mkdir(parents=True)
    (paths.state_root() / "lab.json").write_text("{}")
    assert command.main(["check"]) == 0


def test_up_writes_lab_json(
    context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(context)
    monkeypatch.setattr(schedule, "plan", lambda table, missing, names: [])
    assert command.main(["up"]) == 0
    told = json.loads((paths.state_root() / "lab.json").read_text())
    assert told["mode"] == "lab"
    assert told["registry"] == "localhost:1"
    assert told["images"] == {"docker.io/a/web:1": "sha256:d", "docker.io/kindest/node:v1": ""}
    assert set(told["tools"]) == {"docker"}, "a tool that is not made yet has no path"
    assert Path(told["tools"]["docker"]).is_absolute()
    mount = told["kind_config"]["nodes"][0]["extraMounts"][0]["hostPath"]
    assert (Path(mount) / "docker.io" / "hosts.toml").is_file()
    assert (Path(told["mirror"]) / "charts" / "web-1.0.0" / "Chart.yaml").is_file()
    assert capsys.readouterr().out.rstrip().endswith("lab.json written")
    assert (Path(told["mirror"]) / "manifests" / "crds-v2.yaml").read_text() == "---\n"
    assert command.main(["up"]) == 0
    assert not capsys.readouterr().out.rstrip().endswith("written")
    finish(context, "prog", {}, {"kind": ""})
    assert command.main(["up"]) == 0
    told = json.loads((paths.state_root() / "lab.json").read_text())
    assert told["tools"]["kind"] == str(context.path("prog:kind"))


def test_up_makes_what_is_missing(
    context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(context)
    made: list[str] = []
    monkeypatch.setattr(schedule, "run", lambda context, needs, durations: made.extend(n.part.name for n in needs))
    assert command.main(["up"]) == 0
    assert "prog" in made
    assert "of 9 parts to make (mode lab)" in capsys.readouterr().out


def test_mirror_follows_the_table(context: Context) -> None:
    complete(context)
    charts = facts.mirror(context) / "charts"
    (charts / "old-1.0.0").mkdir(parents=True)
    facts.publish_charts(context)
    assert [item.name for item in charts.iterdir()] == ["web-1.0.0"]
    (charts / "web-1.0.0" / ".kontrol-key").write_text("another key")
    (charts / "web-1.0.0" / "Chart.yaml").write_text("name: stale\n")
    facts.publish_charts(context)
    assert (charts / "web-1.0.0" / "Chart.yaml").read_text() == "name: web\n"


def test_a_group_is_made_only_when_asked_for(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(context)
    made: list[str] = []
    monkeypatch.setattr(schedule, "run", lambda context, needs, durations: made.extend(n.part.name for n in needs))
    assert command.main(["up"]) == 0
    assert "older" not in made
    made.clear()
    assert command.main(["up", "upgrade"]) == 0
    assert made == ["prog", "older"]
    finish(context, "older", {}, {"web-0.9.0/Chart.yaml": "name: web\n"})
    facts.publish_charts(context)
    assert {item.name for item in (facts.mirror(context) / "charts").iterdir()} == {"web-1.0.0", "web-0.9.0"}


def test_a_name_that_is_neither_part_nor_group(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check", "upgrde", "older"]) == 1
    assert "'upgrde' is no part and no group: use names of lab/parts.yml, or upgrade" in capsys.readouterr().err


def test_mirror_drops_manifests_that_the_table_lost(context: Context) -> None:
    complete(context)
    manifests = facts.mirror(context) / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "crds-v1.yaml").write_text("")
    (manifests / "crds-v2.yaml").write_text("stale")
    facts.publish_manifests(context)
    assert {item.name: item.read_text() for item in manifests.iterdir()} == {"crds-v2.yaml": "---\n"}


def test_status_of_a_group(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["status", "upgrade"]) == 0
    key = context.table.parts["older"].key
    assert capsys.readouterr().out == f"older                          chart      {key} not built (group upgrade)\n"


def test_status_and_prune(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    complete(context)
    assert command.main(["status"]) == 0
    out = capsys.readouterr().out
    assert f"chart                          chart      {context.table.parts['chart'].key} there" in out
    (context.store.root / "parts" / "gone" / "k").mkdir(parents=True)
    assert command.main(["prune"]) == 0
    assert capsys.readouterr().out.splitlines() == ["gone/k", "lab: 1 parts removed"]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (LabError("No engine"), 1, "lab: No engine\n"),
        (KeyboardInterrupt(), 130, "lab: stopped; the same command goes on from here\n"),
    ],
)
def test_errors_end_with_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    text: str,
) -> None:
    def fail(store: object) -> Context:
        raise error

    monkeypatch.setattr(command, "context_of", fail)
    assert command.main(["up"]) == status
    assert capsys.readouterr().err == text


def test_context_of_reads_the_projects_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mode, "detect", lambda probe: "online")
    made = command.context_of(Store(tmp_path))
    assert made.mode == "online"
    assert "kubernetes" not in made.table.parts
