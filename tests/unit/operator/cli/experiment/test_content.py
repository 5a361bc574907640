"""What a report says, against arithmetic of its own."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from slipway_operator.cli.experiment import content, history, looks
from slipway_operator.cli.experiment.content import Arm, Report
from slipway_testing import simulated_experiments

Bodies = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def reported(bodies: Bodies) -> Callable[[str], Report]:
    return lambda story: content.report(_read(bodies(story)))


def _read(bodies: list[dict[str, Any]]) -> tuple[looks.Recorded, ...]:
    return looks.checked([looks.parse(body, where="a look") for body in bodies], where="looks")


def _rates(body: dict[str, Any], *, which: str = "closed") -> dict[str, dict[str, tuple[int, int]]]:
    """Conversions and units by arm and stratum."""
    arms = body["observed"][which]["conversion"]
    return {arm: {name: (sums["totals"][0], sums["units"]) for name, sums in strata.items()} for arm, strata in arms.items()}


def _arm(report: Report, name: str) -> Arm:
    return next(arm for arm in report.arms if arm.name == name)


def test_the_strata_tell_the_truth_where_the_whole_does_not(reported: Callable[[str], Report], bodies: Bodies) -> None:
    """Two per cent of the units at a rate of 0.2, then half of them at 0.05, in both arms alike: pooled, the arm that came late looks worse."""
    last = _rates(bodies("simpson")[-1])
    control, arm = last["control"], last["v8"]
    weights = {name: control[name][1] * arm[name][1] / (control[name][1] + arm[name][1]) for name in arm}
    apart = {name: arm[name][0] / arm[name][1] - control[name][0] / control[name][1] for name in arm}
    stratified = sum(weights[name] * apart[name] for name in arm) / sum(weights.values())

    def rate(strata: dict[str, tuple[int, int]]) -> float:
        return sum(good for good, _ in strata.values()) / sum(units for _, units in strata.values())

    found = _arm(reported("simpson"), "v8").pooled
    assert found is not None
    assert found.stratified == pytest.approx(stratified)
    assert found.pooled == pytest.approx(rate(arm) - rate(control))
    assert (abs(stratified) < 0.005, rate(arm) - rate(control) < -0.03, found.differ, found.strata) == (True, True, True, 2)


def test_pooled_and_stratified_are_about_the_same_where_nothing_moved(reported: Callable[[str], Report]) -> None:
    found = _arm(reported("alike"), "v8").pooled
    assert found is not None
    assert (found.differ, abs(found.pooled - found.stratified) < found.standard_error) == (False, True)


def test_there_is_nothing_to_compare_with_one_stratum(reported: Callable[[str], Report]) -> None:
    assert _arm(reported("harm"), "v8").pooled is None


def test_units_are_expected_as_slots_are(reported: Callable[[str], Report]) -> None:
    first = reported("unhealthy").strata[0]
    both = first.units["control"] + first.units["v8"]
    assert first.slots == {"control": 5000, "v8": 2000}
    assert first.expected == pytest.approx({"control": both * 5 / 7, "v8": both * 2 / 7})
    assert (first.waiting, first.percent) == (3000, 20)


def test_an_arm_that_was_stopped_is_told_as_of_its_last_look(reported: Callable[[str], Report], bodies: Bodies) -> None:
    told = bodies("three")
    stopped = next(look["sequence"] for look in told if look["decision"] and look["decision"]["action"] == "StopArm")
    report = reported("three")
    assert [(arm.name, arm.stopped, arm.verdict) for arm in report.arms] == [("v8", False, "Winning"), ("v9", True, "Harmful")]
    assert (_arm(report, "v9").sequence, _arm(report, "v9").points_of) == (stopped, "ToDate")
    assert report.winner == "v8"


def test_holm_is_for_the_end(bodies: Bodies) -> None:
    """Of two p the smaller is doubled, and the larger never falls below that."""
    told = bodies("three")
    done = content.report(_read(told))
    p = {arm.name: arm.p for arm in done.arms}
    smaller, larger = sorted(p, key=lambda name: p[name])
    assert {arm.name: arm.holm for arm in done.arms} == {smaller: min(1, 2 * p[smaller]), larger: max(min(1, 2 * p[smaller]), p[larger])}
    going = content.report(_read(told[:-1]))
    assert {(arm.holm, *(one.holm for one in arm.secondary)) for arm in going.arms} == {(None, None, None)}


def test_p_of_a_secondary_metric_is_the_least_of_all_looks(reported: Callable[[str], Report], bodies: Bodies) -> None:
    e = [look["said"]["arms"]["v8"]["closed"]["revenue"]["logEValue"] for look in bodies("alike") if look["said"]["arms"]["v8"]["closed"]["revenue"]]
    revenue, clicks = _arm(reported("alike"), "v8").secondary
    assert revenue.p == pytest.approx(min(1.0, math.exp(-max(e))))
    assert (revenue.compared.metric, clicks.compared.metric, clicks.p) == ("revenue", "ctr", None)


def test_declared_error_is_alpha_and_the_guardrails(reported: Callable[[str], Report]) -> None:
    assert reported("win").declared_error == pytest.approx(0.05 + 0.01)


@pytest.mark.parametrize(
    ("story", "headline"),
    [
        ("alike", "The time is over without an answer. The time is over; the interval of the primary metric has zero in it (conversion)."),
        (
            "unhealthy",
            "The data cannot be believed, so nothing is decided. The arms did not get the units of their slots, so units went missing in one of "
            "them.",
        ),
    ],
)
def test_headlines_of_what_is_not_known(story: str, headline: str, reported: Callable[[str], Report]) -> None:
    assert reported(story).headline[0] == headline


def test_a_win_says_the_least_and_that_the_raw_estimate_tends_high(reported: Callable[[str], Report], bodies: Bodies) -> None:
    closed = bodies("win")[-1]["said"]["arms"]["v8"]["closed"]["conversion"]
    least, raw, shrunk, upper = (f"{100 * closed[name]:.1f}" for name in ("lower", "estimate", "shrunk", "upper"))
    relative = f"{100 * closed['lift']['lower']:.1f} %"
    assert reported("win").headline == (
        f"v8 wins: conversion is at least {least} points ({relative}) higher than with control.",
        f"95 % interval of the difference in conversion: +{least} to +{upper} points. The interval holds at every look, so stopping early does not "
        "spoil it.",
        f"Best guess +{shrunk} points (shrunken by what is still unknown); +{raw} points was seen at stopping, tends high.",
        "Each guardrail is shown to be within its margin.",
    )


def test_harm_is_told_of_outcomes_to_date(reported: Callable[[str], Report], bodies: Bodies) -> None:
    upper = bodies("harm")[-1]["said"]["arms"]["v8"]["toDate"]["conversion"]["upper"]
    assert upper < 0
    assert (
        reported("harm").headline[0]
        == f"v8 does harm: conversion is at least {-100 * upper:.1f} points lower than with control, by outcomes to date."
    )


def test_what_is_missing_has_its_reason(reported: Callable[[str], Report], bodies: Bodies) -> None:
    arm = _arm(reported("harm"), "v8")
    assert (arm.primary.interval, arm.primary.missing) == (None, "no unit of control and v8 counts for it yet")
    assert all((one.interval is None) != (one.missing is None) for story in simulated_experiments.STORIES for one in _every(reported(story)))


def _every(report: Report) -> list[Any]:
    return [
        one
        for arm in report.arms
        for one in (
            arm.primary,
            arm.primary_to_date,
            *(guardrail.closed for guardrail in arm.guardrails),
            *(guardrail.to_date for guardrail in arm.guardrails),
            *(secondary.compared for secondary in arm.secondary),
        )
    ]


def test_what_routers_count_is_told_of_requests(reported: Callable[[str], Report], bodies: Bodies) -> None:
    counted = bodies("routed")[-1]["observed"]["routed"]["error-rate"]["v8"]
    errors, latency = _arm(reported("routed"), "v8").guardrails
    assert errors.closed.interval is not None
    assert (errors.closed.interval.arm_units, errors.closed.interval.lower, errors.closed.interval.upper, errors.closed.counted) == (
        counted["candidateRequests"],
        counted["lower"],
        counted["upper"],
        "Requests",
    )
    assert (latency.closed.interval, latency.closed.missing) == (None, "routers counted no request of one of the arms in this stratum yet")


def test_the_interval_of_a_bandit_is_of_its_scores(reported: Callable[[str], Report], bodies: Bodies) -> None:
    last = bodies("bandit")[-1]
    arm = _arm(reported("bandit"), "v8")
    assert arm.primary.interval is not None
    assert (arm.primary.interval.estimate, arm.primary.interval.lower) == tuple(
        last["bandit"]["scores"]["v8"][name] for name in ("estimate", "lower")
    )
    assert (arm.pooled, arm.points_of, arm.points[-1].upper) == (None, "Scores", last["bandit"]["scores"]["v8"]["upper"])


def test_a_least_effect_that_is_not_known_yet_is_not_told(bodies: Bodies) -> None:
    told = bodies("alike")[:20]
    told[-1]["design"]["metrics"][0]["minimumEffect"] = 1e-12
    assert content.report(_read(told)).minimum_effect is None
    assert content.report(_read(told[:-1])).minimum_effect == 0.005


def test_points_keep_the_last_look_and_every_change() -> None:
    found = _read(simulated_experiments.many(3000))
    points = history.points(found, arm="v8", metric="conversion", of="Closed", columns=50)
    verdicts = [(look.sequence, look.said["arms"]["v8"]) for look in found if look.said["arms"]["v8"]["closed"]["conversion"]]
    changed = {now[0] for before, now in itertools.pairwise(verdicts) if before[1]["verdict"] != now[1]["verdict"]}
    told = {point.sequence for point in points}
    assert changed
    assert changed <= told
    assert 3000 in told
    assert len(points) <= 50 + len(changed)
    assert [point.sequence for point in points] == sorted(told)


def test_a_verdict_that_flutters_does_not_fill_the_page(bodies: Bodies) -> None:
    [one] = bodies("alike")[19:20]
    told = []
    for place in range(1000):
        said = one["said"] | {"verdict": ("Collecting", "Unhealthy")[place % 2]}
        told.append(one | {"sequence": place + 1, "said": said, "decision": None})
    changes = history.changes(_read(told))
    assert (len(changes), changes[0].sequence, changes[-1].sequence) == (history.MOST_CHANGES, 1, 1000)


def test_changes_are_told_once(reported: Callable[[str], Report]) -> None:
    assert [(change.verdict, change.action) for change in reported("win").changes] == [
        ("InsufficientData", None),
        ("Collecting", None),
        ("Winning", "Promote"),
    ]


def test_a_look_that_cannot_be_read_says_so(bodies: Bodies) -> None:
    told = bodies("win")
    told[-1]["said"].pop("memory")
    with pytest.raises(looks.Unanswerable, match=r"look 24 of shop/ranker-v8 cannot be read: Look lacks memory; use the slipway that wrote it"):
        content.report(_read(told))


def test_arms_that_all_were_stopped() -> None:
    """The look after the last arm was stopped speaks of none."""
    told = simulated_experiments.looks(dataclasses.replace(simulated_experiments.HARM, goes_on=True, looks=6))
    stopped = told[-1] | {"observed": told[-1]["observed"] | {"stopped": ["v8"]}, "sequence": 7, "decision": None}
    stopped["said"] = told[-1]["said"] | {"arms": {}, "verdict": "Harmful", "findings": [{"reason": "ArmsStopped", "about": []}], "winner": None}
    report = content.report(_read([*told, stopped]))
    assert (report.headline, _arm(report, "v8").sequence) == (
        ("Every arm was stopped: each was worse than control, or than a guardrail allows.",),
        6,
    )


def test_a_lift_that_says_less_than_the_difference_is_not_in_the_headline(bodies: Bodies) -> None:
    """The interval of a lift has control's own chance in it and may reach zero where that of the difference does not."""
    told = bodies("win")
    told[-1]["said"]["arms"]["v8"]["closed"]["conversion"]["lift"]["lower"] = -0.01
    least = f"{100 * told[-1]['said']['arms']['v8']['closed']['conversion']['lower']:.1f}"
    assert content.report(_read(told)).headline[0] == f"v8 wins: conversion is at least {least} points higher than with control."
