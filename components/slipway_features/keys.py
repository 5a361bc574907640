"""The Redis keys of feature rows and of their schemas.

The key of a row holds the values of the join keys in the order of their names, each as type, length and bytes, so that no two rows share one:
``slipway:row:shop:user_stats:i2:42s5:apple``.
"""

import functools
import math
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np

JoinValue = str | int | bytes | float | bool
"""What can identify an entity. An integer and a float of the same value are two entities; 0.0 and -0.0 are one."""


def row_key(project: str, view: str, values: Mapping[str, JoinValue]) -> bytes:
    """The key of the row that ``values``, join key by join key, identify.

    Raises TypeError for a value that is none of JoinValue, ValueError for NaN, which equals nothing, and for text that is no Unicode.
    """
    parts = [prefix(project, view)]
    for name in sorted(values):
        try:
            letter, content = _encoded(values[name])
        except (TypeError, ValueError) as error:
            raise type(error)(f"join key {name} of view {view}: {error}") from None
        parts.append(b"%s%d:%s" % (letter, len(content), content))
    return b"".join(parts)


@functools.lru_cache(maxsize=4096)
def prefix(project: str, view: str) -> bytes:
    """What the keys of all rows of a view begin with, and no other key does."""
    return f"slipway:row:{_name(project)}:{_name(view)}:".encode()


def schema_key(project: str, view: str) -> bytes:
    """The key of the schema of a view's rows."""
    return f"slipway:schema:{_name(project)}:{_name(view)}".encode()


def _name(name: str) -> str:
    """Letters, digits and ``_.-~`` as they are, all else escaped: a colon in a name is no separator, and a star no pattern."""
    if not name:
        raise ValueError("a project or view without a name has no key")
    return quote(name, safe="")


def _encoded(value: JoinValue) -> tuple[bytes, bytes]:
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool():
            return b"b", b"1" if value else b"0"
        case int():
            return b"i", b"%d" % value
        case str():
            return b"s", _utf8(value)
        case bytes():
            return b"y", value
        case float():
            return b"f", _decimal(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}; rows are found by str, int, bytes, float and bool")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is no valid Unicode") from None


def _decimal(value: float) -> bytes:
    """The shortest decimal that reads back as the same double."""
    if math.isnan(value):
        raise ValueError("NaN identifies no row")
    return repr(value + 0.0).encode()
