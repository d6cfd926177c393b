"""Objects of charts and manifests, kept by the content of all that went in, so that many regions make them once.

An entry is a file `<digest of what went in>.json` in `$XDG_CACHE_HOME/kontrol/objects`: a line with the digest of the
rest, then what went in and the objects. What is damaged, cut off, readable by others or of other input counts as not
there. Nothing of value is in it: the folder may be deleted at any time, also while runs go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import paths, state
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import SENTINEL
from ansible_collections.kontrol.platform.plugins.module_utils.schema import SECRET_LIKE

Object = dict[str, Any]

FOLDER: Final = "objects"
LOCK: Final = ".lock"
MOST: Final = 64
"""Entries that are kept, those that were used last; one with many definitions of kinds is 1 MB."""
LEFTOVER_SECONDS: Final = 3600.0
"""From this age on a temporary file is one that a killed writer left."""


class ObjectCache:
    """Objects by what they were made of.

    Args:
        place: The folder of the entries, made with the first of them; that of this machine where none is given.
        most: How many entries are kept.
    """

    def __init__(self, place: Path | None = None, most: int = MOST) -> None:
        self._place, self._most = place or paths.cache_root() / FOLDER, most

    def objects(self, inputs: Mapping[str, Any], make: Callable[[], list[Object]]) -> list[Object]:
        """Return the objects that were made of the same input before, else make and keep them.

        Of many processes that want the same at once one makes it, the others wait for it.

        Args:
            inputs: All that the objects depend on, as data; where something in it may be secret nothing is kept.
            make: Makes the objects.
        """
        if may_be_secret(inputs):
            return make()
        text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
        digest = _digest(text)
        entry = self._place / f"{digest}.json"
        if (found := _read(entry, text)) is not None:
            return found
        with self._alone(digest):
            if (found := _read(entry, text)) is not None:
                return found
            made = make()
            self._keep(entry, text, made)
        return made

    @contextlib.contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """Hold the lock of one entry; the kernel lets go of it when this process dies. Without a folder, hold none."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                file = held.enter_context((state.make_private_dir(self._place) / LOCK).open("a", encoding="utf-8"))
                fcntl.lockf(file, fcntl.LOCK_EX, 1, int(digest[:8], 16))  # a byte of the file for each entry
            yield

    def _keep(self, entry: Path, text: str, made: list[Object]) -> None:
        """Write an entry, unless it would hold a secret, or not give back the same; no cache is no failure."""
        body = f'{{"inputs": {text},\n"objects": {json.dumps(made, ensure_ascii=False)}}}\n'
        if any(obj.get("kind") == "Secret" for obj in made) or json.loads(body)["objects"] != made:
            return
        with contextlib.suppress(OSError):
            state.write_text(entry, f"{_digest(body)}\n{body}")
            self._drop_old()

    def _drop_old(self) -> None:
        """Keep the entries that were used last, and no temporary file that nobody writes any more."""
        used = {file: file.stat().st_mtime for file in self._place.iterdir() if file.name != LOCK}
        entries = sorted((file for file in used if file.suffix == ".json"), key=lambda file: used[file], reverse=True)
        left = [file for file in used if file not in entries and time.time() - used[file] > LEFTOVER_SECONDS]
        for file in (*entries[self._most :], *left):
            file.unlink(missing_ok=True)


def made_by(*modules: ModuleType) -> str:
    """Return a digest of the code that makes objects, to be part of what goes in: other code, other entries."""
    return _digest("\0".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules))


def may_be_secret(value: Any, name: str = "") -> bool:
    """Return whether data holds something that is named like a secret, or a value that only the run makes."""
    if isinstance(value, Mapping):
        return any(may_be_secret(inner, str(key)) for key, inner in value.items())
    if isinstance(value, list):
        return any(may_be_secret(inner, name) for inner in value)
    return bool(value and SECRET_LIKE.search(name)) or (isinstance(value, str) and SENTINEL in value)


def _read(entry: Path, text: str) -> list[Object] | None:
    """Return the objects of an entry, None where it is not there, not ours alone, damaged, or of other input."""
    try:
        with entry.open(encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            digest, body = file.read().split("\n", 1)
        if about.st_uid != os.geteuid() or about.st_mode & 0o077 or digest != _digest(body):
            return None
        kept = json.loads(body)
        os.utime(entry)
    except (OSError, ValueError):
        return None
    objects: list[Object] = kept["objects"]
    return objects if kept["inputs"] == json.loads(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
