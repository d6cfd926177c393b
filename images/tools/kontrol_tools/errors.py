"""The two ways in which a step fails to be done."""

from __future__ import annotations


class ToolError(Exception):
    """A step could not be done; the message says what failed and what to do. Never holds a secret."""


class ArgumentError(ToolError):
    """The arguments file asks for something that does not exist or lacks something."""
