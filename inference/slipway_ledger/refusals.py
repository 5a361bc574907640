"""What a client is told when it does not get what it asked for."""

from typing import Any


class Refused(Exception):
    """A request is not answered well. The message is a sentence for whoever sent it; it never holds a unit, a request id or a token."""

    def __init__(self, error: str, *, status: int = 400, reason: str, retry_after_s: int | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.reason = reason
        """One word, for programs and metrics: ``body``, ``role``, ``full``."""
        self.retry_after_s = retry_after_s
        """When to try again; None where that is of no use."""

    @property
    def body(self) -> dict[str, Any]:
        """What is sent, before it is JSON."""
        return {"error": self.error, "reason": self.reason}
