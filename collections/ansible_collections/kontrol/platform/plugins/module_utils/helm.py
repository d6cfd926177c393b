"""Charts by the program `helm`, which only prints: it keeps no state of ours and never talks to a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import charts, yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.object_cache import ObjectCache, made_by
from ansible_collections.kontrol.platform.plugins.module_utils.process import Runner, must

Object = dict[str, Any]

TIMEOUT: Final = 300.0


@dataclass(frozen=True)
class Chart:
    """A chart with all that decides what it renders to.

    Attributes:
        release: Name of the release.
        namespace: Its namespace.
        ref: Absolute folder of the chart, its name in a repository, or an OCI address.
        repository: Address of the repository; "" where `ref` says it all.
        version: Its version, for one that is not a folder.
        values: What its own values are overlaid with.
        hooks: What becomes of Helm's hooks, by `<kind>/<name>`: `apply` or `drop`.
    """

    release: str
    namespace: str
    ref: str
    repository: str = ""
    version: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Helm:
    """The program, and where what came of charts is kept.

    Attributes:
        program: Its absolute path.
        runner: Runs it.
        kept: What came of charts before.
    """

    program: str
    runner: Runner
    kept: ObjectCache = field(default_factory=ObjectCache)

    def objects(self, chart: Chart) -> list[Object]:
        """Return the objects of a chart, rendered twice and equal, now or when they were kept.

        Raises:
            ChartError: The chart cannot be used as data.
            ToolError: Helm failed; its own words are in the message.
        """
        with self._folder(chart) as source:
            inputs = {
                "made by": made_by(charts, yaml_io),
                "helm": identity(self.program),  # with it the versions of Kubernetes that a chart is told of
                "chart": content(source),
                "release": chart.release,
                "namespace": chart.namespace,
                "values": dict(chart.values),
                "hooks": dict(chart.hooks),
            }
            return self.kept.objects(inputs, lambda: self._rendered(chart, source))

    def _rendered(self, chart: Chart, source: Path) -> list[Object]:
        first, second = self._template(chart, source), self._template(chart, source)
        return charts.objects(first, second, str(source), chart.hooks)

    def _template(self, chart: Chart, source: Path) -> str:
        where = ["--namespace", chart.namespace, "--include-crds", "--values", "-"]
        argv = [self.program, "template", chart.release, str(source), *where]
        done = self.runner(argv, input=json.dumps(chart.values), timeout=TIMEOUT)
        return must(done, f"Rendering chart '{chart.ref}'")

    @contextlib.contextmanager
    def _folder(self, chart: Chart) -> Iterator[Path]:
        """Give the folder of a chart; one of a repository is fetched for as long as the block takes."""
        if Path(chart.ref).is_absolute():
            if not Path(chart.ref).is_dir():
                raise KontrolError(f"Chart '{chart.ref}' is not there; run the set-up again (make local)")
            yield Path(chart.ref)
            return
        with tempfile.TemporaryDirectory(prefix="kontrol-chart-") as scratch:
            argv = [self.program, "pull", chart.ref, "--version", chart.version, "--untar", "--untardir", scratch]
            fetched = self.runner([*argv, *(["--repo", chart.repository] if chart.repository else [])], timeout=TIMEOUT)
            must(fetched, f"Fetching chart '{chart.ref}' {chart.version}", "is its repository in reach?")
            [made] = [one for one in Path(scratch).iterdir() if one.is_dir()]
            yield made


def identity(program: str) -> list[Any]:
    """Return what tells one program from another that takes its place: where it is, its size, when it was written."""
    try:
        file = Path(program).resolve(strict=True)
        about = file.stat()
    except OSError as error:
        raise KontrolError(f"Helm is not at '{program}'; run the set-up again (make local)") from error
    return [str(file), about.st_size, about.st_mtime_ns]


def content(folder: Path) -> str:
    """Return a digest of all files of a folder, their names and what is in them."""
    digest = hashlib.sha256()
    files = (Path(at) / name for at, _folders, names in os.walk(folder, followlinks=True) for name in names)
    for file in sorted(files):
        data = file.read_bytes()
        digest.update(f"{file.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()
