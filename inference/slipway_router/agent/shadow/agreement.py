"""Whether two answers are the same, and how far apart they are."""

import json
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway_router.agent.shadow import tensors
from slipway_router.agent.shadow.samples import Message
from slipway_router.agent.shadow.tensors import Tensor

TOLERANCE = 1e-6
"""Floating-point numbers are equal when they differ by at most this share of the larger one."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """``mean_absolute_difference`` is over all numbers that both have at the same place; 0 where there are none, or none finite."""

    agreed: bool
    mean_absolute_difference: float


def compare(given: Message, other: Message) -> Agreement:
    """Compare an answer with another one. ValueError where one cannot be read: then there is nothing to say about them."""
    if given.body == other.body and given.header_length == other.header_length:
        return Agreement(True, 0.0)
    one, two = tensors.read(given), tensors.read(other)
    if one is None or two is None:
        return _compared_json(json.loads(given.body), json.loads(other.body))
    return _compared(one, two)


def _compared(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> Agreement:
    agreed, difference, count = one.keys() == two.keys(), 0.0, 0
    for name in one.keys() & two.keys():
        a, b = one[name], two[name]
        if (a.datatype, a.shape) != (b.datatype, b.shape):
            agreed = False
            continue
        agreed = agreed and _equal(a, b)
        if a.numeric:
            difference += _finite_sum(a.values, b.values)
            count += len(a.values)
    return Agreement(agreed, difference / count if count else 0.0)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Exactly for whole numbers and texts; JSON and bytes may say the same, so values are compared, never bodies."""
    if not a.inexact:
        return all(map(operator.eq, a.values, b.values))
    return all(map(_close, a.values, b.values))


def _close(a: Any, b: Any) -> bool:
    """Not a number, and what JSON has instead (null), is equal to itself."""
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=TOLERANCE) or (a != a and b != b)


def _finite_sum(one: Sequence[Any], two: Sequence[Any]) -> float:
    return math.fsum(d for d in (abs(a - b) for a, b in zip(one, two, strict=True) if a is not None and b is not None) if math.isfinite(d))


def _compared_json(one: Any, two: Any) -> Agreement:
    """Answers of another protocol: the same keys and lengths, numbers within the tolerance, all else equal."""
    pairs = list(_pairs(one, two))
    numbers = [(a, b) for a, b in pairs if _number(a) and _number(b)]
    agreed = all(_close(a, b) if _number(a) and _number(b) else type(a) is type(b) and a == b for a, b in pairs)
    return Agreement(agreed, _finite_sum([a for a, _ in numbers], [b for _, b in numbers]) / len(numbers) if numbers else 0.0)


def _pairs(one: Any, two: Any) -> Iterator[tuple[Any, Any]]:
    """The leaves at the same places; a pair that is never equal where one side has no such place."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in one.keys() | two.keys():
            yield from _pairs(one[key], two[key]) if key in one and key in two else [(True, None)]
    elif isinstance(one, list) and isinstance(two, list):
        for a, b in zip(one, two, strict=False):
            yield from _pairs(a, b)
        if len(one) != len(two):
            yield True, None
    else:
        yield one, two


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
