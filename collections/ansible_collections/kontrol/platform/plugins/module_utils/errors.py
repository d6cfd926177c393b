"""The root of all errors of the collection. Pure: imports nothing of Ansible."""

from __future__ import annotations

from typing import Any


class KontrolError(Exception):
    """Something failed that a person has to know of: one message, never a secret in it.

    The text says what failed, the value in quotes and what to do; capital first, no final period.

    Attributes:
        result: Further keys for the failed result of the task, such as the objects written before the failure.
    """

    def __init__(self, message: str, result: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.result: dict[str, Any] = result or {}
