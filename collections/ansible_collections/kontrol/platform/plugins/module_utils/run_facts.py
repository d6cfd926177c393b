"""What runs on what: the person, the machine, the commit and the versions of a run, and the command to repeat it."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import socket
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import process, yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.extra_vars import EXTRA_VARS, NEW_REGION

if TYPE_CHECKING:
    from collections.abc import Sequence

EXTRA: Final = ("-e", "--extra-vars")
HIDDEN: Final = "***"
GIT_SECONDS: Final = 5.0
GALAXY: Final = "collections/ansible_collections/kontrol/platform/galaxy.yml"


def facts(argv: Sequence[str], root: Path, runner: process.Runner = process.run) -> dict[str, Any]:
    """Return what is known of a run when it starts.

    Args:
        argv: The command line of ansible-playbook.
        root: The checkout.
        runner: Runs git.

    Returns:
        `command`, `directory` (where it was given), `by` {user, host, pid}, `code` (see `code`), `versions`.
    """
    return {
        "command": shown_command(argv),
        "directory": _directory(),
        "by": {"user": _user(), "host": socket.gethostname(), "pid": os.getpid()},
        "code": code(root, runner),
        "versions": {
            "ansible-core": _version("ansible-core"),
            "python": platform.python_version(),
            "kontrol.platform": collection_version(root),
        },
    }


def shown_command(argv: Sequence[str]) -> str:
    """Return a command line that a shell takes, without values that could be secret."""
    words = [Path(argv[0]).name] if argv else []
    before = ""
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if before in EXTRA:
            words.append(_shown_extra(word))
        elif equals and name == EXTRA[1]:
            words.append(f"{name}={_shown_extra(value)}")
        elif word.startswith(EXTRA[0]) and word != EXTRA[0]:
            words.append(EXTRA[0] + _shown_extra(word.removeprefix(EXTRA[0])))
        else:
            words.append(word)
        before = word
    return shlex.join(words)


def _shown_extra(text: str) -> str:
    """Return what -e was given: a file by its name, our own variables whole, any other without its value."""
    if text.startswith("@"):
        return text
    if text.lstrip().startswith(("{", "[")):
        return HIDDEN
    try:
        pairs = shlex.split(text)
    except ValueError:
        return HIDDEN
    shown = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        known = name in EXTRA_VARS | NEW_REGION  # the value of any other one may be a secret, so it is not kept
        shown.append(f"{name}={value if known else HIDDEN}" if equals else HIDDEN)
    return " ".join(shown)


def code(root: Path, runner: process.Runner = process.run) -> dict[str, Any]:
    """Return commit and dirty (files changed or not added) of a checkout; commit is "" where git cannot tell."""
    unknown: dict[str, Any] = {"commit": "", "dirty": False}
    try:
        git = process.find_tool("git")
        argv = [git, "--no-optional-locks", "-C", str(root), "status", "--porcelain=v2", "--branch"]
        answer = runner(argv, timeout=GIT_SECONDS)
    except process.ToolError:
        return unknown
    if answer.rc != 0:
        return unknown
    head = [line.split()[2] for line in answer.stdout.splitlines() if line.startswith("# branch.oid ")]
    dirty = any(line and not line.startswith("#") for line in answer.stdout.splitlines())
    return {"commit": "".join(head[:1]), "dirty": dirty}


def collection_version(root: Path) -> str:
    """Return the version of the collection in a checkout, "" when it does not say."""
    try:
        text = (root / GALAXY).read_text(encoding="utf-8")
    except OSError:
        return ""
    return str((yaml_io.load(text, GALAXY) or {}).get("version", ""))


def _directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this number
        return str(os.getuid())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
