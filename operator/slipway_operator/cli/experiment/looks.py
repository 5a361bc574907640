"""Looks as the ledger keeps them: read from its answers or a file, checked once, and written again byte for byte."""

import contextlib
import gc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VERSION: Final = 1
"""Of what a look holds. A later one may mean something else by the same name, so it is refused and not guessed at."""

_OBJECTS: Final = ("design", "observed", "said")
_HELD: Final = {"sequence": int, "at": str, "version": int, "experiment": str} | dict.fromkeys(_OBJECTS, dict)


class Unanswerable(Exception):
    """A question that could not be answered; the message says what is missing and what to do. The process ends with 2."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One look. ``design``, ``observed`` and ``said`` are still JSON: ten thousand of them are read for a few numbers each."""

    sequence: int
    """1, then 2, and so on."""

    at: str
    """When, RFC 3339."""

    experiment: str
    """``namespace/name``."""

    step: int | None
    """Of the ramp, from 1."""

    percent: float | None
    """Of the units that the treatments have together."""

    design: Mapping[str, Any]
    observed: Mapping[str, Any]
    said: Mapping[str, Any]
    decision: Mapping[str, Any] | None
    """What the operator did on it: ``action`` and ``arm``; None: nothing."""

    bandit: Mapping[str, Any] | None
    body: Mapping[str, Any]
    """All of it, as it came."""

    @property
    def text(self) -> str:
        """All of it, as a line of a file."""
        return json.dumps(self.body, ensure_ascii=False)

    @property
    def name(self) -> str:
        """The experiment's, without its namespace."""
        return self.experiment.rpartition("/")[2]

    @property
    def elapsed_s(self) -> float:
        """Since the first exposure."""
        return float(self.observed["elapsedS"])

    @property
    def verdict(self) -> str:
        """Of the experiment."""
        return str(self.said["verdict"])


def parse(body: Any, *, where: str) -> Recorded:
    """Read one look.

    Args:
        body: a JSON value.
        where: what it is, for the message of an error: ``looks.jsonl:3``.

    Raises:
        Unanswerable: it is no look, or one of a version that is not known here.

    """
    if not isinstance(body, dict):
        raise Unanswerable(f"{where} is no object; a file of looks has one look a line, as `slipway experiment looks` writes them")
    wrong = [name for name, kind in _HELD.items() if not isinstance(body.get(name), kind) or isinstance(body.get(name), bool)]
    if wrong:
        raise Unanswerable(f"{where} is no look: it lacks {', '.join(wrong)}; fetch the looks again with `slipway experiment looks`")
    if body["version"] != VERSION:
        raise Unanswerable(f"{where} is a look of version {body['version']}, and this slipway knows version {VERSION}; use the slipway that wrote it")
    if not isinstance(body["said"].get("verdict"), str) or not isinstance(body["observed"].get("elapsedS"), int | float):
        raise Unanswerable(f"{where} is no look: said has no verdict, or observed no elapsedS; fetch the looks again with `slipway experiment looks`")
    return Recorded(
        sequence=body["sequence"],
        at=body["at"],
        experiment=body["experiment"],
        step=body.get("step"),
        percent=body.get("percent"),
        design=body["design"],
        observed=body["observed"],
        said=body["said"],
        decision=body.get("decision"),
        bandit=body.get("bandit"),
        body=body,
    )


def of_lines(lines: Iterable[str], *, where: str) -> tuple[Recorded, ...]:
    """Looks of one experiment, one a line, in order; empty lines are passed over.

    Raises:
        Unanswerable: a line is no look, there is none at all, or they are of more than one experiment.

    """
    found = tuple(_of_line(line, where=f"{where}:{number}") for number, line in enumerate(lines, start=1) if line.strip())
    return checked(found, where=where)


def of_file(name: str) -> tuple[Recorded, ...]:
    """The looks of a file that ``slipway experiment looks`` wrote.

    Raises:
        Unanswerable: it cannot be read, or as ``of_lines`` does.

    """
    try:
        with Path(name).open(encoding="utf-8") as lines, nothing_collected():
            return of_lines(lines, where=name)
    except UnicodeDecodeError as error:
        raise Unanswerable(f"{name} is no UTF-8 text; give the file that `slipway experiment looks` wrote") from error
    except OSError as error:
        raise Unanswerable(f"cannot read {name}: {error.strerror}; give the file that `slipway experiment looks` wrote") from error


def checked(found: Sequence[Recorded], *, where: str) -> tuple[Recorded, ...]:
    """The looks, if there are any and they are of one experiment.

    Raises:
        Unanswerable: they are not.

    """
    if not found:
        raise Unanswerable(f"{where} holds no look: an experiment is looked at for the first time when its first units have come; ask again later")
    names = sorted({look.experiment for look in found})
    if len(names) > 1:
        raise Unanswerable(f"{where} holds looks of {' and '.join(names)}; give those of one experiment")
    return tuple(found)


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """JSON has no cycles, and looking for some among the millions of objects of ten thousand looks takes four times as long as reading them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _of_line(line: str, *, where: str) -> Recorded:
    try:
        body = json.loads(line)
    except ValueError as error:
        raise Unanswerable(f"{where} is no JSON ({error}); a file of looks has one look a line, as `slipway experiment looks` writes them") from error
    return parse(body, where=where)
