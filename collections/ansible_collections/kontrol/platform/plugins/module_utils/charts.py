"""Turn what `helm template` printed into objects that may be applied, or say why not.

A chart is data here: it must render the same twice, must not look into a cluster, and must not rely on Helm's hooks.
What its own controllers write later is not sent, else each run would write it back.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Object = dict[str, Any]

HOOK: Final = "helm.sh/hook"
TEST_HOOKS: Final = frozenset({"test", "test-success", "test-failure"})
UNSTABLE: Final = re.compile(
    r"(?<![\w.$\"-])"
    r"(lookup|getHostByName|now|uuidv4|shuffle|derivePassword|htpasswd|bcrypt|rand[A-Z]\w*|gen(?:CA|Self|Signed|Private)\w*)"
    r"(?![\w\"-])"
)
"""Functions of templates whose answer depends on a cluster, the clock or chance (source: Sprig's and Helm's lists)."""
LEFT_TO_CONTROLLERS: Final[dict[str, tuple[str, ...]]] = {
    # istiod writes its CA here, and turns Ignore into Fail once it answers; both by its own field manager.
    "ValidatingWebhookConfiguration": ("webhooks.*.clientConfig.caBundle", "webhooks.*.failurePolicy"),
    "MutatingWebhookConfiguration": ("webhooks.*.clientConfig.caBundle",),
    "CustomResourceDefinition": ("spec.conversion.webhook.clientConfig.caBundle",),
    "APIService": ("spec.caBundle",),
}
"""Kind -> fields that a controller fills in, reviewed: add one only with the controller's name."""


class ChartError(KontrolError):
    """A chart cannot be used as data."""


def _actions(text: str) -> Iterator[str]:
    """Yield the `{{ }}` parts of a template without comments and without texts in quotes."""
    for action in re.findall(r"\{\{-?(.*?)-?\}\}", text, re.DOTALL):
        if not action.strip().startswith("/*"):
            yield re.sub(r"\"(?:\\.|[^\"\\])*\"|`[^`]*`", '""', action)


def unstable_functions(folder: Path) -> list[str]:
    """Return `<file>: <function>` for each use of a function that may render something else next time."""
    found: dict[str, None] = {}
    for path in sorted(item for item in folder.rglob("*") if item.suffix in (".yaml", ".yml", ".tpl")):
        if "templates" not in path.relative_to(folder).parts:
            continue
        for action in _actions(path.read_text(encoding="utf-8")):
            for name in UNSTABLE.findall(action):
                found[f"{path.relative_to(folder)}: {name}"] = None
    return list(found)


def _drop(value: Any, path: list[str]) -> None:
    """Remove a field in place; `*` stands for every item of a list."""
    head, *rest = path
    if head == "*":
        for item in value if isinstance(value, list) else []:
            _drop(item, rest)
    elif isinstance(value, dict) and head in value:
        if rest:
            _drop(value[head], rest)
        else:
            del value[head]


def _hooks(obj: Object) -> set[str]:
    annotations = obj.get("metadata", {}).get("annotations") or {}
    return {word.strip() for word in str(annotations.get(HOOK, "")).split(",") if word.strip()}


def _name(obj: Object) -> str:
    return f"{obj.get('kind')}/{obj.get('metadata', {}).get('name')}"


def _without_tests(objects: Iterable[Object], mapped: Mapping[str, str]) -> Iterator[Object]:
    """Leave out tests; a hook must be mapped to `apply` (a plain object) or `drop`."""
    for obj in objects:
        hooks = _hooks(obj)
        choice = mapped.get(_name(obj))
        if (hooks and hooks <= TEST_HOOKS) or choice == "drop":
            continue
        if hooks and choice != "apply":
            raise ChartError(
                f"Chart object '{_name(obj)}' is a Helm hook ({', '.join(sorted(hooks))}); map it or switch it off"
            )
        yield obj


def _scaled(objects: Iterable[Object]) -> set[str]:
    """Return `<kind>/<name>` of what an autoscaler scales."""
    targets = (
        obj["spec"].get("scaleTargetRef") or {} for obj in objects if obj.get("kind") == "HorizontalPodAutoscaler"
    )
    return {f"{target.get('kind')}/{target.get('name')}" for target in targets}


def _first_difference(first: str, second: str) -> str:
    pairs = enumerate(zip(first.splitlines(), second.splitlines(), strict=False), 1)
    return next((f"line {number}: '{one[:80]}'" for number, (one, two) in pairs if one != two), "their length")


def objects(first: str, second: str, source: str, mapped: Mapping[str, str] | None = None) -> list[Object]:
    """Return the objects of a chart that was rendered twice.

    Args:
        first: What the first rendering printed.
        second: What the second printed; must be the same.
        source: Name of the chart, or its folder, whose templates are then searched for functions of chance.
        mapped: Hooks by `<kind>/<name>`: `apply` or `drop`.

    Raises:
        ChartError: The chart cannot be used as data; the message says why.
    """
    if first != second:
        raise ChartError(f"Chart '{source}' renders differently each time, first at {_first_difference(first, second)}")
    folder = Path(source)
    if folder.is_absolute() and folder.is_dir() and (found := unstable_functions(folder)):
        raise ChartError(f"Chart '{source}' uses functions that may answer differently each time: {'; '.join(found)}")
    parsed = [obj for obj in yaml_io.load_all(first, source) if obj]
    if not parsed:
        raise ChartError(f"Chart '{source}' rendered no object")
    kept = list(_without_tests(parsed, mapped or {}))
    scaled = _scaled(kept)
    for obj in kept:
        paths = LEFT_TO_CONTROLLERS.get(str(obj.get("kind")), ())
        for path in (*paths, *(("spec.replicas",) if _name(obj) in scaled else ())):
            _drop(obj, path.split("."))
    return kept
