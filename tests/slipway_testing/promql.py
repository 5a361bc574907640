"""Enough of PromQL to find a query that Prometheus takes and that finds nothing: metrics, their labels, and the labels of what comes out.

What is not known here is refused, not passed over: a function that a query needs is added to the tables below.
"""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

AGGREGATIONS: Final = {"sum", "min", "max", "avg", "count"}
OF_COUNTERS: Final = {"rate", "increase"}
"""Functions of a range of a counter."""
SETS: Final = {"or", "and", "unless"}
"""Operators that take or leave series as they are, many of either side."""
COUNTER_ENDINGS: Final = ("_total", "_bucket", "_count", "_sum")
LEVELS: Final = (("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%"))
"""Binary operators, those that bind least first."""
KEYWORDS: Final = {"or", "and", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<range>\[[^]]*\])
    | (?P<name>[a-zA-Z_:][\w:]*)
    | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%=<>(){},])""",
    re.VERBOSE,
)

Labels: TypeAlias = frozenset[str] | None
"""Of an instant vector; None: a number."""


class Wrong(Exception):
    """A query that is no PromQL, or that can never find what it asks for; the message says what is wrong with it."""


@dataclass(frozen=True)
class Token:
    """A piece of a query: ``kind`` is a group of the pattern above, or ``end``."""

    kind: str
    text: str


@dataclass(frozen=True)
class Matcher:
    """``outcome=~"5xx|none"``."""

    label: str
    operator: str
    value: str

    def takes(self, value: str) -> bool:
        """Whether a series with this value of the label is among those asked for."""
        alike = re.fullmatch(self.value, value) is not None if "~" in self.operator else self.value == value
        return alike != self.operator.startswith("!")


@dataclass(frozen=True)
class Selector:
    """``metric{matchers}[range]``."""

    metric: str
    matchers: tuple[Matcher, ...]
    range: str


@dataclass(frozen=True)
class Query:
    """What a query asks for, and the labels of its answer."""

    selectors: tuple[Selector, ...]
    labels: Labels


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a query without blanks, then an end. Raises Wrong."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise Wrong(f"{text[at:]!r} begins with nothing that is known")
        at = found.end()
        if found.lastgroup != "blank":
            yield Token(str(found.lastgroup), found.group())
    yield Token("end", "")


def parse(text: str, metrics: Mapping[str, Set[str]]) -> Query:
    """Read a query of ``metrics``, which have these labels. Raises Wrong."""
    parser = _Parser(text, metrics)
    labels = parser.binary(0)
    parser.need("")
    return Query(tuple(parser.selectors), labels)


class _Parser:
    """One method for each rule of the grammar; each gives the labels of what it has read."""

    def __init__(self, text: str, metrics: Mapping[str, Set[str]]) -> None:
        self._tokens = list(tokens(text))
        self._metrics = metrics
        self.selectors: list[Selector] = []

    def binary(self, level: int) -> Labels:
        if level == len(LEVELS):
            return self._operand()
        left = self.binary(level + 1)
        while self._now.text in LEVELS[level]:
            operator = self._next().text
            on = self._names() if self._takes("on") else None
            many = self._takes("group_left")
            left = _matched(operator, left, self.binary(level + 1), on=on, many=many)
        return left

    def need(self, text: str) -> None:
        if (found := self._next().text) != text:
            raise Wrong(f"{found or 'the end'!r} where {text or 'the end'!r} should be")

    @property
    def _now(self) -> Token:
        return self._tokens[0]

    def _next(self) -> Token:
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]

    def _takes(self, text: str) -> bool:
        return self._now.text == text and bool(self._next())

    def _operand(self) -> Labels:
        token = self._next()
        if token.kind == "number":
            return None
        if token.text == "(":
            labels = self.binary(0)
            self.need(")")
            return labels
        if token.kind != "name" or token.text in KEYWORDS:
            raise Wrong(f"{token.text or 'the end'!r} where a metric, a function or a number should be")
        if token.text in AGGREGATIONS:
            return self._aggregation()
        return self._function(token.text) if self._now.text == "(" else self._selector(token.text)

    def _aggregation(self) -> Labels:
        by = self._names() if self._takes("by") else frozenset()
        self.need("(")
        labels = self.binary(0)
        self.need(")")
        _within(by, labels)
        return by

    def _function(self, name: str) -> Labels:
        self.need("(")
        result: Labels
        if name == "histogram_quantile":
            quantile = self._next()
            if quantile.kind != "number" or float(quantile.text) > 1:
                raise Wrong(f"the quantile is {quantile.text!r}")
            self.need(",")
            labels = self.binary(0)
            _within(frozenset({"le"}), labels)
            result = (labels or frozenset()) - {"le"}
        elif name in OF_COUNTERS:
            result = self._selector(self._next().text, within=name) or frozenset()
        elif name == "vector":
            _number(self.binary(0))
            result = frozenset()
        elif name == "time":
            self.need(")")
            return None
        else:
            raise Wrong(f"{name} is no function that is known")
        self.need(")")
        return result

    def _selector(self, metric: str, *, within: str = "") -> Labels:
        if metric not in self._metrics:
            raise Wrong(f"there is no metric {metric}")
        labels = frozenset(self._metrics[metric])
        matchers = tuple(self._matchers()) if self._takes("{") else ()
        _within(frozenset(matcher.label for matcher in matchers), labels)
        over = self._next().text if self._now.kind == "range" else ""
        if bool(over) != bool(within):
            raise Wrong(f"{metric} {'without' if within else 'with'} a range")
        if within and not metric.endswith(COUNTER_ENDINGS):
            raise Wrong(f"{within} of {metric}, which is no counter")
        self.selectors.append(Selector(metric, matchers, over[1:-1]))
        return labels

    def _matchers(self) -> Iterator[Matcher]:
        while not self._takes("}"):
            label, operator, value = self._next(), self._next(), self._next()
            if label.kind != "name" or operator.text not in ("=", "!=", "=~", "!~") or value.kind != "text":
                raise Wrong(f"{label.text}{operator.text}{value.text} is no matcher")
            yield Matcher(label.text, operator.text, value.text[1:-1])
            if self._now.text != "}":
                self.need(",")

    def _names(self) -> frozenset[str]:
        names = set()
        self.need("(")
        while not self._takes(")"):
            name = self._next()
            if name.kind != "name":
                raise Wrong(f"{name.text or 'the end'!r} where a label should be")
            names.add(name.text)
            if self._now.text != ")":
                self.need(",")
        return frozenset(names)


def _within(names: frozenset[str], labels: Labels) -> None:
    if missing := names - (labels or frozenset()):
        raise Wrong(f"there is no label {', '.join(sorted(missing))} but {', '.join(sorted(labels or ())) or 'none'}")


def _number(labels: Labels) -> None:
    if labels is not None:
        raise Wrong("a vector is made of a number")


def _matched(operator: str, left: Labels, right: Labels, *, on: frozenset[str] | None, many: bool) -> Labels:
    """The labels of ``left operator right``. Series that differ in a label that only one side has never meet."""
    if left is None or right is None:
        if operator in SETS:
            raise Wrong(f"{operator} with a number")
        return right if left is None else left
    if on is None:
        if left != right:
            raise Wrong(f"{operator} between labels {', '.join(sorted(left))} and {', '.join(sorted(right))}")
        return left
    _within(on, left)
    if operator in SETS:
        _within(on, right)
        return left
    if right != on or (left != on and not many):
        raise Wrong(f"{operator} on {', '.join(sorted(on))} meets several series of a side")
    return left
