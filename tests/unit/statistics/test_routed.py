"""Guardrails of an experiment that routers count: from counts to the verdict."""

import dataclasses
import json
from typing import Any

import pytest

from slipway_statistics import boundary, ratios, record, verdict
from slipway_statistics.counts import BUCKETS, NONE, Counts
from slipway_statistics.experiment import Design, Joins, Metric, Observed, Step
from slipway_statistics.sums import Sums
from slipway_statistics.verdict import GuardrailState, Look

CONVERSION = Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
ERRORS = Metric(name="error-rate", kind="Ratio", role="Guardrail", source="Router", better="Lower", planned_units_per_arm=1, margin=0.005)
LATENCY = dataclasses.replace(ERRORS, name="latency-p95", margin=0.0)
DESIGN = Design(arms=("control", "v8"), metrics=(CONVERSION, ERRORS, LATENCY))
STEPS = 3


def counted(requests: int, bad: int, *, slow: int = 0) -> Counts:
    """So many requests in each bucket, spread over as many blocks."""
    return Counts(buckets=((requests, bad, slow),) * BUCKETS, blocks=dict.fromkeys(range(BUCKETS), (requests, bad, slow)))


def look(metric: Metric, arm: Counts, control: Counts) -> ratios.Look:
    outcome: ratios.Outcome = "slow" if metric is LATENCY else "bad"
    return ratios.look(arm, control, outcome=outcome, max_increase=metric.margin or 0.0, alpha=DESIGN.alpha_of_stratum(metric, strata=STEPS))


def observed(conversions: float, routed: dict[str, dict[str, ratios.Look]]) -> Observed:
    """40,000 units an arm, a tenth of those of control convert."""
    sums = {
        arm: {"1": Sums(units=40_000, totals=(round(40_000 * share), 0), products=(round(40_000 * share), 0, 0))}
        for arm, share in (("control", 0.1), ("v8", conversions))
    }
    step = Step(name="1", slots=dict.fromkeys(DESIGN.arms, 1000), units=dict.fromkeys(DESIGN.arms, 40_000))
    data = {"conversion": sums}
    return Observed(elapsed_s=7200, steps=(step,), closed=data, open=data, joins=Joins(units=80_000, in_two_arms=0), routed=routed)


def said(conversions: float, **routed: ratios.Look) -> Look:
    names = {"errors": ERRORS.name, "latency": LATENCY.name}
    return verdict.look(DESIGN, observed(conversions, {names[name]: {"v8": found} for name, found in routed.items()}))


FINE = counted(1000, 10, slow=50)
MORE_ERRORS = counted(1000, 60, slow=50)
SLOWER = counted(1000, 10, slow=100)
FASTER = counted(1000, 10, slow=25)
"""At least as slow as control's p95 and the margin are half as many as control has above its p95: what latencies that are alike look like."""


@pytest.mark.parametrize(
    ("arm", "errors", "latency"),
    [
        (FASTER, "Shown", "Shown"),
        (FINE, "Shown", "NotShown"),
        (MORE_ERRORS, "Crossed", "NotShown"),
        (SLOWER, "Shown", "Crossed"),
        (counted(1, 0), "NotShown", "NotShown"),
        (NONE, "NotShown", "NotShown"),
    ],
)
def test_what_is_said_of_the_routers_counts(arm: Counts, errors: GuardrailState, latency: GuardrailState) -> None:
    found = said(0.1, errors=look(ERRORS, arm, FINE), latency=look(LATENCY, arm, FINE))
    assert found.arms["v8"].guardrails == {ERRORS.name: errors, LATENCY.name: latency}


def test_few_blocks_neither_stop_nor_comfort() -> None:
    """All requests fail, and then none do; both in four blocks of time."""
    for bad in (100, 0):
        short = dataclasses.replace(counted(100, bad), blocks=dict.fromkeys(range(4), (1600, bad * 16, 0)))
        assert said(0.1, errors=look(ERRORS, short, FINE)).arms["v8"].guardrails[ERRORS.name] == "NotShown"


