"""What is counted, as Prometheus metrics that are made when somebody asks."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import Metric

from slipway_service.meters import Exposition, Families, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EVENTS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)
_families = Families("slipway_ledger_")
_counter, _gauge, _histogram = _families.counter, _families.gauge, _families.histogram


class Meters(Exposition):
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
        super().__init__()

    def group(self, events: int, seconds: float) -> None:
        """Count a transaction."""
        self.group_events.add(events)
        self.group_seconds.add(seconds)

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
        yield _gauge("waiting_events", "Events that wait to be written", (), [((), self.waiting())])
        yield _gauge("database_available", "1 where the last transaction ended well", (), [((), float(self.available()))])
        yield _gauge("experiments", "Experiments, ended ones that still have data among them", (), [((), self.experiments())])
