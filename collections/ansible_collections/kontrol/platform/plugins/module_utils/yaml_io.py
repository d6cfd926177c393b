"""Read YAML as data, the way the Kubernetes API server's clients read it and not the way YAML 1.1 does.

Only `true` and `false` are booleans, so `yes` and `off` are text. A date and a bare `=` are text. Numbers follow the
YAML library of Go: `0644` and `0o644` are octal, `1e3` is a number, `1:30` is text. Keys are always text, as in JSON.
Duplicate keys, tags such as `!vault` and recursive anchors are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import Reader

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from pathlib import Path

Position = tuple[int, int]
"""Line and column, both counted from 1."""
Positions = dict[tuple[str | int, ...], Position]
"""Where each value stands: the key of a map's entry, the start of a list's item, `()` for the document."""

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = {
    "null": (r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$", list("-+0123456789")),
    "float": (
        r"(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
    "merge": (r"<<$", ["<"]),
}

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Composer(_Base):  # libyaml's class where it was built, else the same one in Python
    """PyYAML's parser with its YAML 1.1 rules for plain scalars taken out."""

    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - PyYAML's own interface


for _name, (_pattern, _first) in _PLAIN.items():
    _Composer.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


class YamlError(KontrolError):
    """A text is not the YAML that we accept; the message starts with source:line:column."""

    def __init__(self, source: str, position: Position, reason: str) -> None:
        self.source = source
        self.position = position
        self.reason = reason
        super().__init__(f"{source}:{position[0]}:{position[1]}: {reason}")


@dataclass
class _Builder:
    """Makes data from the nodes of one document and notes where each value stands."""

    source: str
    positions: Positions = field(default_factory=dict)
    open_nodes: set[int] = field(default_factory=set)

    def fail(self, node: Node, reason: str) -> NoReturn:
        raise YamlError(self.source, _position(node.start_mark), reason)

    def build(self, node: Node, path: tuple[str | int, ...]) -> Any:
        self.positions.setdefault(path, _position(node.start_mark))
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if id(node) in self.open_nodes:
            self.fail(node, "An anchor must not contain itself")
        self.open_nodes.add(id(node))
        value = self.mapping(node, path) if isinstance(node, MappingNode) else self.sequence(node, path)
        self.open_nodes.remove(id(node))
        return value

    def scalar(self, node: ScalarNode) -> Any:
        tag, text = node.tag, node.value
        if tag not in _SCALARS:
            self.fail(node, f'Tag "{_short(tag)}" is not allowed: only plain data is read')
        try:
            return _SCALARS[tag](text)
        except (KeyError, ValueError):
            self.fail(node, f'Tag "{_short(tag)}" does not fit its text')

    def sequence(self, node: Node, path: tuple[str | int, ...]) -> list[Any]:
        if not isinstance(node, SequenceNode) or node.tag != f"{_TAG}seq":
            self.fail(node, f'Tag "{_short(node.tag)}" is not allowed: only plain data is read')
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: MappingNode, path: tuple[str | int, ...]) -> dict[str, Any]:
        if node.tag != f"{_TAG}map":
            self.fail(node, f'Tag "{_short(node.tag)}" is not allowed: only plain data is read')
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = self.merge(value_node, path) | merged
                continue
            key = self.key(key_node)
            if key in own:
                self.fail(key_node, f'Key "{key}" stands twice in one map')
            self.positions[(*path, key)] = _position(key_node.start_mark)
            own[key] = self.build(value_node, (*path, key))
        return merged | own

    def key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or node.tag == f"{_TAG}null":
            self.fail(node, "A key must be text")
        text: str = node.value
        return text

    def merge(self, node: Node, path: tuple[str | int, ...]) -> dict[str, Any]:
        maps = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for one in maps:
            if not isinstance(one, MappingNode):
                self.fail(node, 'The merge key "<<" wants a map or a list of maps')
            merged = self.build(one, path) | merged
        return merged


def load_all(text: str, source: str) -> list[Any]:
    """Return every document of a YAML text; an empty document is None, an empty text is [].

    Args:
        text: the YAML.
        source: what a message names as its place, usually a path.

    Raises:
        YamlError: the text is not YAML, or not plain data.
    """
    return [data for data, _positions in _documents(text, source)]


def load(text: str, source: str) -> Any:
    """Return the one document of a YAML text, None when it is empty; see load_all."""
    return load_marked(text, source)[0]


def load_marked(text: str, source: str) -> tuple[Any, Positions]:
    """Return the one document of a YAML text, and where each of its values stands; see load_all."""
    documents = _documents(text, source)
    if len(documents) > 1:
        raise YamlError(source, documents[1][1][()], 'One document is wanted, a second one follows: remove the "---"')
    return documents[0] if documents else (None, {(): (1, 1)})


def read_text(path: Path) -> str:
    """Return the text of a file, a byte order mark removed.

    Raises:
        YamlError: the file is not UTF-8.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        raise YamlError(
            str(path), _end_of(before), f"Byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from error


def _documents(text: str, source: str) -> list[tuple[Any, Positions]]:
    if strange := Reader.NON_PRINTABLE.search(text):
        reason = f"Character U+{ord(strange.group()):04X} is not allowed in YAML"
        raise YamlError(source, _end_of(text[: strange.start()]), reason)
    try:
        composer = _Composer(text)
        documents = []
        while composer.check_node():
            builder = _Builder(source)
            documents.append((builder.build(composer.get_node(), ()), builder.positions))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.problem, error.context) if part)
        raise YamlError(source, _position(mark) if mark else (1, 1), f"Cannot be read as YAML: {reason}") from error
    except RecursionError as error:
        raise YamlError(source, (1, 1), "Cannot be read as YAML: nested too deeply") from error
    return documents


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    legacy_octal = digits.startswith("0") and digits.isdigit() and len(digits) > 1
    return sign * (int(digits, 8) if legacy_octal else int(digits, 0))


def _number(text: str) -> float:
    text = text.replace("_", "").lower()
    return float(text.replace(".", "") if text.endswith(("inf", "nan")) else text)


_SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    f"{_TAG}str": str,
    f"{_TAG}merge": str,
    f"{_TAG}null": lambda _text: None,
    f"{_TAG}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{_TAG}int": _integer,
    f"{_TAG}float": _number,
}


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1


def _end_of(text: str) -> Position:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")
