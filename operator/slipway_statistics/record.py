"""Frozen dataclasses as JSON and back, so that a look can be kept and its verdict computed again from what was kept.

JSON has no infinity, and a standard error of nothing is one: infinities are written as the texts ``Infinity`` and ``-Infinity``, wherever a float may
be. What is not a number (NaN) is not written: no value here is one, so it is a mistake of who made it.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")

_PLAIN = frozenset({int, str, bool, type(None)})
_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}


def write(value: Any) -> Any:
    """The value as ``json.dumps`` takes it: names of fields in camel case, tuples as lists, infinities as texts.

    Raises:
        ValueError: something in it is not a number (NaN).

    """
    # Most values of a look are numbers and texts, some ten thousand of them, and abstract classes are slow to ask.
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, tuple):
        return [write(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {written: write(getattr(value, name)) for name, written in _names(type(value))}
    return {key: write(item) for key, item in value.items()} if isinstance(value, Mapping) else value


@functools.cache
def _names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Fields of a dataclass, and what they are called in JSON."""
    return tuple((field.name, _camel(field.name)) for field in dataclasses.fields(kind))


def read(kind: type[T], written: Any) -> T:
    """What ``write`` wrote, from its JSON. Fields with a default may be missing; others are not known here.

    Raises:
        ValueError: something is missing, unknown or of another type; the message says where.

    """
    return typing.cast("T", _read(kind, written, at=kind.__name__))


def _read(kind: Any, written: Any, *, at: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(typing.cast("type[Any]", kind), written, at=at)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Literal:
        return _one_of(arguments, written, at=at)
    if origin in (types.UnionType, typing.Union):
        return _read_union(arguments, written, at=at)
    if origin is tuple:
        return tuple(_read(arguments[0], item, at=f"{at}[{place}]") for place, item in enumerate(_of(list, written, at=at)))
    if origin is Mapping:
        return {key: _read(arguments[1], item, at=f"{at}[{key}]") for key, item in _of(dict, written, at=at).items()}
    if kind is float:
        return _float(written, at=at)
    return _of(kind, written, at=at)


def _read_fields(kind: type[Any], written: Any, *, at: str) -> Any:
    names, fields = _fields(typing.cast("Hashable", kind))
    _of(dict, written, at=at)
    unknown = sorted(written.keys() - names.keys())
    if unknown:
        raise ValueError(f"{at} has no {', '.join(unknown)}; it has {', '.join(names)}")
    missing = sorted(name for name, field in names.items() if name not in written and field in fields["required"])
    if missing:
        raise ValueError(f"{at} lacks {', '.join(missing)}")
    hints = fields["hints"]
    try:
        return kind(**{names[name]: _read(hints[names[name]], item, at=f"{at}.{name}") for name, item in written.items()})
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(at) else f"{at}: {error}") from error


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Names of fields by their names in JSON; their types, and which must be there."""
    found = dataclasses.fields(kind)
    required = {f.name for f in found if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING}
    return {_camel(field.name): field.name for field in found}, {"hints": typing.get_type_hints(kind), "required": required}


def _read_union(kinds: tuple[Any, ...], written: Any, *, at: str) -> Any:
    """A number keeps being whole or not; anything else is the one type beside None."""
    if written is None and types.NoneType in kinds:
        return None
    if set(kinds) == {int, float}:
        return _read(type(written) if type(written) in kinds else float, written, at=at)
    return _read(next(kind for kind in kinds if kind is not types.NoneType), written, at=at)


def _one_of(allowed: tuple[Any, ...], written: Any, *, at: str) -> Any:
    if written not in allowed:
        raise ValueError(f"{at} is one of {', '.join(map(str, allowed))}, not {written!r}")
    return written


def _finite(value: float) -> float | str:
    if math.isnan(value):
        raise ValueError("a value that is not a number cannot be kept: whoever computed it divided nothing by nothing")
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _float(written: Any, *, at: str) -> float:
    if isinstance(written, str) and written in _INFINITIES:
        return _INFINITIES[written]
    return float(written) if isinstance(written, int) and not isinstance(written, bool) else typing.cast("float", _of(float, written, at=at))


def _of(kind: type[Any], written: Any, *, at: str) -> Any:
    if not isinstance(written, kind) or (isinstance(written, bool) and kind is not bool):
        raise ValueError(f"{at} is a {kind.__name__}, not {written!r}")
    return written


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
