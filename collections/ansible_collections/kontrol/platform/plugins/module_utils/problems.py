"""Problems found in declared input: collected, never raised one by one, and shown in one message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_VALUE: Final = 60


class Shown(Enum):
    """Stands in for a value that is not shown."""

    MISSING = "missing"
    """There is no value, or the message already names it."""
    HIDDEN = "hidden"
    """There is a value that may be a secret."""


MISSING: Final = Shown.MISSING
HIDDEN: Final = Shown.HIDDEN


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a declared file.

    A rules function may leave `file` empty: the judge fills in the file and line that the value came from.
    """

    file: str
    """File, or file:line, or file:line:column; or what was wrong instead of a file, such as "--extra-vars"."""
    path: str
    """Where in the document, such as `clickhouse.storage` or `mesh.networks[0]`; empty for the whole file."""
    value: Any
    """The value that was found; MISSING or HIDDEN when it is not to be shown."""
    message: str
    """What is wrong and what is allowed: a capital first, no final period, never a secret."""
    remedy: str = ""
    """What to do, where the message does not say it."""

    def __str__(self) -> str:
        """Return the problem as one line: `file:line: path: message, found value: remedy`."""
        where = ": ".join(part for part in (self.file, self.path) if part)
        found = "" if self.value is MISSING else f", found {quoted(self.value)}"
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{where}: {self.message}{found}{remedy}"


class ProblemsError(KontrolError):
    """Input was refused; `problems` holds every reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(render(self.problems))


def quoted(value: Any) -> str:
    """Return a value as it may stand in a message: text in quotes, anything else as short JSON on one line."""
    if value is HIDDEN:
        return "a value that is not shown here"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= LONGEST_VALUE:
        return text
    return text[: LONGEST_VALUE - 4] + '..."' if isinstance(value, str) else text[: LONGEST_VALUE - 3] + "..."


def render(problems: Iterable[Problem]) -> str:
    """Return all problems, one a line, in the order given and each once."""
    return "\n".join(dict.fromkeys(str(problem) for problem in problems))
