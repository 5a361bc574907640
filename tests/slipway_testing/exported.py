"""Every metric that the operator, routers and transformers tell Prometheus, with its labels and what they may hold, from the code that tells them."""

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from slipway_inference import meters as transformer_meters
from slipway_inference.refusals import Refused
from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import Action
from slipway_operator.cluster import observe_experiments
from slipway_operator.controller import experiments, exporter, keeper, store, worker
from slipway_operator.metrics import Metrics
from slipway_operator.render import router
from slipway_operator.settings import Settings
from slipway_router.agent.api import Api, Kind
from slipway_router.agent.counts import Counts
from slipway_router.agent.credentials import Credentials
from slipway_router.agent.exposures import Exposures
from slipway_router.agent.feeder import Feeder
from slipway_router.agent.meters import Meters, Parts
from slipway_router.agent.nginx import Nginx
from slipway_router.agent.routes import Routes
from slipway_router.agent.sender import Sender
from slipway_router.agent.shadow.player import Player
from slipway_router.agent.shadow.samples import About
from slipway_router.agent.taker import Taker
from slipway_router.agent.totals import EVENTS, Totals
from slipway_router.agent.watches import Watch
from slipway_testing import experiments as xp
from slipway_testing.fake_nginx import routes_json

SCRAPED = {"namespace", "pod", "job", "instance", "container", "endpoint"}
"""Labels that a PodMonitor adds."""
OPERATOR_PODS = {"namespace": {"slipway-system"}, "pod": {"slipway-operator-7c6d78-582f4"}}
HONOURED = {"namespace"}
"""Labels of the operator's own that its PodMonitor leaves as they are: those of objects, as kube-state-metrics has them."""
ROUTER_PODS = {"namespace": {"shop"}, "pod": {f"{router.SHARED}-7c6d78-582f4"}}

MODEL_LABEL, REVISION_LABEL = "slipway_dev_modeldeployment", "slipway_dev_revision"
"""Labels of pods, as Prometheus writes them."""
MODEL_PODS = {"namespace": {"shop"}, "pod": {"ranker-0a1b2c3d-predictor-7c6d78-582f4"}, MODEL_LABEL: {"ranker"}, REVISION_LABEL: {"ranker-0a1b2c3d"}}

OPERATOR_LABELS: Mapping[str, tuple[str, ...]] = {
    "name": (worker.CONTROLLER, keeper.CONTROLLER, experiments.CONTROLLER),
    "controller": (worker.CONTROLLER, keeper.CONTROLLER, experiments.CONTROLLER),
    "result": ("success", "error"),
    "code": ("200", "<error>"),
    "method": ("GET",),
    "verb": ("GET",),
    "resource": ("pods",),
    "kind": ("Service",),
    "action": exporter.ACTIONS,
}
LABELS_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "leading": {"name": (Settings.lease_name,)},
    "applies": {"result": ("created", "updated", "unchanged", "terminating", "deleted", "taken", "fight")},
    "experiment_looks": {"result": experiments.LOOK_RESULTS},
}
"""Where an instrument has other values than most."""
EXPERIMENT_REASONS: Mapping[str, tuple[str, ...]] = {
    conditions.ACCEPTED: (conditions.ARM_UNFIT,),
    conditions.ADMITTED: (conditions.QUEUED, conditions.ROUTING, conditions.SUSPENDED),
    conditions.RECORDED: (conditions.LEDGER_UNAVAILABLE,),
    conditions.TRUSTED: (conditions.SAMPLE_RATIO_MISMATCH,),
    conditions.DECIDED: (conditions.HELD, conditions.COMMAND_REFUSED),
}
"""Why conditions are False, as far as queries ask for it."""
OUTCOMES = ("2xx", "4xx", "5xx", "none", "gone")
STABLE, CANDIDATE = "ranker-0a1b2c3d", "ranker-9f8e7d6c"
TAKEN = {
    "cells": [["ranker", 7, CANDIDATE, "b", 5, 100, 0, 1]],
    "totals": [
        ["ranker", 7, revision, role, "http", what, 1]
        for revision, role in ((STABLE, "Stable"), (CANDIDATE, "Candidate"))
        for what in (*OUTCOMES, *EVENTS)
    ],
    "pending": {CANDIDATE: 1},
    "exposures": [],
    "lost": 0,
}
"""What nginx counts when everything happens once."""

Exported = Mapping[str, Mapping[str, set[str]]]
"""The values of each label of each metric."""


def everything(folder: Path) -> Exported:
    """All of it; ``folder`` is for what an agent writes."""
    return {**asyncio.run(_agent(folder)), **_operator(), **_experiments(), **_transformer()}


