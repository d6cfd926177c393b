"""Charts through the program: called as it must be, twice for what is new, not at all for what was kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.charts import ChartError
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.helm import Chart, Helm, content
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache
from ansible_collections.kontrol.platform.plugins.module_utils.process import Completed, ToolError, must, run

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


class FakeHelm:
    """A Runner: prints what the chart's one template holds, and fetches a chart that is in its repository."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.inputs: list[str | None] = []
        self.rc = 0
        self.random = False

    def __call__(self, argv: Sequence[str], *, input: str | None = None, **more: Any) -> Completed:  # noqa: A002 - the name in Runner
        self.calls.append(list(argv))
        self.inputs.append(input)
        if self.rc:
            return Completed(self.rc, "", "Error: no such value\n")
        if argv[1] == "pull":
            chart(Path(argv[argv.index("--untardir") + 1]) / argv[2].rpartition("/")[2])
            return Completed(0, "", "")
        noise = f"# {len(self.calls)}\n" if self.random else ""
        return Completed(0, noise + (Path(argv[3]) / "templates" / "a.yaml").read_text(), "")


def chart(folder: Path, text: str = CONFIG_MAP) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("name: a\n")
    (folder / "templates" / "a.yaml").write_text(text)
    return folder


@pytest.fixture
def runner() -> FakeHelm:
    return FakeHelm()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "helm"
    path.write_text("4")
    return path


@pytest.fixture
def helm(tmp_path: Path, runner: FakeHelm, program: Path) -> Helm:
    return Helm(str(program), runner, ObjectCache(tmp_path / "kept"))


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Chart]:
    folder = chart(tmp_path / "chart")

    def make(**more: Any) -> Chart:
        return Chart(**{"release": "r", "namespace": "n", "ref": str(folder), "values": {"replicas": 2}, **more})

    return make


def test_what_is_new_is_rendered_twice_with_values_on_standard_input(
    helm: Helm, runner: FakeHelm, given: Callable[..., Chart]
) -> None:
    (only,) = helm.objects(given())
    assert only["metadata"] == {"name": "a"}
    where = ["--namespace", "n", "--include-crds", "--values", "-"]
    assert runner.calls == [[helm.program, "template", "r", given().ref, *where]] * 2
    assert [json.loads(text or "") for text in runner.inputs] == [{"replicas": 2}] * 2


def test_what_was_rendered_is_not_rendered_again(helm: Helm, runner: FakeHelm, given: Callable[..., Chart]) -> None:
    assert helm.objects(given()) == helm.objects(given())
    assert len(runner.calls) == 2


@pytest.mark.parametrize(
    "other", [{"values": {"replicas": 3}}, {"release": "s"}, {"namespace": "m"}, {"hooks": {"Job/j": "drop"}}]
)
def test_what_decides_a_rendering_is_part_of_the_key(
    helm: Helm, runner: FakeHelm, given: Callable[..., Chart], other: dict[str, Any]
) -> None:
    helm.objects(given())
    helm.objects(given(**other))
    assert len(runner.calls) == 4


def test_another_file_in_the_chart_or_another_program_renders_anew(
    helm: Helm, runner: FakeHelm, given: Callable[..., Chart], program: Path
) -> None:
    helm.objects(given())
    (Path(given().ref) / "values.yaml").write_text("a: 1\n")
    helm.objects(given())
    assert len(runner.calls) == 4
    program.write_text("5.0")
    helm.objects(given())
    assert len(runner.calls) == 6


def test_a_chart_that_differs_each_time_is_refused_each_time(
    helm: Helm, runner: FakeHelm, given: Callable[..., Chart]
) -> None:
    runner.random = True
    for _time in range(2):
        with pytest.raises(ChartError, match="renders differently each time"):
            helm.objects(given())
    assert len(runner.calls) == 4


def test_a_function_of_chance_is_refused_each_time(helm: Helm, tmp_path: Path, given: Callable[..., Chart]) -> None:
    folder = chart(tmp_path / "odd", f"{CONFIG_MAP}# {{{{ now }}}}\n")
    for _time in range(2):
        with pytest.raises(ChartError, match=r"templates/a.yaml: now"):
            helm.objects(given(ref=str(folder)))


