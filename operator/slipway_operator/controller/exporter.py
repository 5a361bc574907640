"""Tells Prometheus of the Experiments there are, at each scrape, from what the operator knows: nothing is asked, and nothing outlives its object."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from slipway_operator.api.v1alpha1.experiment import Action, ExperimentSpec, ExperimentStatus
from slipway_operator.cluster import observe, observe_experiments
from slipway_operator.cluster.resources import Object
from slipway_operator.controller import store
from slipway_operator.reconcile.experiment import figures
from slipway_operator.reconcile.experiment.figures import Family, Figure

STOP_ARM: Final = "StopArm"
"""Beside the actions of a decision: one arm of several lost its units."""

ACTIONS: Final = (*get_args(Action), STOP_ARM)
"""Of the metric of decisions."""

log = logging.getLogger("slipway.controller")


@dataclass(frozen=True, kw_only=True)
class _Read:
    """An object as it was read."""

    body: Object
    labels: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    looked_at: float | None = None
    """When the last look was, as far as the status knows, in seconds since 1970; None where no look is due."""


class Exporter(Collector):
    """Series of every Experiment, while this process leads: a follower would tell the same, twice.

    Scrapes come on a thread of their own. Objects are replaced and never changed, and a tuple of them is made at one go, so nothing is locked.
    """

    def __init__(self, experiments: store.Store, *, memories: observe_experiments.Memories, leads: Callable[[], bool]) -> None:
        self._experiments = experiments
        self._memories = memories
        self._leads = leads
        self._known: dict[str, _Read] = {}
        """By uid: reading a status takes a millisecond, and most are what they were at the scrape before."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """All series there are; no family where there is none, so that of several operators of one process the one that leads is heard."""
        bodies = self._experiments.all() if self._leads() else ()
        self._known = {body["metadata"]["uid"]: self._read(body) for body in bodies}
        found: dict[str, GaugeMetricFamily] = {}
        for uid, read in self._known.items():
            for figure in (*read.figures, *self._last_look(uid, read)):
                if figure.family.name not in found:
                    found[figure.family.name] = _family(figure.family)
                found[figure.family.name].add_metric((*read.labels, *figure.labels), figure.value)
        return found.values()

    def _read(self, body: Object) -> _Read:
        known = self._known.get(body["metadata"]["uid"])
        return known if known is not None and known.body is body else _read(body)

    def _last_look(self, uid: str, read: _Read) -> Iterator[Figure]:
        """Of a look with nothing new in it the status knows nothing, and what we remember goes with us: the latest of both."""
        if read.looked_at is not None:
            kept = self._memories.kept.get(uid)
            yield Figure(family=figures.LAST_LOOK, value=max(read.looked_at, (kept.carried_out_at if kept else None) or 0.0))


def _read(body: Object) -> _Read:
    meta = body["metadata"]
    labels = (meta["namespace"], meta["name"], str(((body.get("spec") or {}).get("targetRef") or {}).get("name") or ""))
    spec, _ = observe.spec_of(body, ExperimentSpec)
    status = observe.status_of(body, ExperimentStatus)
    try:
        return _Read(body=body, labels=labels, figures=tuple(figures.figures(spec, status)), looked_at=_looked_at(spec, status))
    except ValueError as error:
        # A status that somebody else wrote must not hide all other objects.
        log.debug("nothing is told of experiment %s/%s: %s", meta["namespace"], meta["name"], error)
        return _Read(body=body, labels=labels)


def _looked_at(spec: ExperimentSpec | None, status: ExperimentStatus) -> float | None:
    if spec is None or status.traffic is None or not observe_experiments.runs(spec, status):
        return None
    times = (status.traffic.since, status.look.at if status.look else None)
    return max(figures.seconds(time) for time in times if time is not None)


def _family(family: Family) -> GaugeMetricFamily:
    return GaugeMetricFamily(family.name, family.help, labels=(*figures.OBJECT_LABELS, *family.labels))


def decisions(before: ExperimentStatus, after: ExperimentStatus) -> Iterator[str]:
    """What was decided between two statuses of an experiment, for a counter."""
    if after.decision is not None and (before.decision is None or before.decision.action != after.decision.action):
        yield after.decision.action
    if after.decision is None:
        already = {arm.name for arm in before.arms if arm.stopped}
        yield from (STOP_ARM for arm in after.arms if arm.stopped and arm.name not in already)
