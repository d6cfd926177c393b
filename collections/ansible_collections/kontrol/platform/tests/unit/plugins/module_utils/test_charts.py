"""Charts as data: the same twice, no chance, no hooks, nothing that controllers write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import charts
from ansible_collections.kontrol.platform.plugins.module_utils.charts import ChartError
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {equal: =}\n"


def hooked(hook: str, kind: str = "Job") -> str:
    return (
        f'---\napiVersion: batch/v1\nkind: {kind}\nmetadata: {{name: j, annotations: {{"helm.sh/hook": "{hook}"}}}}\n'
    )


def objects(text: str, **mapped: str) -> list[dict[str, object]]:
    return charts.objects(text, text, "chart", {key.replace("_", "/"): value for key, value in mapped.items()})


def test_equal_renderings_are_parsed_and_empty_documents_left_out() -> None:
    (only,) = objects("---\n# nothing\n---\n" + CONFIG_MAP)
    assert only["data"] == {"equal": "="}


def test_a_difference_is_named_by_its_line() -> None:
    with pytest.raises(ChartError, match=r"renders differently each time, first at line 4: 'data: \{equal: =\}'"):
        charts.objects(CONFIG_MAP, CONFIG_MAP.replace("equal", "random"), "chart")


def test_a_longer_second_rendering_is_a_difference() -> None:
    with pytest.raises(ChartError, match="first at their length"):
        charts.objects(CONFIG_MAP, CONFIG_MAP + "\n", "chart")


def test_no_objects_at_all_is_an_error() -> None:
    with pytest.raises(ChartError, match="rendered no object"):
        objects("# nothing\n")


def test_tests_are_left_out() -> None:
    assert len(objects(CONFIG_MAP + hooked("test") + hooked("test-success", "Pod"))) == 1


@pytest.mark.parametrize("hook", ["pre-install", "post-upgrade,test", "crd-install"])
def test_a_hook_is_refused(hook: str) -> None:
    with pytest.raises(ChartError, match="'Job/j' is a Helm hook"):
        objects(CONFIG_MAP + hooked(hook))


def test_a_mapped_hook_is_applied_or_dropped() -> None:
    assert len(objects(CONFIG_MAP + hooked("pre-install"), Job_j="apply")) == 2
    assert len(objects(CONFIG_MAP + hooked("pre-install"), Job_j="drop")) == 1


def test_what_controllers_write_is_not_sent() -> None:
    webhook = (
        "kind: ValidatingWebhookConfiguration\nmetadata: {name: w}\nwebhooks:\n"
        "- {name: a, failurePolicy: Ignore, clientConfig: {caBundle: x, service: {name: s}}}\n- {name: b}\n"
    )
    (found,) = objects(webhook)
    assert found["webhooks"] == [{"name": "a", "clientConfig": {"service": {"name": "s"}}}, {"name": "b"}]


def test_replicas_are_left_to_an_autoscaler_and_only_to_one() -> None:
    scaled = "kind: Deployment\nmetadata: {name: d}\nspec: {replicas: 2, x: 1}\n"
    scaler = "kind: HorizontalPodAutoscaler\nmetadata: {name: d}\nspec: {scaleTargetRef: {kind: Deployment, name: d}}\n"
    assert objects(scaled)[0]["spec"] == {"replicas": 2, "x": 1}
    assert objects(scaled + "---\n" + scaler)[0]["spec"] == {"x": 1}


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("name: {{ now }}")
    return tmp_path


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("a: {{ randAlphaNum 8 }}", ["randAlphaNum"]),
        ('{{- $ca := genCA "x" 1 }}', ["genCA"]),
        ('{{ (lookup "v1" "Secret" "a" "b").data }}', ["lookup"]),
        ('{{ now | date "2006" }}', ["now"]),
        ("{{ uuidv4 }}", ["uuidv4"]),
        ('{{ .Values.now }} {{ $now }} {{ include "lookup" . }} now', []),
        ("{{/* uses lookup */}}", []),
        ("{{ .Values.known }}", []),
    ],
)
def test_functions_of_chance_are_found(chart: Path, template: str, found: list[str]) -> None:
    (chart / "templates" / "a.yaml").write_text(template)
    assert charts.unstable_functions(chart) == [f"templates/a.yaml: {name}" for name in found]


def test_a_chart_with_functions_of_chance_is_refused(chart: Path) -> None:
    (chart / "templates" / "_helpers.tpl").write_text("{{ randAlpha 5 }}")
    with pytest.raises(KontrolError, match=r"may answer differently each time: templates/_helpers\.tpl: randAlpha"):
        charts.objects(CONFIG_MAP, CONFIG_MAP, str(chart))
