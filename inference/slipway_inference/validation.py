"""The rules of values: whole columns at once, and one by one only where something is wrong."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

from slipway_inference.configuration import Configuration, OnInvalid, Rule, Tensor
from slipway_inference.protocol.datatypes import Array, Tensors
from slipway_inference.protocol.requests import Request
from slipway_inference.refusals import Refused

Found = tuple[str, str]
"""Input and reason."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Tensors that may be served, and what was wrong with them."""

    tensors: Tensors
    flagged: Counter[Found]
    """Values that were passed on as they are."""
    imputed: Counter[Found]
    """Values that another took the place of."""


class Validation:
    """Made once from the configuration; ``check`` for each request."""

    def __init__(self, configuration: Configuration) -> None:
        validation = configuration.validation
        tensors = {tensor.name: tensor for tensor in configuration.accepted}
        default: OnInvalid = validation.on_invalid if validation else "Flag"
        self._rules = [_Compiled(rule, tensors[rule.input], place, default) for place, rule in enumerate(validation.rules if validation else ())]
        self._quick = [_Quick(tensor, rules) for tensor in tensors.values() if (rules := [one for one in self._rules if one.input == tensor.name])]

    def check(self, request: Request) -> Checked:
        """Tensors as the rules leave them. Refused (422): a value breaks one whose ``onInvalid`` is Reject, or is null and has to be something."""
        if not request.nulls and all(quick.fits(request.tensors[quick.input]) for quick in self._quick):
            return Checked(request.tensors, Counter(), Counter())
        checked = Checked(dict(request.tensors), Counter(), Counter())
        nulls = {name: empty.copy() for name, empty in request.nulls.items()}
        for rule in self._rules:
            rule.apply(checked, nulls, request.rows)
        for name, empty in nulls.items():
            if empty.any():
                row, column = _first(empty.reshape(request.rows, -1))
                raise _broken(name, "null", row, column, None, f"{checked.tensors[name].dtype} has no null")
        return checked


class _Compiled:
    """One rule."""

    def __init__(self, rule: Rule, tensor: Tensor, place: int, default: OnInvalid) -> None:
        self.input = rule.input
        self.column = rule.column
        self.nullable = rule.nullable
        self.minimum = None if rule.minimum is None else _bound(rule.minimum, tensor, ROUND_CEILING)
        self.maximum = None if rule.maximum is None else _bound(rule.maximum, tensor, ROUND_FLOOR)
        self.allowed = None if rule.allowed is None else [_element(text, tensor) for text in rule.allowed]
        self._floats = tensor.datatype.family == "float"
        self._action = rule.on_invalid or default
        self._impute = None if rule.impute is None else _element(rule.impute, tensor)
        self._texts = {"minimum": f"minimum {rule.minimum}", "maximum": f"maximum {rule.maximum}", "null": "not null"}
        self._texts["allowed"] = f"one of {', '.join(rule.allowed or ())}"
        self._place = place

    def apply(self, checked: Checked, nulls: dict[str, Array], rows: int) -> None:
        """Look at one input, and do what is to be done about what is wrong there."""
        tensor = checked.tensors[self.input].reshape(rows, -1)
        if self.column is not None and self.column >= tensor.shape[1]:
            return  # an input of any size that has no such column this time
        columns = slice(None) if self.column is None else slice(self.column, self.column + 1)
        empty = nulls.get(self.input)
        empty = None if empty is None else empty.reshape(rows, -1)[:, columns]
        wrong = [(reason, bad) for reason, bad in self._wrong(tensor[:, columns], empty) if bad.any()]
        for reason, bad in wrong:
            key = (self.input, reason)
            if self._action == "Reject":
                row, column = _first(bad)
                value = None if reason == "null" else _plain(tensor[:, columns][row, column])
                raise _broken(self.input, reason, row, column + (self.column or 0), value, self._texts[reason], place=self._place)
            counts = checked.flagged if self._action == "Flag" else checked.imputed
            counts[key] += int(bad.sum())
        if wrong and self._action == "Impute":
            changed = tensor.copy()
            for _, bad in wrong:
                changed[:, columns][bad] = self._impute
                if empty is not None:
                    empty[bad] = False
            checked.tensors[self.input] = changed.reshape(checked.tensors[self.input].shape)

    def _wrong(self, values: Array, empty: Array | None) -> Sequence[tuple[str, Array]]:
        """Each reason, and where. A null is wrong for being one, and for nothing else."""
        none = np.isnan(values) if self._floats else (np.zeros(values.shape, bool) if empty is None else empty)
        found = [] if self.nullable else [("null", none)]
        if self.minimum is not None:
            found.append(("minimum", (values < self.minimum) & ~none))
        if self.maximum is not None:
            found.append(("maximum", (values > self.maximum) & ~none))
        if self.allowed is not None:
            found.append(("allowed", ~_among(values, self.allowed) & ~none))
        return found


