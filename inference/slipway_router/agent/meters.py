"""The agent's state as Prometheus metrics, made when somebody asks: what is gone has no labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from slipway_router.agent.counts import Counts
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.feeder import Feeder
from slipway_router.agent.routes import Routes
from slipway_router.agent.sender import Sender
from slipway_router.agent.shadow.player import Player
from slipway_router.agent.taker import Taker
from slipway_router.agent.totals import BOUNDS_S, Totals
from slipway_router.agent.watches import Watch
from slipway_service.meters import Exposition, Families, buckets

_families = Families("slipway_router_")
_counter, _gauge = _families.counter, _families.gauge
_EVENTS = {
    "retried": ("retries", "Requests that were tried again on another pod"),
    "fallback": ("fallbacks", "Requests that the fallback answered"),
    "shed": ("shed", "Requests refused because too many were under way"),
    "noUnit": ("no_unit", "Requests without the header that names their unit"),
    "noPods": ("no_pods", "Requests for a revision without a ready pod"),
    "notShadowed": ("shadow_unsampled", "Samples for the shadow that nginx could not hand over"),
}
_SHADOW = {
    "sampled": "Samples for the shadow that came in",
    "answered": "Samples that the shadow answered comparably",
    "agreed": "Answers of the shadow that were equal",
    "failed": "Samples without a comparable answer of the shadow",
    "dropped": "Samples that were not played",
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What metrics are made of."""

    routes: Routes
    feeder: Feeder
    taker: Taker
    counts: Counts
    totals: Totals
    exposures: Exposures
    sender: Sender | None
    player: Player
    watches: tuple[Watch[Any], ...]


class Meters(Exposition):
    """Use ``text()`` for an answer of ``/metrics``."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield from self._requests()
        yield from self._tables()
        yield from self._shadow()
        yield from self._own()
        if self._parts.sender:
            yield from _sending(self._parts.sender)

    def _requests(self) -> Iterator[Metric]:
        totals = self._parts.totals
        labels = ("model", "revision", "role", "protocol", "outcome")
        yield _counter("requests", "First attempts of inferences, by how they went", labels, totals.requests.items())
        for event, (name, help_) in _EVENTS.items():
            values = [(key[1:], n) for key, n in totals.events.items() if key[0] == event]
            yield _counter(name, help_, ("model", "revision"), values)
        latency = HistogramMetricFamily(
            f"{_families.prefix}latency_seconds", "Time to the first byte of first attempts", labels=("model", "revision")
        )
        for key, histogram in totals.latency.items():
            latency.add_metric(key, buckets(BOUNDS_S, histogram.counts), histogram.sum_s)
        yield latency
        owners = _owners(self._parts.routes)
        pending = [((owners[revision], revision), n) for revision, n in totals.pending.items() if revision in owners]
        yield _gauge("pending_requests", "Requests under way", ("model", "revision"), pending)

    def _tables(self) -> Iterator[Metric]:
        wanted, live = self._parts.routes.wanted(), self._parts.feeder.live
        yield _gauge("pods", "Ready pods", ("revision",), [((revision,), len(pods)) for revision, pods in wanted.pods.items()])
        info = [((model, table.digest), 1) for model, table in live.items()]
        yield _gauge("table_info", "Tables that nginx has", ("model", "digest"), info)
        yield _gauge("table_epoch", "Epochs of the tables that nginx has", ("model",), [((model,), table.epoch) for model, table in live.items()])
        refusals = [((model,), n) for model, n in self._parts.routes.refusals.items()]
        yield _counter("table_refusals", "Tables that were refused", ("model",), refusals)
        yield _counter("table_pushes", "How often nginx took tables", (), [((), self._parts.feeder.pushes)])
        yield _gauge("nginx_fed", "Whether nginx has all that it should", (), [((), int(self._parts.feeder.fed))])

    def _shadow(self) -> Iterator[Metric]:
        sums = self._parts.player.sums
        for field, help_ in _SHADOW.items():
            yield _counter(f"shadow_{field}", help_, ("model", "revision"), [(key, getattr(each, field)) for key, each in sums.items()])
        differences = [(key, each.absolute_difference) for key, each in sums.items()]
        yield _counter("shadow_absolute_difference", "Mean absolute difference of each answered sample, summed", ("model", "revision"), differences)
        slower = [(key, each.seconds_difference) for key, each in sums.items()]
        yield _gauge("shadow_seconds_difference_sum", "How much longer the shadow took, summed", ("model", "revision"), slower)
        yield _gauge("shadow_waiting_bytes", "Samples that wait for the shadow", (), [((), self._parts.player.waiting_bytes)])

    def _own(self) -> Iterator[Metric]:
        parts = self._parts
        yield _counter("exposures_written", "Exposures in files", (), [((), parts.exposures.written)])
        yield _counter("exposures_lost", "Exposures that never came into a file", (), [((), parts.exposures.lost)])
        yield _counter("exposures_dropped", "Exposures that went with the oldest file", (), [((), parts.exposures.dropped)])
        yield _counter("watch_lists", "Full lists of a kind", ("kind",), [((watch.kind.what,), watch.lists) for watch in parts.watches])
        silence = [((watch.kind.what,), watch.silence_s()) for watch in parts.watches]
        yield _gauge("watch_silence_seconds", "Time since the API server's last word about a kind", ("kind",), silence)
        yield _counter("take_failures", "Times that what nginx counted could not be taken", (), [((), parts.taker.failures)])
        yield _counter("nginx_restarts", "Times that nginx was found to have begun anew, its last second lost", (), [((), parts.taker.restarts)])
        yield _counter("uncounted", "What nginx counted of models and epochs that nobody knows", (), [((), parts.taker.uncounted)])
        yield _gauge("count_cells", "Cells of counts in memory", (), [((), parts.counts.cells)])


def _sending(sender: Sender) -> Iterator[Metric]:
    yield _counter("exposures_sent", "Exposures that the ledger has", (), [((), sender.sent)])
    refused = [((reason,), n) for reason, n in sender.refused.items()]
    yield _counter("exposures_refused", "Exposures that the ledger does not want", ("reason",), refused)
    yield _gauge("exposures_waiting", "Exposures in files that are still to be sent", (), [((), sender.waiting)])
    yield _counter("exposures_send_failures", "Times that the ledger did not take a batch", (), [((), sender.failures)])
    yield _counter("exposures_unsent", "Exposures that went with the oldest file before they were sent", (), [((), sender.unsent)])


def _owners(routes: Routes) -> Mapping[str, str]:
    return {revision: model for model, table in routes.wanted().tables.items() for revision in table.revisions}
