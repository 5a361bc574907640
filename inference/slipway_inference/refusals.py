"""What a client is told when it does not get what it asked for."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """A request is not answered well. The message is a sentence for whoever sent it."""

    def __init__(self, error: str, *, status: int = 400, reason: str, input: str = "", details: Mapping[str, Any] | None = None) -> None:  # noqa: A002
        super().__init__(error)
        self.error = error
        self.status = status
        self.reason = reason
        """One word, for programs and metrics: ``shape``, ``minimum``, ``truncated``."""
        self.input = input
        """The tensor that is wrong; empty where it is the request."""
        self.details = details or {}
        """What else is known: ``row``, ``column``, ``value``, ``rule``."""

    @property
    def body(self) -> dict[str, Any]:
        """What is sent, before it is JSON."""
        return {"error": self.error, "input": self.input, "reason": self.reason, **self.details}
