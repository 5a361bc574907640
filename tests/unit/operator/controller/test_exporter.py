"""Experiments as a scrape finds them: none that is gone, none of a follower, and the last look whoever took it."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import metrics
from slipway_operator.api.v1alpha1.experiment import ArmStatus, DecisionStatus, ExperimentStatus
from slipway_operator.cluster.observe_experiments import Memories
from slipway_operator.controller import exporter, store
from slipway_operator.reconcile.experiment import figures
from slipway_testing import builders
from slipway_testing import experiments as xp

OBJECT = {"namespace": "shop", "experiment": xp.NAME, "model": "digits"}
LAST_LOOK = "slipway_experiment_last_look_timestamp_seconds"


class Scraped:
    """An operator's store, and what a scrape of it has."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.objects, self.memories, self.leads = store.Store(), Memories(), True
        for body in bodies:
            self.objects.put(body)
        self.registry = CollectorRegistry()
        self.registry.register(exporter.Exporter(self.objects, memories=self.memories, leads=lambda: self.leads))

    def value(self, metric: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, OBJECT | labels)

    def series(self) -> list[Any]:
        return [sample for family in self.registry.collect() for sample in family.samples]


def body(status: ExperimentStatus | None = None, *, version: int = 1, **meta: Any) -> dict[str, Any]:
    told = (status or xp.begun()).model_dump(mode="json", by_alias=True, exclude_none=True)
    named = {"namespace": "shop", "name": xp.NAME, "uid": xp.UID, "resourceVersion": str(version)}
    return {"metadata": named | meta, "spec": xp.written(), "status": told}


def test_an_experiment_is_told_of_by_its_names_and_its_target() -> None:
    scraped = Scraped(body())

    assert scraped.value("slipway_experiment_verdict", verdict="InsufficientData") == 1
    assert scraped.value("slipway_experiment_verdict", verdict="Won") == 0
    assert scraped.value("slipway_experiment_arm_share_ratio", arm="v8") == 0.02
    assert scraped.value("slipway_experiment_look_interval_seconds") == 30


def test_what_changed_is_told_at_the_next_scrape() -> None:
    scraped = Scraped(body())
    assert scraped.value("slipway_experiment_verdict", verdict="InsufficientData") == 1
    scraped.objects.put(body(xp.begun().model_copy(update={"verdict": "Won"}), version=2))

    assert scraped.value("slipway_experiment_verdict", verdict="InsufficientData") == 0
    assert scraped.value("slipway_experiment_verdict", verdict="Won") == 1


def test_of_an_object_that_is_gone_nothing_is_left() -> None:
    scraped = Scraped(body())
    assert scraped.series()
    scraped.objects.remove(body())

    assert scraped.series() == []


def test_a_follower_tells_of_nothing() -> None:
    scraped = Scraped(body())
    scraped.leads = False

    assert scraped.series() == []


def test_one_object_that_makes_no_sense_hides_no_other() -> None:
    broken = body(name="broken", uid="0")
    broken["status"]["startedAt"] = "yesterday"
    unreadable = body(name="unreadable", uid="1") | {"spec": {"targetRef": None}}

    scraped = Scraped(broken, unreadable, body())

    told = {sample.labels["experiment"] for sample in scraped.series()}
    assert told == {"unreadable", xp.NAME}


def test_of_two_operators_of_one_process_the_one_that_leads_is_heard() -> None:
    scraped = Scraped(body())
    scraped.registry.register(exporter.Exporter(scraped.objects, memories=scraped.memories, leads=lambda: False))

    names = [family.name for family in scraped.registry.collect()]
    assert len(set(names)) == len(names)


def test_no_name_is_taken_by_an_instrument_of_the_operator() -> None:
    registry = CollectorRegistry()
    metrics.Metrics.on(registry)

    assert not {family.name for family in registry.collect()} & {family.name for family in figures.FAMILIES}


def test_until_somebody_looks_time_counts_from_when_routers_had_the_division() -> None:
    assert Scraped(body()).value(LAST_LOOK) == builders.NOW.timestamp()


def test_the_last_look_is_the_latest_of_what_the_status_and_this_process_know() -> None:
    looked = xp.begun().model_validate(xp.begun().model_dump() | {"look": {"sequence": 3, "at": "2026-11-24T12:05:00Z"}})
    scraped = Scraped(body(looked))
    assert scraped.value(LAST_LOOK) == builders.at(300).timestamp()

    scraped.memories.of(xp.UID).carried_out_at = builders.at(900).timestamp()
    assert scraped.value(LAST_LOOK) == builders.at(900).timestamp()


def suspended() -> dict[str, Any]:
    found = body()
    return found | {"spec": found["spec"] | {"suspend": True}}


@pytest.mark.parametrize("other", [suspended(), body(xp.divided()), body(xp.admitted())], ids=["suspended", "routers do not follow", "arms start"])
def test_where_no_look_is_due_there_is_no_last_one(other: dict[str, Any]) -> None:
    assert Scraped(other).value(LAST_LOOK) is None


def decided(action: str) -> DecisionStatus:
    return DecisionStatus.model_validate({"action": action, "at": "2026-11-24T12:00:00Z", "message": "So."})


def arms(*stopped: str) -> tuple[ArmStatus, ...]:
    return tuple(ArmStatus(name=name, revision="r", uri="u", stopped=name in stopped) for name in ("control", "v8", "v9"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {}, []),
        ({}, {"decision": decided("Promote")}, ["Promote"]),
        ({"decision": decided("Promote")}, {"decision": decided("Promote")}, []),
        ({"decision": decided("Promote")}, {"decision": decided("KeepControl")}, ["KeepControl"]),
        ({"arms": arms()}, {"arms": arms("v8")}, ["StopArm"]),
        ({"arms": arms("v8")}, {"arms": arms("v8")}, []),
        ({"arms": arms("v8")}, {"arms": arms("v8", "v9"), "decision": decided("RollBack")}, ["RollBack"]),
    ],
    ids=["nothing", "a winner", "the same winner", "the target changed", "one arm of two", "stopped before", "the last arm"],
)
def test_what_was_decided_is_counted_once(before: dict[str, Any], after: dict[str, Any], told: list[str]) -> None:
    assert list(exporter.decisions(ExperimentStatus(**before), ExperimentStatus(**after))) == told
