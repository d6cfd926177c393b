"""Strict JSON schemas made from the roles' argument specs, and the judge that turns every breach into a Problem.

Ansible's own check of an argument spec coerces ("yes" is a boolean to it, a list is text), so it cannot judge a spec.
Here nothing is coerced, no unknown key passes, and all problems come at once.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.problems import HIDDEN, MISSING, Problem
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import Positions

Schema = dict[str, Any]
Path = tuple[str | int, ...]
Patterns = Mapping[str, tuple[str, str]]
"""Option, such as `name` or `users[].name` -> (regular expression, the words of a message for what it allows)."""

MEANING: Final = "x-allowed"
"""Schema keyword of our own: the words for what is allowed, "a DNS label"; JSON schema tools ignore it."""
KIND: Final = "x-kind"
"""Schema keyword of our own: what a key of this map is called in a message, "block" or "option"."""
SECRET_LIKE: Final = re.compile(r"passw|secret|token|credential|(?:api|access|private|secret)_?key", re.IGNORECASE)

_TYPES: Final = {
    "str": "string",
    "path": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "list": "array",
    "dict": "object",
}
_WORDS: Final = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a map",
}
_KNOWN_KEYS: Final = frozenset(
    {"type", "required", "default", "choices", "elements", "options", "description", "no_log", "example"}
    | {"version_added"}
)


def _is_integer(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: Any, value: Any) -> bool:
    return _is_integer(_checker, value) or (isinstance(value, float) and math.isfinite(value))


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Schema) -> Iterator[ValidationError]:
    if isinstance(value, str) and not re.fullmatch(pattern, value):  # search would let a final newline pass
        yield ValidationError("pattern")


_STRICT: Final = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
_Validator: Final[Any] = cast("Any", extend)(  # jsonschema types its classes, not this function
    Draft202012Validator, validators={"pattern": _pattern}, type_checker=_STRICT
)


class SchemaError(KontrolError):
    """An argument spec says something that the judge cannot hold a spec to; a mistake in the project, not in a spec."""


@dataclass(frozen=True)
class Source:
    """A file that data came from, and where in it each value stands."""

    file: str
    positions: Positions = field(default_factory=dict)

    def has(self, path: Path) -> bool:
        """Return True when the value at `path` stands in this file."""
        return path in self.positions

    def locate(self, path: Path) -> str:
        """Return file:line of the value at `path`, or of the closest map around it."""
        while path not in self.positions:
            if not path:
                return self.file
            path = path[:-1]
        return f"{self.file}:{self.positions[path][0]}"


def path_text(path: Path) -> str:
    """Return a path as people write it: `clickhouse.users[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_parts(text: str) -> Path:
    """Return the parts of a path written by path_text."""
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in re.findall(r"\[\d+\]|[^.\[\]]+", text))


def closest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"` for the known name closest to a word, or "" when none is close."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"' if found else ""


def options_schema(options: Mapping[str, Any], patterns: Patterns, where: str, *, partial: bool = False) -> Schema:
    """Return the schema of a map with these options of an argument spec; nothing else may stand in it.

    Args:
        options: option name -> its entry of the argument spec (`type`, `required`, `choices`, `elements`, ...).
        patterns: what the texts must look like; see Patterns.
        where: place of the map below its block, "" at the top: part of the keys of `patterns`.
        partial: nothing is required: for a profile, which is only a part of a spec.

    Raises:
        SchemaError: an entry holds a key or type that the judge does not know.
    """
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        KIND: "option",
        "properties": {
            name: _option(option, patterns, f"{where}.{name}" if where else name, partial)
            for name, option in options.items()
        },
    }
    required = [name for name, option in options.items() if option.get("required")]
    if required and not partial:
        schema["required"] = required
    return schema


def judge(schema: Schema, data: Any, *sources: Source) -> list[Problem]:
    """Return every problem of the data under a schema, sorted by place; a value gets one problem, the plainest.

    Args:
        schema: JSON schema, draft 2020-12.
        data: what was read.
        sources: the files that the data came from, the one that wins first; a missing value is that one's problem.
    """
    return list(findings(schema, data, *sources).values())


def findings(schema: Schema, data: Any, *sources: Source) -> dict[Path, Problem]:
    """Return what `judge` returns, by the path of the value."""
    found: dict[Path, tuple[int, Problem]] = {}
    for error in _Validator(schema).iter_errors(data):
        for path, rank, value, message, remedy in _explain(error):
            shown = HIDDEN if value is not MISSING and is_secret(schema, path) else value
            problem = Problem(locate(path, sources), path_text(path), shown, message, remedy)
            if path not in found or rank < found[path][0]:
                found[path] = (rank, problem)
    return {path: found[path][1] for path in sorted(found, key=lambda path: place(path, sources))}


def locate(path: Path, sources: Sequence[Source]) -> str:
    """Return file:line of the first source that holds the value at `path`; of the first source when none does."""
    holder = next((source for source in sources if source.has(path)), sources[0])
    return holder.locate(path)


def place(path: Path, sources: Sequence[Source]) -> tuple[int, ...]:
    """Return a sort key: which source holds the value at `path` (the map around it for a missing one), and where."""
    for index, source in enumerate(sources):
        if source.has(path):
            return (index, *source.positions[path], len(path))
    return place(path[:-1], sources) if path else (0, 0, 0, 0)


