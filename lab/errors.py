"""The one error of the lab."""

from __future__ import annotations

from pathlib import Path


class LabError(Exception):
    """What failed and what to do, in one line; `log` is the file that holds the whole story."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.log = log

    def render(self, part: str | None = None, tail: int = 12) -> str:
        """Text for a person: the part, the message, the log's path and its last lines."""
        head = f"Part '{part}': {self.message}" if part else self.message
        if self.log is None or not self.log.is_file():
            return head
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-tail:]
        return "\n".join([head, f"  log: {self.log}", *(f"  | {line}" for line in lines)])
