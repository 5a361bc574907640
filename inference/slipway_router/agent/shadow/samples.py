"""A sample as nginx hands it over: a request, and the answer that the client got."""

import json
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Message:
    """The body of a request or of an answer, and what is needed to read it."""

    body: bytes
    content_type: str
    header_length: int | None
    """Bytes of JSON before the tensors (Inference-Header-Content-Length); None where all of it is JSON."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose sample it is: the first line."""

    model: str
    epoch: int
    shadow: str
    """The revision to ask."""

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read the first line of a sample. ValueError where it is not one."""
        return cls._of(_document(line))

    @classmethod
    def _of(cls, document: dict[str, Any]) -> Self:
        try:
            return cls(model=str(document["model"]), epoch=int(document["epoch"]), shadow=str(document["shadow"]))
        except (KeyError, TypeError) as cause:
            raise ValueError(f"a sample without {cause}") from cause


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, whole."""

    about: About
    path: str
    request_id: str
    request: Message
    status: int
    seconds: float
    """What the answer took."""
    answer: Message

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.request.body) + len(self.answer.body) + 1000

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a line of JSON, a line feed, the request's body and the answer's. ValueError where it is anything else."""
        line, _, bodies = body.partition(b"\n")
        document = _document(line)
        try:
            asked, answered = int(document["requestBytes"]), int(document["answerBytes"])
            if min(asked, answered) < 0 or asked + answered != len(bodies):
                raise ValueError(f"a sample of {len(bodies)} bytes that should have {asked} and {answered}")
            return cls(
                about=About._of(document),
                path=str(document["path"]),
                request_id=str(document.get("requestId") or ""),
                request=Message(bodies[:asked], str(document.get("contentType") or "application/json"), _length(document, "inferenceHeaderLength")),
                status=int(document["status"]),
                seconds=float(document["seconds"]),
                answer=Message(bodies[asked:], str(document.get("answerContentType") or ""), _length(document, "answerInferenceHeaderLength")),
            )
        except (KeyError, TypeError) as cause:
            raise ValueError(f"a sample without {cause}") from cause


def _document(line: bytes) -> dict[str, Any]:
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("a sample that does not begin with a JSON object")
    return document


def _length(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    return None if value is None else int(value)
