"""The server's log: its text format, on the console and in the file that `<logger>` names, rotated by size."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Logger

LOG = logging.getLogger("clickhouse_stand_in")
_NAMES = {"CRITICAL": "Fatal", "ERROR": "Error", "WARNING": "Warning", "INFO": "Information", "DEBUG": "Debug"}


class Format(logging.Formatter):
    """One record as the server writes it: time in UTC, thread, query, severity, who, text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a text with line breaks stays as it is, as the server's stack traces do."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y.%m.%d %H:%M:%S.%f")
        who, severity = getattr(record, "who", "Application"), _NAMES[record.levelname]
        return f"{time} [ {threading.get_native_id()} ] {{}} <{severity}> {who}: {record.getMessage()}"


def start(settings: Logger) -> None:
    """Write where the settings say; raises OSError when the file cannot be written."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)] if settings.console else []
    if settings.file is not None:
        handlers.append(RotatingFileHandler(settings.file, maxBytes=settings.size, backupCount=settings.count))
    for handler in handlers:
        handler.setFormatter(Format())
    LOG.handlers[:], LOG.propagate = handlers, False
    LOG.setLevel(logging.INFO)
