"""What is counted, as Prometheus metrics that are made when somebody asks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import Metric

from slipway_inference.refusals import Refused
from slipway_service.meters import Exposition, Families, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
_families = Families("slipway_transformer_")
_counter, _gauge, _histogram = _families.counter, _families.gauge, _families.histogram


class Meters(Exposition):
    """Count with the fields; ``text()`` is an answer of ``/metrics``."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """By status."""
        self.seconds = Histogram(SECONDS)
        self.under_way = 0
        self.rows = Histogram(ROWS)
        self.requests_in_call = Histogram(ROWS)
        self.model_seconds = Histogram(SECONDS)
        self.store_seconds = Histogram(SECONDS)
        self.refused: Counter[tuple[str, str]] = Counter()
        self.flagged: Counter[tuple[str, str]] = Counter()
        self.imputed: Counter[tuple[str, str]] = Counter()
        self.features: Counter[tuple[str, str]] = Counter()
        self.hook_failures: Counter[str] = Counter()
        self.predictions: Callable[[], tuple[int, int]] = lambda: (0, 0)
        """Written and dropped."""
        super().__init__()

    def refuse(self, refused: Refused, known: Iterable[str]) -> None:
        """Count a refusal; names that clients make up are no labels."""
        self.refused[refused.input if refused.input in known else "", refused.reason] += 1

    def call(self, requests: int, rows: int) -> None:
        """Count a call to the model."""
        self.requests_in_call.add(requests)
        self.rows.add(rows)

    def feature(self, view: str, reason: str, rows: int) -> None:
        """Count rows of the store that were not there."""
        self.features[view, reason] += rows

    def hook_failed(self, which: str) -> None:
        """Count a failure of a hook."""
        self.hook_failures[which] += 1

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield _counter("requests", "Inferences, by the status of the answer", ("code",), (((code,), n) for code, n in self.requests.items()))
        yield _histogram("request_seconds", "Time from an inference to its answer", self.seconds)
        yield _gauge("pending_requests", "Inferences under way", (), [((), self.under_way)])
        yield _histogram("call_rows", "Rows of a call to the model", self.rows)
        yield _histogram("call_requests", "Requests that travelled in a call to the model", self.requests_in_call)
        yield _histogram("model_seconds", "Time of a request at the model, waiting for its turn included", self.model_seconds)
        yield _histogram("features_seconds", "Time of a request at the online store", self.store_seconds)
        yield _counter("refused", "Inferences that were refused or failed", ("input", "reason"), self.refused.items())
        yield _counter("flagged_values", "Values that broke a rule and were passed on", ("input", "reason"), self.flagged.items())
        yield _counter("imputed_values", "Values that broke a rule and were replaced", ("input", "reason"), self.imputed.items())
        yield _counter("missing_rows", "Rows that the online store did not give", ("view", "reason"), self.features.items())
        yield _counter("hook_failures", "Hooks that failed", ("hook",), (((which,), n) for which, n in self.hook_failures.items()))
        written, dropped = self.predictions()
        yield _counter("predictions_written", "Predictions in the log", (), [((), written)])
        yield _counter("predictions_dropped", "Predictions of the sample that are not in the log", (), [((), dropped)])
