"""Write what is made from what the roles declare: schemas for editors, option tables of READMEs, rules of objectives.

`python -m tools.generate` writes; with `--check` nothing is written and a stale file makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT: Final = Path(__file__).resolve().parent.parent
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils import artifacts, spec  # noqa: E402 - found by the loader
from tools import slos  # noqa: E402 - after the loader, as above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BEGIN: Final = "<!-- options: made from meta/argument_specs.yml by `python -m tools.generate` -->"
END: Final = "<!-- options end -->"
_MARKUP: Final = re.compile(r"\b[BCEFILMOPRUV]\(([^)]*)\)")
_WORDS: Final = {
    "str": "text",
    "path": "text",
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "list": "list",
    "dict": "map",
}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the files, or with --check tell which are stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    check = parser.parse_args(arguments).check
    files = made(root)
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
        print(f"{'stale' if check else 'written'}: {path.relative_to(root)}")
    return 1 if check and stale else 0


def made(root: Path) -> dict[Path, str]:
    """Return the text of every generated file."""
    roles = spec.load_roles(root)
    schemas = {
        "region": ("A region's spec", spec.region_schema(roles)),
        "profile": ("Values that specs share", spec.profile_schema(roles)),
        "artifacts": ("Pinned upstream artifacts", artifacts.artifacts_schema()),
    }
    files = {root / "schemas" / f"{name}.schema.json": _schema_text(*parts) for name, parts in schemas.items()}
    for role in roles.values():
        readme = root / "roles" / role.name / "README.md"
        files[readme] = _readme_text(readme, role)
    return files | slos.made(root)


def option_rows(options: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Iterator[str]:
    """Return a table row for each option, and below it for those inside it."""
    for name, option in options.items():
        where = prefix + name
        cells = (f"`{where}`", _type_text(option), _default_text(option), _prose(option.get("description", "")))
        yield f"| {' | '.join(cells)} |"
        inside = "[]." if option.get("type") == "list" else "."
        yield from option_rows(option.get("options", {}), where + inside)


def _schema_text(title: str, schema: dict[str, Any]) -> str:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **_described(schema)}
    return json.dumps(whole, indent=2) + "\n"


def _described(value: Any) -> Any:
    """Return a schema whose descriptions have no markup of Ansible."""
    if isinstance(value, dict):
        return {
            key: _prose(item) if key == "description" and isinstance(item, str) else _described(item)
            for key, item in value.items()
        }
    return [_described(item) for item in value] if isinstance(value, list) else value


def _readme_text(readme: Path, role: spec.Role) -> str:
    empty = f"# {role.name}\n\n{role.summary}.\n\n## Options\n\n{BEGIN}\n{END}\n"
    text = readme.read_text("utf-8") if readme.is_file() else empty
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n## Options\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    table = "\n".join(["| option | type | default | meaning |", "|---|---|---|---|", *option_rows(role.options)])
    return f"{before}{BEGIN}\n\n{table if role.options else 'There are none.'}\n\n{END}{after}"


def _type_text(option: Mapping[str, Any]) -> str:
    kind = option.get("type", "str")
    text = _WORDS[kind]
    if kind == "list":
        text = f"list of {_WORDS[option['elements']]}{'' if option['elements'] in ('str', 'bool') else 's'}"
    if "choices" in option:
        text = f"one of {', '.join(f'`{choice}`' for choice in option['choices'])}"
    return text


def _default_text(option: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    default = option.get("default")
    return "" if default is None else f"`{json.dumps(default)}`"


def _prose(description: str | Sequence[str]) -> str:
    text = description if isinstance(description, str) else " ".join(description)
    return _MARKUP.sub(r"`\1`", text).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