class _Quick:
    """All rules of an input in a few operations on whole rows: do all values fit all of them?"""

    def __init__(self, tensor: Tensor, rules: Sequence[_Compiled]) -> None:
        self.input = tensor.name
        self._possible = tensor.width > 0 and tensor.datatype.family in ("float", "int")
        if not self._possible:
            return
        dtype, width = tensor.datatype.numpy, tensor.width
        least, most = (-np.inf, np.inf) if tensor.datatype.family == "float" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        self._low, self._high = np.full(width, least, dtype), np.full(width, most, dtype)
        self._nullable = np.ones(width, bool)
        self._sets: list[tuple[slice, Array]] = []
        self._possible = all(self._take(rule, dtype, least, most) for rule in rules)
        self._bounded = bool((self._low != least).any() or (self._high != most).any() or not self._nullable.all())
        self._lax = bool(self._nullable.any()) and tensor.datatype.family == "float"

    def _take(self, rule: _Compiled, dtype: "np.dtype[Any]", least: Any, most: Any) -> bool:
        """False: there is no element of the datatype that the bound could be put as."""
        columns = slice(None) if rule.column is None else slice(rule.column, rule.column + 1)
        for bound, mine, other in ((rule.minimum, self._low, np.maximum), (rule.maximum, self._high, np.minimum)):
            if bound is None:
                continue
            if not least <= bound <= most:
                return False
            mine[columns] = other(mine[columns], np.array(bound, dtype))
        if not rule.nullable:
            self._nullable[columns] = False
        if rule.allowed is not None:
            self._sets.append((columns, np.array(rule.allowed, dtype)))
        return True

    def fits(self, tensor: Array) -> bool:
        """False: some value does not, or only looking closer can tell."""
        if not self._possible:
            return False
        values = tensor.reshape(-1, len(self._low))
        if self._bounded:
            good = (values >= self._low) & (values <= self._high)  # NaN is neither
            if self._lax:
                good |= np.isnan(values) & self._nullable
            if not good.all():
                return False
        return all(_among(values[:, columns], allowed).all() for columns, allowed in self._sets)


def _among(values: Array, allowed: Any) -> Array:
    if values.dtype == object:
        known = set(allowed)
        return np.array([value in known for value in values.ravel()], bool).reshape(values.shape)
    allowed = np.asarray(allowed, values.dtype)
    if values.size * len(allowed) <= 4096:  # np.isin sorts, which does not pay for few
        found: Array = (values[..., None] == allowed).any(-1)
        return found
    return np.isin(values, allowed)


def _bound(text: str, tensor: Tensor, rounding: str) -> Any:
    value = Decimal(text)
    if tensor.datatype.family == "int":
        return int(value.to_integral_value(rounding))
    with np.errstate(over="ignore"):
        return float(tensor.datatype.numpy.type(float(value)))


def _element(text: str, tensor: Tensor) -> Any:
    """A value of the datatype: what a client that sends this text would have sent."""
    family = tensor.datatype.family
    if family == "str":
        return text.encode()
    if family == "bool":
        return text == "true"
    return int(Decimal(text)) if family == "int" else tensor.datatype.numpy.type(float(text))


def _first(bad: Array) -> tuple[int, int]:
    row, column = np.unravel_index(int(bad.argmax()), bad.shape)
    return int(row), int(column)


def _plain(value: Any) -> Any:
    found = value.item() if isinstance(value, np.generic) else value
    if isinstance(found, bytes):
        return found[:200].decode(errors="replace")
    return str(found) if isinstance(found, float) and not math.isfinite(found) else found


def _broken(name: str, reason: str, row: int, column: int, value: Any, rule: str, *, place: int | None = None) -> Refused:
    said = "null" if value is None else repr(value)
    details = {"row": row, "column": column, "value": value, "rule": rule} | ({} if place is None else {"ruleIndex": place})
    return Refused(
        f"input {name}: row {row}, column {column} is {said}: it should be {_should(rule)}", status=422, reason=reason, input=name, details=details
    )


def _should(rule: str) -> str:
    kind, _, rest = rule.partition(" ")
    return {"minimum": f"at least {rest}", "maximum": f"at most {rest}"}.get(kind, "something else, for " + rule if " has no null" in rule else rule)
