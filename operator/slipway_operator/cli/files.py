"""Manifests from files or standard input, one object at a time."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_operator.api.crd import Kind
from slipway_operator.cli import documents, validation, wording
from slipway_operator.cli.documents import Document, Problem

STANDARD_INPUT = "-"


class FileError(OSError):
    """A file cannot be read at all; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One object of a file."""

    file: str
    document: Document

    @property
    def body(self) -> Any:
        """The object as it was written."""
        return self.document.value

    @property
    def kind(self) -> Kind | None:
        """Which of Slipway's kinds it is, if any."""
        return validation.kind_of(self.body)

    @property
    def title(self) -> str:
        """What people call it: ``ModelDeployment shop/ranker``."""
        body = self.body if isinstance(self.body, dict) else {}
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        parts = [str(part) for part in (metadata.get("namespace"), metadata.get("name") or metadata.get("generateName")) if part]
        return f"{body.get('kind') or 'object'} {'/'.join(parts) or '(no name)'}"

    def problems(self, *, namespace: str | None) -> list[Problem]:
        """What is wrong with it, from the top of the file to its end; nothing for kinds that are not ours."""
        kind = self.kind
        if kind is None:
            return []
        found = [*self.document.problems, *validation.problems(self.body, kind=kind, namespace=namespace)]
        return sorted(found, key=lambda problem: self.document.line(problem.path))

    def sentence(self, problem: Problem) -> str:
        """``problem`` as one line that an editor can jump to."""
        return f"{self.file}:{self.document.line(problem.path)}: {self.title}: {wording.dotted(problem.path)}: {problem.message}"

    def note(self, message: str) -> str:
        """A line about the object as a whole."""
        return f"{self.file}:{self.document.line(())}: {self.title}: {message}"


def manifests(names: Iterable[str]) -> Iterator[Manifest]:
    """Every object in the files ``names``; ``-`` is standard input.

    Raises:
        FileError: for a file that cannot be read.
        documents.NotYamlError: at the first place that is no YAML, with the file's name in its message.
    """
    for name in names:
        try:
            for document in documents.read(_text(name)):
                for part in document.objects():
                    yield Manifest(file=_shown(name), document=part)
        except documents.NotYamlError as error:
            raise documents.NotYamlError(f"{_shown(name)}:{error.line}: {error}", line=error.line) from error


def _shown(name: str) -> str:
    return "<stdin>" if name == STANDARD_INPUT else name


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == STANDARD_INPUT else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{_shown(name)} is no UTF-8 text") from error
    except OSError as error:
        raise FileError(f"cannot read {name}: {error.strerror}") from error
