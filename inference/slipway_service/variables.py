"""Settings from environment variables: a field ``drain_seconds`` of a frozen dataclass is SLIPWAY_DRAIN_SECONDS.

What reads a variable raises ValueError with the half sentence that stands behind its name and what it holds.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

PREFIX = "SLIPWAY_"

_LINK_OF_A_SERVICE = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes tells pods of every Service of their namespace: of one called ``slipway`` in SLIPWAY_PORT. No setting looks like it."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Field: TypeAlias = "dataclasses.Field[Any]"


class SettingsError(Exception):
    """Environment variables do not hold what they should; the message names each, what it holds and what it should."""


def read(kind: type, environment: Mapping[str, str], parsed: Callable[[Field, str], Any], *, wrong: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of the dataclass ``kind`` that the environment gives, each as ``parsed`` makes it of the text.

    SettingsError tells of every variable that does not fit, not only of the first, and before them what was found ``wrong`` already.
    """
    values: dict[str, Any] = {}
    found = list(wrong)
    for field in dataclasses.fields(kind):
        name = PREFIX + field.name.upper()
        text = environment.get(name)
        if not text or _LINK_OF_A_SERVICE.match(text):  # an empty variable is how manifests say "the default"
            continue
        try:
            values[field.name] = parsed(field, text)
        except ValueError as error:
            found.append(f"{name} is {text!r}: {error}.")
    if found:
        raise SettingsError(" ".join(found))
    return values


def like_default(field: Field, text: str, *, number: Callable[[str], float]) -> Any:
    """What a field holds whose default shows its type: ``number`` reads those with a point, other numbers are ports or at least 1."""
    if isinstance(field.default, int):
        return whole(text, least=1, most=65535 if field.name.endswith("port") else None)
    return number(text) if isinstance(field.default, float) else text


def whole(text: str, *, least: int, most: int | None = None) -> int:
    """A whole number from ``least`` to ``most``."""
    fits = f"a whole number from {least} to {most}" if most is not None else f"a whole number, at least {least}"
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"it should be {fits}") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"it should be {fits}")
    return number


def amount(text: str, *, what: str = "a number", least: float = 0.0) -> float:
    """A number from ``least`` to less than a million."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"it should be {what}, as 2.5") from None
    if not least <= number < 1e6:
        raise ValueError(f"it should be {what}, at least {least:g}")
    return number


def seconds(text: str, *, least: float = 0.0) -> float:
    """A number of seconds from ``least`` to less than a million."""
    return amount(text, what="a number of seconds", least=least)


def level(text: str) -> str:
    """A level of ``logging``, however it is written."""
    if text.upper() not in _LEVELS:
        raise ValueError(f"it should be one of {', '.join(_LEVELS)}")
    return text.upper()
