"""Rules of this house that no linter knows; the numbers are budgets, not goals."""

from __future__ import annotations

import ast
import os
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.e2e.harness import ROOT

SOURCES = ("collections", "images", "lab", "tools", "benchmarks")
TEXT = (".py", ".yml", ".yaml", ".md", ".toml", ".lock", ".cfg", ".json", ".j2", ".sh", ".tf", "")
SKIPPED = {"__pycache__", "output"}
REGISTRIES = re.compile(
    r"p[y]pi\.org|p[y]thonhosted\.org|registry\.n[p]mjs|(?:proxy|sum)\.g[o]lang\.org|repo1?\.m[a]ven"
    r"|deb\.d[e]bian\.org|(?:static|index)\.c[r]ates\.io"
)
MACHINE = re.compile(r"(?<![\w.])/(?:w[o]rk|f[a]rm|r[o]ot)/")


def files(*suffixes: str) -> Iterator[Path]:
    """Files of the project with one of these suffixes; nothing below a hidden folder, nothing generated."""
    for folder, below, names in os.walk(ROOT):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in SKIPPED)
        for path in (Path(folder) / name for name in sorted(names) if not name.startswith(".coverage")):
            if path.suffix in suffixes:
                yield path


def functions() -> Iterator[tuple[str, int]]:
    """Name and length in lines of each function that is not a test."""
    for path in files(".py"):
        where = path.relative_to(ROOT)
        if where.parts[0] not in SOURCES or "tests" in where.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{where}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def role_tasks() -> Iterator[tuple[Path, list[dict[str, object]]]]:
    for path in sorted(ROOT.glob("roles/*/tasks/*.yml")):
        yield path, yaml.safe_load(path.read_text(encoding="utf-8")) or []


def test_functions_are_short() -> None:
    lengths = dict(functions())
    assert {name: lines for name, lines in lengths.items() if lines > 50} == {}
    assert statistics.median(lengths.values()) <= 12


def test_task_files_are_short() -> None:
    long = {str(p): n for p, _ in role_tasks() if (n := len(p.read_text(encoding="utf-8").splitlines())) > 60}
    assert long == {}


def test_no_task_ignores_errors() -> None:
    assert [str(p) for p, _ in role_tasks() if "ignore_errors" in p.read_text(encoding="utf-8")] == []


def test_variables_of_a_role_carry_its_name() -> None:
    """Public ones `<role>_`, private ones `__<role>_`; `kontrol_*` are the words of a run that all roles share."""
    wrong = []
    for path, tasks in role_tasks():
        role = path.relative_to(ROOT).parts[1]
        for task in tasks:
            names = {str(task[key]) for key in ("register",) if key in task}
            for key in ("vars", "ansible.builtin.set_fact"):
                block = task.get(key)
                names |= set(block) if isinstance(block, dict) else set()
            wrong += [
                f"{path.relative_to(ROOT)}: {n}"
                for n in names
                if not n.startswith((f"{role}_", f"__{role}_", "kontrol_"))
            ]
    assert wrong == []


def test_every_role_declares_its_options() -> None:
    """But the drill: it is no part of a spec, what it takes is given on the command line (extra_vars.py)."""
    roles = [path for path in sorted((ROOT / "roles").iterdir()) if path.is_dir()]
    assert roles
    assert [r.name for r in roles if not (r / "meta" / "argument_specs.yml").is_file()] == ["drill"]


def test_no_file_names_a_package_registry_or_a_path_of_a_machine() -> None:
    found = []
    for path in files(*TEXT):
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for rule in (REGISTRIES, MACHINE) for m in rule.finditer(text)]
    assert found == []


def test_every_exemption_from_a_linter_gives_its_reason() -> None:
    """In a test, mypy's own code is reason enough: it is a fake in the place of the real thing."""
    noqa = re.compile(r"#\s*noqa(?:: [A-Z0-9, ]+)?\s*$", re.MULTILINE)
    ignore = re.compile(r"#\s*type: ignore(?:\[[\w, -]+\])?\s*$", re.MULTILINE)
    found = []
    for path in files(".py"):
        text, where = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
        rules = (noqa,) if "tests" in where.parts else (noqa, ignore)
        found += [f"{where}: {match[0]}" for rule in rules for match in rule.finditer(text)]
    assert found == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(re.findall(r"\]\((\w+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = []
    for path in files(".md"):
        targets = re.findall(r"\]\(([^)#:\s]+)\)", path.read_text(encoding="utf-8"))
        broken += [f"{path.relative_to(ROOT)}: {t}" for t in targets if not (path.parent / t).exists()]
    assert broken == []


def test_commands_in_the_documents_exist() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in files(".md"))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    missing = {name for name in re.findall(r"\bmake (\w+)`", text) if name not in targets}
    for pattern, place in (
        (r"(playbooks/\w+\.yml)", "{}"),
        (r"(inventories/\w+)\b(?!/<)", "{}"),
        (r"python -m (tools\.\w+)", "{}.py"),
        (r"python -m (lab)\b", "{}/__main__.py"),
    ):
        found = {
            place.format(name.replace(".", "/") if "python" in pattern else name) for name in re.findall(pattern, text)
        }
        missing |= {name for name in found if not (ROOT / name).exists()}
    assert missing == set()