def test_helms_own_words_are_told(helm: Helm, runner: FakeHelm, given: Callable[..., Chart]) -> None:
    runner.rc = 1
    with pytest.raises(ToolError, match=r"Rendering chart '.*' failed with exit code 1: Error: no such value"):
        helm.objects(given())


def test_a_chart_of_a_repository_is_fetched_and_kept_by_what_was_in_it(
    helm: Helm, runner: FakeHelm, given: Callable[..., Chart]
) -> None:
    remote = given(ref="base", repository="https://charts.example", version="1.2.3")
    assert helm.objects(remote) == helm.objects(remote)
    assert [call[1] for call in runner.calls] == ["pull", "template", "template", "pull"]
    assert runner.calls[0][2:6] == ["base", "--version", "1.2.3", "--untar"]
    assert runner.calls[0][-2:] == ["--repo", "https://charts.example"]
    assert not Path(runner.calls[1][3]).exists(), "what was fetched was left behind"


def test_a_chart_at_an_oci_address_has_no_repository(helm: Helm, runner: FakeHelm, given: Callable[..., Chart]) -> None:
    helm.objects(given(ref="oci://example.test/charts/base", version="1.2.3"))
    assert "--repo" not in runner.calls[0]


def test_a_folder_or_a_program_that_is_not_there_says_what_to_do(
    helm: Helm, program: Path, given: Callable[..., Chart]
) -> None:
    with pytest.raises(KontrolError, match=r"Chart '/none' is not there; run the set-up again"):
        helm.objects(given(ref="/none"))
    program.unlink()
    with pytest.raises(KontrolError, match=r"Helm is not at '.*helm'; run the set-up again"):
        helm.objects(given())


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c", "d")]
    for folder, (name, text) in zip(folders, [("xy", "z"), ("xy", "z"), ("x", "yz"), ("xy", "")], strict=True):
        folder.mkdir()
        (folder / name).write_text(text)
    first, same, *others = [content(folder) for folder in folders]
    assert first == same
    assert len({first, *others}) == 3


@pytest.fixture
def real(lab_facts: Path, tmp_path: Path) -> Helm:
    return Helm(json.loads(lab_facts.read_text())["tools"]["helm"], run, ObjectCache(tmp_path / "kept"))


@pytest.fixture
def repository(real: Helm, tmp_path: Path) -> Iterator[str]:
    """A chart repository on loopback with the chart `base` 1.2.3."""
    folder, source = tmp_path / "repository", tmp_path / "base"
    (chart(source) / "Chart.yaml").write_text("apiVersion: v2\nname: base\nversion: 1.2.3\n")
    must(run([real.program, "package", str(source), "--destination", str(folder)]), "Packaging")
    must(run([real.program, "repo", "index", str(folder)]), "Indexing")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.lab
def test_the_real_program_renders_what_is_kept(real: Helm, given: Callable[..., Chart]) -> None:
    (Path(given().ref) / "Chart.yaml").write_text("apiVersion: v2\nname: a\nversion: 1.0.0\n")
    (Path(given().ref) / "templates" / "b.yaml").write_text(
        "kind: ConfigMap\nmetadata: {name: b, namespace: {{ .Release.Namespace }}}\ndata: {n: {{ .Values.replicas }}}\n"
    )
    first, again = real.objects(given()), real.objects(given())
    assert first == again
    assert [one["metadata"] for one in first] == [{"name": "a"}, {"name": "b", "namespace": "n"}]
    assert first[1]["data"] == {"n": 2}


@pytest.mark.lab
def test_the_real_program_fetches_from_a_repository(real: Helm, repository: str, given: Callable[..., Chart]) -> None:
    (only,) = real.objects(given(ref="base", repository=repository, version="1.2.3"))
    assert only["metadata"] == {"name": "a"}
    with pytest.raises(ToolError, match=r"Fetching chart 'base' 9\.9\.9 failed with exit code 1: .*9\.9\.9"):
        real.objects(given(ref="base", repository=repository, version="9.9.9"))