def is_secret(schema: Schema, path: Path) -> bool:
    """Return True when the value at `path` may be a secret: a `no_log` option, or a name that sounds like one."""
    if any(isinstance(part, str) and SECRET_LIKE.search(part) for part in path):
        return True
    for part in path:
        if schema.get("writeOnly"):
            return True
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return bool(schema.get("writeOnly"))


def _option(option: Mapping[str, Any], patterns: Patterns, where: str, partial: bool) -> Schema:
    if unknown := set(option) - _KNOWN_KEYS:
        raise SchemaError(f"Option {where}: the judge does not know {sorted(unknown)}: use rules/<role>.py instead")
    schema = _value(option.get("type", "str"), option, patterns, where, partial)
    description = option.get("description", [])
    schema["description"] = description if isinstance(description, str) else " ".join(description)
    if "default" in option:
        schema["default"] = option["default"]
    if option.get("no_log"):
        schema["writeOnly"] = True
    return schema


def _value(kind: str, option: Mapping[str, Any], patterns: Patterns, where: str, partial: bool) -> Schema:
    if kind not in _TYPES:
        raise SchemaError(f"Option {where}: the judge does not know the type {kind}: use one of {sorted(_TYPES)}")
    schema: Schema = {"type": _TYPES[kind]}
    if kind == "list":
        inner = {key: value for key, value in option.items() if key != "elements"}
        schema["items"] = _value(_elements(option, where), inner, patterns, f"{where}[]", partial)
    elif kind == "dict" and "options" in option:
        schema = options_schema(option["options"], patterns, where, partial=partial)
    elif "choices" in option:
        schema["enum"] = list(option["choices"])
    if where in patterns:
        schema["pattern"], schema[MEANING] = patterns[where]
    return schema


def _elements(option: Mapping[str, Any], where: str) -> str:
    if "elements" not in option:
        raise SchemaError(f"Option {where}: a list names the type of its elements")
    elements: str = option["elements"]
    return elements


_Finding = tuple[Path, int, Any, str, str]
"""Path, rank (lower is plainer), value or MISSING, message, remedy."""


@dataclass(frozen=True)
class _Breach:
    """One keyword of a schema that a value breaks."""

    path: Path
    keyword: str
    wanted: Any
    value: Any
    schema: Any


def _explain(error: ValidationError) -> list[_Finding]:
    keyword = str(error.validator)
    breach = _Breach(tuple(error.absolute_path), keyword, error.validator_value, error.instance, error.schema)
    return _EXPLAINERS.get(keyword, _other)(breach)


def _unknown(breach: _Breach) -> list[_Finding]:
    known = breach.schema["properties"]
    word = breach.schema.get(KIND, "key")
    allowed = f"allowed are {', '.join(known)}" if known else "there are none"
    extra = [key for key in breach.value if key not in known]
    return [((*breach.path, key), 1, MISSING, f"Unknown {word}", closest(key, known) or allowed) for key in extra]


def _missing(breach: _Breach) -> list[_Finding]:
    properties = breach.schema.get("properties", {})
    word = breach.schema.get(KIND, "key").capitalize()
    missing = [key for key in breach.wanted if key not in breach.value]
    return [
        ((*breach.path, key), 1, MISSING, f"{word} is missing", _wanted(properties.get(key, {}), needs=True))
        for key in missing
    ]


def _type(breach: _Breach) -> list[_Finding]:
    value, wanted = breach.value, _wanted(breach.schema)
    if value is None:
        empty = breach.schema.get("type") == "object" and not breach.schema.get("required")
        remedy = "write {} to take every default" if empty else _wanted(breach.schema, needs=True)
        return [(breach.path, 0, MISSING, "Value is missing", remedy)]
    if isinstance(value, list | dict):
        found = "a list" if isinstance(value, list) else "a map"
        return [(breach.path, 0, MISSING, f"{wanted}, found {found}", "")]
    return [(breach.path, 0, value, wanted, _hint(breach.schema, value))]


def _other(breach: _Breach) -> list[_Finding]:
    shown = MISSING if isinstance(breach.value, list | dict) or breach.keyword == "minLength" else breach.value
    return [(breach.path, 2, shown, _wanted(breach.schema), "")]


_EXPLAINERS: Final = {"additionalProperties": _unknown, "required": _missing, "type": _type}


def _wanted(schema: Schema, *, needs: bool = False) -> str:
    verb = "it needs" if needs else "Expected"
    if "enum" in schema:
        return f"{verb} {'one of ' if len(schema['enum']) > 1 else ''}{', '.join(map(str, schema['enum']))}"
    if MEANING in schema:
        return f"{verb} {schema[MEANING]}"
    if not needs and schema.get("minLength"):
        return "Expected text that is not empty"
    inside = f" with {', '.join(schema['required'])}" if needs and "required" in schema else ""
    return f"{verb} {_WORDS.get(str(schema.get('type')), 'another value')}{inside}"


def _hint(schema: Schema, value: Any) -> str:
    wanted = schema.get("type")
    if wanted == "boolean" and isinstance(value, str) and (word := _BOOLEANS.get(value.lower())):
        return f"write {word}"
    if wanted == "string" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if wanted in {"integer", "number"} and isinstance(value, str) and re.fullmatch(r"-?[0-9.]+", value):
        return "write it without quotes"
    return ""


_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "y"), "true"),
    **dict.fromkeys(("false", "no", "off", "n"), "false"),
}
