"""Prometheus metrics that are made when somebody asks."""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Values: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, in the order of their names, and what belongs to them."""


@dataclass
class Histogram:
    """How many values were at most each bound."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus wants them."""
        return buckets(self.bounds, self.counts)


class Exposition(Collector):
    """The families of a subclass's ``collect``, and what the process takes; ``text()`` is an answer of ``/metrics``."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class Families:
    """Makes families whose names begin alike."""

    prefix: str

    def counter(self, name: str, help_: str, labels: Sequence[str], values: Values) -> Metric:
        """What only grows."""
        family = CounterMetricFamily(self.prefix + name, help_, labels=labels)
        for key, value in values:
            family.add_metric(key, value)
        return family

    def gauge(self, name: str, help_: str, labels: Sequence[str], values: Values) -> Metric:
        """What rises and falls."""
        family = GaugeMetricFamily(self.prefix + name, help_, labels=labels)
        for key, value in values:
            family.add_metric(key, value)
        return family

    def histogram(self, name: str, help_: str, histogram: Histogram) -> Metric:
        """One without labels."""
        family = HistogramMetricFamily(self.prefix + name, help_)
        family.add_metric((), histogram.buckets(), histogram.sum)
        return family


def buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """As Prometheus wants them: bounds as text, and how many were at most that. ``counts``: up to each bound, and past the last.

    buckets((1.0, 2.0), [3, 0, 4]) = [("1.0", 3.0), ("2.0", 3.0), ("+Inf", 7.0)].
    """
    total, found = 0, []
    for bound, count in zip((*map(repr, bounds), "+Inf"), counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
