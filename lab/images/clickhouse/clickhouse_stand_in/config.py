"""Reads the configuration files of a ClickHouse server: config.xml + config.d, users.xml + users.d.

Merging follows the server's documentation: elements of the same name are merged,
`replace` replaces and `remove` removes.
"""

from __future__ import annotations

import hashlib
import hmac
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from .log import LOG

# Server settings that the engine understands and that are safe to hand over as they are.
_ENGINE_SETTINGS = (
    "max_server_memory_usage",
    "max_server_memory_usage_to_ram_ratio",
    "mark_cache_size",
    "uncompressed_cache_size",
    "max_concurrent_queries",
    "named_collections",
)


class ConfigError(Exception):
    """A configuration file that cannot be used; the message names the file and the way out."""


@dataclass(frozen=True)
class Logger:
    """Where the log goes: `size` is the bytes after which the file is rotated, `count` the rotated files that stay."""

    console: bool
    file: Path | None
    size: int
    count: int


@dataclass(frozen=True)
class Settings:
    """What the stand-in takes from config.xml: ports are TCP ports, `engine_xml` goes to the engine."""

    http_port: int
    metrics_port: int | None
    listen_host: str
    data: Path
    engine_xml: str
    logger: Logger


@dataclass(frozen=True)
class User:
    """One user: exactly one of the two ways to log in is set; an open user has neither."""

    name: str
    sha256: str | None
    password: str | None

    def accepts(self, password: str) -> bool:
        """Tell whether the password is right, in constant time."""
        if self.sha256 is not None:
            return hmac.compare_digest(hashlib.sha256(password.encode()).hexdigest(), self.sha256)
        return hmac.compare_digest(password.encode(), (self.password or "").encode())


def _removed(element: ET.Element) -> bool:
    return "remove" in element.attrib


def merge(base: ET.Element, overlay: ET.Element) -> ET.Element:
    """Merge `overlay` into `base` in place and return it."""
    for child in overlay:
        existing = base.find(child.tag)
        if existing is not None and (_removed(child) or "replace" in child.attrib):
            base.remove(existing)
            existing = None
        if _removed(child):
            continue
        if existing is None:
            base.append(child)
        elif len(child):
            merge(existing, child)
        else:
            existing.text = child.text
    return base


def _parse(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()  # noqa: S314 - files of the image and of the role, not of a stranger
    except (ET.ParseError, OSError) as error:
        raise ConfigError(f"Cannot read configuration '{path}': {error}; repair or remove the file") from error


def files(main: Path) -> list[Path]:
    """Return the main file and its overlays (`config.xml` -> `config.d/*.xml`) in the order of merging."""
    return [main, *sorted((main.parent / f"{main.stem}.d").glob("*.xml"))]


def read(main: Path) -> ET.Element:
    """Return the merged tree of a main file and its overlay folder."""
    first, *rest = files(main)
    tree = _parse(first)
    for path in rest:
        merge(tree, _parse(path))
    return tree


def size(text: str) -> int:
    """Return the bytes of a size as the server writes it: a number, or one with K, M or G."""
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper(), 1)
    return int(text.rstrip("KMGkmg")) * factor


def logger(tree: ET.Element) -> Logger:
    """Return what `<logger>` says; without a file the console is all there is."""
    file = tree.findtext("logger/log")
    return Logger(
        console=file is None or tree.findtext("logger/console", "0") not in ("0", "false"),
        file=Path(file) if file else None,
        size=size(tree.findtext("logger/size", "100M")),
        count=int(tree.findtext("logger/count", "1")),
    )


def settings(tree: ET.Element) -> Settings:
    """Take from a merged config.xml what the stand-in can do."""
    engine = ET.Element("clickhouse")
    engine.extend(child for name in _ENGINE_SETTINGS if (child := tree.find(name)) is not None)
    metrics = tree.findtext("prometheus/port")
    hosts = [host.text or "" for host in tree.findall("listen_host")]
    return Settings(
        http_port=int(tree.findtext("http_port", "8123")),
        metrics_port=int(metrics) if metrics else None,
        listen_host="::" if "::" in hosts else (hosts or ["127.0.0.1"])[-1],
        data=Path(tree.findtext("path", "/var/lib/clickhouse/")),
        engine_xml=ET.tostring(engine, encoding="unicode"),
        logger=logger(tree),
    )


def users(tree: ET.Element) -> dict[str, User]:
    """Return the users of a merged users.xml by name."""
    found = {}
    for element in tree.findall("users/*"):
        sha256 = element.findtext("password_sha256_hex")
        found[element.tag] = User(element.tag, sha256.strip().lower() if sha256 else None, element.findtext("password"))
    return found


class UserDirectory:
    """The users of users.xml and users.d, read again when a file changes, as the server does."""

    def __init__(self, main: Path) -> None:
        """Read the users at once, so that a bad file stops the start."""
        self._main = main
        self._stamp = self._current()
        self._users = users(read(main))

    def _current(self) -> tuple[tuple[str, int], ...]:
        return tuple((str(path), path.stat().st_mtime_ns) for path in files(self._main))

    def get(self, name: str) -> User | None:
        """Return a user, or None; a changed file that cannot be read leaves the users as they were."""
        try:
            stamp = self._current()
            if stamp != self._stamp:
                self._users, self._stamp = users(read(self._main)), stamp
        except (ConfigError, OSError) as error:
            LOG.error("Users stay as they were: %s", error)
        return self._users.get(name)
