"""What is counted, as Prometheus metrics that are made when somebody asks."""

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EVENTS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
_PREFIX = "slipway_ledger_"


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
        """As Prometheus wants them: bounds as text, and how many were at most that."""
        total, found = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            found.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
        return found


class Meters(Collector):
    """Count with the fields; ``text()`` is an answer of ``/metrics``."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """By what was asked for and status."""
        self.events: Counter[tuple[str, str]] = Counter()
        """By kind, and accepted, duplicate or the word of why it was refused."""
        self.removed: Counter[str] = Counter()
        """Rows that retention removed, by table."""
        self.reviews: Counter[str] = Counter()
        """Of tokens by the API server: yes, no or failed."""
        self.seconds = Histogram(SECONDS)
        self.group_seconds = Histogram(SECONDS)
        self.group_events = Histogram(EVENTS)
        self.waiting: Callable[[], int] = lambda: 0
        self.available: Callable[[], bool] = lambda: True
        self.experiments: Callable[[], int] = lambda: 0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def group(self, events: int, seconds: float) -> None:
        """Count a transaction."""
        self.group_events.add(events)
        self.group_seconds.add(seconds)

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield _counter("requests", "Requests, by what was asked for and the status of the answer", ("path", "code"), self.requests.items())
        yield _counter("events", "Events, by kind and what came of them", ("kind", "result"), self.events.items())
        yield _counter(
            "removed_rows", "Rows that were removed because their time was over", ("table",), (((at,), n) for at, n in self.removed.items())
        )
        yield _counter(
            "reviews", "Tokens that the API server was asked about, by what it said", ("result",), (((said,), n) for said, n in self.reviews.items())
        )
        yield _histogram("request_seconds", "Time from a request to its answer", self.seconds)
        yield _histogram("transaction_seconds", "Time of a transaction, its flush to the disk included", self.group_seconds)
        yield _histogram("transaction_events", "Events of a transaction", self.group_events)
        yield GaugeMetricFamily(f"{_PREFIX}waiting_events", "Events that wait to be written", value=self.waiting())
        yield GaugeMetricFamily(f"{_PREFIX}database_available", "1 where the last transaction ended well", value=float(self.available()))
        yield GaugeMetricFamily(f"{_PREFIX}experiments", "Experiments, ended ones that still have data among them", value=self.experiments())


def _counter(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> CounterMetricFamily:
    family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_PREFIX + name, text)
    family.add_metric((), histogram.buckets(), histogram.sum)
    return family