def _samples(text: bytes, *, pods: Mapping[str, set[str]], honoured: Set[str] = frozenset()) -> Exported:
    """What Prometheus has of a scrape of these pods, whose own labels stand where they are ``honoured``."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            assert not (SCRAPED - honoured) & sample.labels.keys(), f"the scrape renames labels of {sample.name}"
            of_pods = (SCRAPED | pods.keys()) - sample.labels.keys()
            labels = found.setdefault(sample.name, {label: set(pods.get(label, ())) for label in of_pods})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def _operator() -> Exported:
    registry = CollectorRegistry()
    metrics = Metrics.on(registry)
    for field in dataclasses.fields(Metrics):
        instrument = getattr(metrics, field.name)
        values = {**OPERATOR_LABELS, **LABELS_OF.get(field.name, {})}
        for chosen in itertools.product(*(values[label] for label in instrument._labelnames)):
            instrument.labels(*chosen)
    return _samples(generate_latest(registry), pods=OPERATOR_PODS)


def _experiments() -> Exported:
    """Of an operator with experiments to which everything has happened that queries ask for."""
    objects = store.Store()
    for number, body in enumerate(_bodies()):
        objects.put(body | {"metadata": {"namespace": "shop", "name": f"xp-{number}", "uid": f"{number}", "resourceVersion": "1"}})
    registry = CollectorRegistry()
    registry.register(exporter.Exporter(objects, memories=observe_experiments.Memories(), leads=lambda: True))
    return _samples(generate_latest(registry), pods=OPERATOR_PODS, honoured=HONOURED)


def _bodies() -> Iterator[dict[str, Any]]:
    """An Experiment with an arm that was stopped, in each of the conditions, and with each decision."""
    status = xp.begun().model_dump(mode="json", by_alias=True, exclude_none=True)
    numbers = {"estimate": "+1", "lower": "+0", "upper": "+2", "relativePercent": "+1", "state": "Crossed"}
    status["sampleRatio"] = {"p": "0.04", "summary": "OK", "detectableLossPercent": "2.5"}
    status["arms"][1] |= {"stopped": True, "metrics": [{"metric": metric} | numbers for metric in ("conversion", "error-rate")]}
    at = "2026-11-24T12:01:00Z"
    stopped = {"name": "2", "step": 1, "since": at, "slots": [{"arm": "control", "slots": 5000}]}
    status["strata"].append(stopped)
    told: list[dict[str, Any]] = [
        {"conditions": [{"type": kind, "status": "False", "reason": reason, "lastTransitionTime": at}]}
        for kind, reasons in EXPERIMENT_REASONS.items()
        for reason in reasons
    ]
    decisions = [{"decision": {"action": action, "at": at, "message": "So."}} for action in get_args(Action)]
    for more in (*told, *decisions):
        yield {"spec": xp.written(metrics=[xp.CONVERSION, xp.ERRORS]), "status": status | more}


def _transformer() -> Exported:
    """Of a transformer that everything has happened to once."""
    counts = transformer_meters.Meters()
    counts.requests["200"] += 1
    counts.refuse(Refused("no", reason="minimum", input="price"), known=("price",))
    counts.flagged["price", "minimum"] += 1
    counts.imputed["price", "null"] += 1
    counts.feature("users", "missing", 1)
    counts.hook_failed("pre")
    return _samples(counts.text(), pods=MODEL_PODS)


async def _agent(folder: Path) -> Exported:
    """Of an agent that knows a table with a candidate, refused another one, and took what nginx counts when everything happens."""
    routes = Routes(namespace="shop", on_change=lambda: None)
    routes.table_changed("ranker-routes", routes_json())
    routes.table_changed("ranker-routes", "no table")
    tables = routes.wanted().tables
    nginx, counts, totals = Nginx("nowhere"), Counts(), Totals()
    feeder = Feeder(nginx, wanted=routes.wanted, on_refusal=routes.refuse)
    feeder.live = tables
    counts.known({model: table.epoch for model, table in tables.items()})
    exposures = Exposures(folder / "exposures", file_bytes=1, files=1)
    taker = Taker(nginx, counts=counts, totals=totals, exposures=exposures)
    taker.add(TAKEN)
    assert taker.uncounted == 0
    player = Player(counts=counts, pods=lambda _: (), queue_bytes=1, concurrency=1, timeout_s=1.0, port=1)
    player.drop(About("ranker", 7, STABLE))
    kind = Kind(what="ConfigMaps", path="/", selector="")
    watch = Watch(Api(Credentials(server="http://nowhere")), kind, keep=str, on_change=lambda *_: None)
    sender = Sender(exposures, url="http://nowhere", token_file=None, position_file=folder / "position")
    sender.refused["experiment"] = 1
    parts = Parts(
        routes=routes,
        feeder=feeder,
        taker=taker,
        counts=counts,
        totals=totals,
        exposures=exposures,
        sender=sender,
        player=player,
        watches=(watch,),
    )
    return _samples(Meters(parts).text(), pods=ROUTER_PODS)