def test_few_users_are_stopped_and_not_shown() -> None:
    """In ten buckets only: that all their requests fail is seen, that none does is chance."""
    for bad, expected in ((1000, "Crossed"), (0, "NotShown")):
        few = dataclasses.replace(counted(1000, bad), buckets=((6400, 64 * bad // 10, 0),) * 10 + ((0, 0, 0),) * (BUCKETS - 10))
        assert said(0.1, errors=look(ERRORS, few, FINE)).arms["v8"].guardrails[ERRORS.name] == expected


@pytest.mark.parametrize(("each", "expected"), [(31, "NotShown"), (32, "Shown")])
def test_the_margin_used_up_would_be_ten_requests(each: int, expected: GuardrailState) -> None:
    """64 · 31 · 0.005 is 9.9, 64 · 32 · 0.005 is 10.2; no request fails, of control's 640,000 one in ten does."""
    assert said(0.1, errors=look(ERRORS, counted(each, 0), counted(10_000, 1000))).arms["v8"].guardrails[ERRORS.name] == expected


def test_a_win_waits_until_the_routers_guardrails_are_shown() -> None:
    errors, latency = look(ERRORS, FASTER, FINE), look(LATENCY, FASTER, FINE)
    assert said(0.13, errors=errors, latency=latency).verdict == "Winning"
    missing = said(0.13, errors=errors)
    assert (missing.verdict, [(finding.reason, finding.about) for finding in missing.findings]) == (
        "Collecting",
        [("GuardrailNotShown", (LATENCY.name,))],
    )


def test_more_errors_stop_an_arm_that_converts_better() -> None:
    found = said(0.13, errors=look(ERRORS, MORE_ERRORS, FINE))
    assert (found.verdict, [(finding.reason, finding.about) for finding in found.findings]) == ("Harmful", [("GuardrailCrossed", (ERRORS.name,))])


def test_there_are_no_analyses_of_units() -> None:
    """Nor of sums that a metric of that name happens to have."""
    of = observed(0.1, {})
    of = dataclasses.replace(of, closed={**of.closed, ERRORS.name: of.closed["conversion"]})
    arm = verdict.look(DESIGN, of).arms["v8"]
    assert (arm.closed[ERRORS.name], arm.to_date[ERRORS.name]) == (None, None)


def test_a_look_that_was_made_with_another_margin_is_refused() -> None:
    with pytest.raises(ValueError, match=r"error-rate, arm v8: requests were looked at with a margin of 0\.005 where the design has 0\.01"):
        verdict.look(
            dataclasses.replace(DESIGN, metrics=(CONVERSION, dataclasses.replace(ERRORS, margin=0.01))),
            observed(0.1, {ERRORS.name: {"v8": look(ERRORS, FINE, FINE)}}),
        )


def test_alpha_is_shared_over_strata_as_a_canary_shares_it_over_steps() -> None:
    assert DESIGN.alpha_of_stratum(ERRORS, strata=STEPS) == pytest.approx(boundary.alpha_of_one(0.01, guardrails=2, steps=STEPS))
    three = dataclasses.replace(DESIGN, arms=("control", "v8", "v9"))
    assert three.alpha_of_stratum(ERRORS, strata=4) == pytest.approx(0.01 / 2 / 2 / 4)


@pytest.mark.parametrize(
    ("metric", "strata", "message"), [(CONVERSION, 3, "only what routers count"), (ERRORS, 0, "at least one stratum, not over 0")]
)
def test_alphas_that_are_not_shared(metric: Metric, strata: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DESIGN.alpha_of_stratum(metric, strata=strata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "Secondary", "margin": None}, "routers count requests, not units, so it can be a guardrail and not a Secondary metric"),
        ({"kind": "Mean"}, "not a Mean of which lower is better"),
        ({"better": "Higher"}, "not a Ratio of which higher is better"),
        ({"margin": 1.5}, r"a share of requests, 1 at most, not 1\.5"),
    ],
)
def test_metrics_that_routers_cannot_count(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ERRORS, **changes)


def test_what_routers_counted_is_kept_with_its_infinities() -> None:
    """Before the first request of an arm its standard error is infinite; JSON has no such number, and the verdict must be the same again."""
    of = observed(0.13, {ERRORS.name: {"v8": look(ERRORS, NONE, FINE)}, LATENCY.name: {"v8": look(LATENCY, FASTER, FINE)}})
    kept = json.loads(json.dumps({"design": record.write(DESIGN), "observed": record.write(of)}, allow_nan=False))
    assert kept["observed"]["routed"][ERRORS.name]["v8"]["standardError"] == "Infinity"
    again = record.read(Observed, kept["observed"])
    assert again == of
    assert verdict.look(record.read(Design, kept["design"]), again) == verdict.look(DESIGN, of)
