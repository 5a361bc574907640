import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from slipway_statistics import record, sequences, sums, verdict
from slipway_statistics.experiment import Design, Joins, Memory, Metric, Observed, Step
from slipway_statistics.sums import Sums
from slipway_statistics.verdict import Finding, Look

CONVERSION = Metric(name="conversion", kind="Proportion", role="Primary", planned_units_per_arm=10_000, minimum_effect=0.01)
ERRORS = Metric(name="errors", kind="Proportion", role="Guardrail", better="Lower", planned_units_per_arm=10_000, margin=0.005)
REVENUE = Metric(name="revenue", kind="Mean", role="Secondary", planned_units_per_arm=10_000)
DESIGN = Design(arms=("control", "challenger"), metrics=(CONVERSION,), minimum_duration_s=3600, maximum_duration_s=86_400)
GUARDED = dataclasses.replace(DESIGN, metrics=(CONVERSION, ERRORS))

Shares = Mapping[str, float]


def proportion(units: int, share: float) -> Sums:
    good = round(units * share)
    return Sums(units=units, totals=(good, 0), products=(good, 0, 0))


def sums_of(units: int, shares: Shares) -> dict[str, dict[str, Sums]]:
    return {arm: {"1": proportion(units, share)} for arm, share in shares.items()}


def observed(
    units: int = 10_000, *, to_date: Mapping[str, Shares] | None = None, closed: Mapping[str, Shares] | None = None, **changes: Any
) -> Observed:
    """Half and half, healthy, running for two hours; closed windows have what is to date unless they are said to have other things."""
    shares = to_date or {"conversion": {"control": 0.1, "challenger": 0.1}}
    arms = tuple(next(iter(shares.values())))
    found = Observed(
        elapsed_s=7200,
        steps=(Step(name="1", slots=dict.fromkeys(arms, 1000), units=dict.fromkeys(arms, units)),),
        closed={metric: sums_of(units, arms) for metric, arms in (closed or shares).items()},
        open={metric: sums_of(units, arms) for metric, arms in shares.items()},
        joins=Joins(units=units * len(arms), in_two_arms=0, newest_outcome_age_s=1),
    )
    return dataclasses.replace(found, **changes)


def conversion(control: float, challenger: float) -> dict[str, Shares]:
    return {"conversion": {"control": control, "challenger": challenger}}


def told(look: Look) -> tuple[str, list[str]]:
    return look.verdict, [finding.reason for finding in look.findings]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (observed(), ("Collecting", ["NotClear"])),
        (observed(to_date=conversion(0.1, 0.105)), ("Collecting", ["NotClear"])),
        (observed(elapsed_s=60), ("Collecting", ["MinDuration", "NotClear"])),
        (observed(to_date=conversion(0.1, 0.13)), ("Winning", ["Better"])),
        (observed(to_date=conversion(0.1, 0.13), elapsed_s=60), ("Collecting", ["MinDuration"])),
        (observed(to_date=conversion(0.1, 0.07)), ("Harmful", ["PrimaryHarm"])),
        (observed(to_date=conversion(0.1, 0.07), elapsed_s=60), ("Harmful", ["PrimaryHarm"])),
        (observed(90), ("InsufficientData", ["TooFewUnits"])),
        (observed(200, to_date=conversion(0.01, 0.01)), ("InsufficientData", ["TooFewConversions"])),
        (observed(100_000), ("NoPracticalEffect", ["WithinMinimumEffect"])),
        (observed(100_000, elapsed_s=60), ("Collecting", ["MinDuration", "NotClear"])),
        (observed(40_000, to_date=conversion(0.1, 0.096)), ("Collecting", ["NotClear"])),
        (observed(40_000, to_date=conversion(0.1, 0.104)), ("Collecting", ["NotClear"])),
        (observed(elapsed_s=86_400), ("Inconclusive", ["MaxDuration", "NotClear"])),
        (observed(90, elapsed_s=86_400), ("Inconclusive", ["MaxDuration", "TooFewUnits"])),
        (observed(to_date=conversion(0.1, 0.13), elapsed_s=86_400), ("Winning", ["Better"])),
        (observed(unresolved_caps=("conversion",)), ("InsufficientData", ["CapUnresolved"])),
        (observed(to_date=conversion(0.1, 0.07), unresolved_caps=("conversion",)), ("InsufficientData", ["CapUnresolved"])),
        (observed(joins=Joins(units=20_000, in_two_arms=201)), ("Unhealthy", ["BrokenJoin"])),
        (observed(joins=Joins(units=20_000, in_two_arms=200)), ("Collecting", ["NotClear"])),
        (observed(memory=Memory(sample_ratio=0.001)), ("Unhealthy", ["SampleRatio"])),
        (observed(to_date=conversion(0.1, 0.13), memory=Memory(sample_ratio=0.0001)), ("Unhealthy", ["SampleRatio"])),
        (observed(to_date=conversion(0.1, 0.07), memory=Memory(sample_ratio=0.0001)), ("Harmful", ["PrimaryHarm"])),
        (observed(stopped=("challenger",)), ("Harmful", ["ArmsStopped"])),
    ],
)
def test_verdicts(of: Observed, expected: tuple[str, list[str]]) -> None:
    assert told(verdict.look(DESIGN, of)) == expected


def test_a_split_that_is_not_as_it_was_given_is_unhealthy() -> None:
    step = Step(name="1", slots={"control": 1000, "challenger": 1000}, units={"control": 10_000, "challenger": 9_000})
    assert told(verdict.look(DESIGN, observed(to_date=conversion(0.1, 0.13), steps=(step,)))) == ("Unhealthy", ["SampleRatio"])


def test_nothing_heard_for_too_long() -> None:
    design = dataclasses.replace(DESIGN, maximum_silence_s=600)
    assert told(verdict.look(design, observed(joins=Joins(units=20_000, in_two_arms=0, newest_outcome_age_s=601)))) == ("Unhealthy", ["NoOutcomes"])
    assert told(verdict.look(design, observed(joins=Joins(units=20_000, in_two_arms=0)))) == ("Unhealthy", ["NoOutcomes"])


def test_harm_reads_outcomes_to_date_and_a_win_closed_windows() -> None:
    alike, worse, better = conversion(0.1, 0.1), conversion(0.1, 0.06), conversion(0.1, 0.13)
    assert told(verdict.look(DESIGN, observed(to_date=worse, closed=alike)))[0] == "Harmful"
    assert told(verdict.look(DESIGN, observed(to_date=better, closed=alike)))[0] == "Collecting"
    assert told(verdict.look(DESIGN, observed(to_date=alike, closed=better)))[0] == "Winning"
    assert told(verdict.look(DESIGN, observed(to_date=worse, closed=better)))[0] == "Harmful"


def test_a_dead_arm_is_stopped_though_it_has_no_conversions() -> None:
    """Expected are 400 · 0.1/2 = 20, seen 0; a minimum of ten that were seen would keep it for ever."""
    assert told(verdict.look(DESIGN, observed(400, to_date=conversion(0.1, 0)))) == ("Harmful", ["PrimaryHarm"])


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (observed(400), True),
        (observed(90, to_date=conversion(0.1, 0.1)), False),
        (observed(400, to_date=conversion(0.1, 0)), True),
        (observed(100, to_date=conversion(0.1, 0.1)), True),
        (observed(400, to_date=conversion(0.1, 0.1), closed=conversion(0, 0)), True),
        (observed(400, to_date=conversion(0.01, 0.01), closed=conversion(0.1, 0.1)), False),
        (observed(400, unresolved_caps=("conversion",)), False),
        (dataclasses.replace(observed(400), open={}, closed={}), False),
    ],
)
def test_whether_harm_could_be_seen(of: Observed, expected: bool) -> None:
    """Ten expected conversions to date, of whatever arm they are."""
    assert verdict.look(DESIGN, of).arms["challenger"].could_see_harm is expected


def guarded(conversions: float, errors: float, *, control: float = 0.01, units: int = 40_000) -> tuple[str, list[str]]:
    shares = {"conversion": {"control": 0.1, "challenger": conversions}, "errors": {"control": control, "challenger": errors}}
    return told(verdict.look(GUARDED, observed(units, to_date=shares)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (guarded(0.13, 0.01), ("Winning", ["Better"])),
        (guarded(0.13, 0.013), ("Collecting", ["GuardrailNotShown"])),
        (guarded(0.13, 0.01, units=5000), ("Collecting", ["GuardrailNotShown"])),
        (guarded(0.13, 0.03), ("Harmful", ["GuardrailCrossed"])),
        (guarded(0.07, 0.03), ("Harmful", ["PrimaryHarm", "GuardrailCrossed"])),
        (guarded(0.1, 0.01, units=5000), ("Collecting", ["NotClear", "GuardrailNotShown"])),
        (guarded(0.13, 0.0, control=0.01), ("Winning", ["Better"])),
        (guarded(0.13, 0.0001, control=0.0), ("Winning", ["Better"])),
        (guarded(0.13, 0.0, control=0.0), ("Collecting", ["GuardrailSilent"])),
        (guarded(0.1, 0.0, control=0.0, units=1000), ("Collecting", ["NotClear", "GuardrailSilent"])),
    ],
)
def test_guardrails(found: tuple[str, list[str]], expected: tuple[str, list[str]]) -> None:
    assert found == expected


def test_a_guardrail_says_what_it_is_about() -> None:
    shares = {"conversion": {"control": 0.1, "challenger": 0.1}, "errors": {"control": 0.01, "challenger": 0.03}}
    look = verdict.look(GUARDED, observed(to_date=shares))
    assert look.findings == (Finding(reason="GuardrailCrossed", about=("errors",)),)
    assert look.arms["challenger"].guardrails == {"errors": "Crossed"}


def test_a_guardrail_without_its_cap_neither_stops_nor_is_shown() -> None:
    for errors in (0.03, 0.01):
        shares = {"conversion": {"control": 0.1, "challenger": 0.13}, "errors": {"control": 0.01, "challenger": errors}}
        look = verdict.look(GUARDED, observed(40_000, to_date=shares, unresolved_caps=("errors",)))
        assert told(look) == ("Collecting", ["GuardrailNotShown"])


def profit(units: int, mean: float) -> Sums:
    """As many units at mean + 1 as at mean - 1."""
    return Sums(units=units, totals=(units * mean, 0), products=(units * (1 + mean * mean), 0, 0))


@pytest.mark.parametrize(("units", "expected"), [(4000, "Harmful"), (90, "InsufficientData")])
def test_a_mean_of_either_sign_has_no_events_to_wait_for(units: int, expected: str) -> None:
    """Control makes nothing on average, so (Σy)²/Σy² is 0 there; the arm loses. Only a hundred units are waited for."""
    design = dataclasses.replace(DESIGN, metrics=(dataclasses.replace(CONVERSION, kind="Mean"),))
    data = {"conversion": {"control": {"1": profit(units, 1.0)}, "challenger": {"1": profit(units, -1.0)}}}
    assert verdict.look(design, dataclasses.replace(observed(units), closed=data, open=data)).verdict == expected


def test_at_least_is_said_where_zero_is_outside() -> None:
    found = [verdict.look(DESIGN, observed(to_date=conversion(0.1, arm))).arms["challenger"].closed["conversion"] for arm in (0.07, 0.105, 0.13)]
    assert [None if one is None else one.at_least for one in found] == [
        None if one is None or one.lower < 0 < one.upper else min(one.lower, one.upper, key=abs) for one in found
    ]
    assert [one is not None and one.at_least is not None for one in found] == [True, False, True]


def test_where_less_is_better() -> None:
    churn = dataclasses.replace(CONVERSION, better="Lower")
    design = dataclasses.replace(DESIGN, metrics=(churn,))
    assert told(verdict.look(design, observed(to_date=conversion(0.1, 0.07))))[0] == "Winning"
    assert told(verdict.look(design, observed(to_date=conversion(0.1, 0.13))))[0] == "Harmful"


THREE = dataclasses.replace(DESIGN, arms=("control", "one", "two", "three"))


def several(one: float, two: float, three: float) -> dict[str, Shares]:
    return {"conversion": {"control": 0.1, "one": one, "two": two, "three": three}}


@pytest.mark.parametrize(
    ("shares", "stopped", "expected", "winner"),
    [
        (several(0.1, 0.13, 0.15), (), "Winning", "three"),
        (several(0.1, 0.13, 0.07), (), "Harmful", None),
        (several(0.1, 0.13, 0.07), ("three",), "Winning", "two"),
        (several(0.1, 0.1, 0.1), (), "Collecting", None),
    ],
)
def test_several_arms(shares: Mapping[str, Shares], stopped: tuple[str, ...], expected: str, winner: str | None) -> None:
    look = verdict.look(THREE, observed(to_date=shares, stopped=stopped))
    assert (look.verdict, look.winner) == (expected, winner)
    assert set(look.arms) == {"one", "two", "three"} - set(stopped)


def test_of_several_winners_the_one_with_the_largest_effect_also_where_less_is_better() -> None:
    design = dataclasses.replace(THREE, metrics=(dataclasses.replace(CONVERSION, better="Lower"),))
    assert verdict.look(design, observed(to_date=several(0.1, 0.07, 0.05))).winner == "three"


def test_every_arm_has_its_share_of_alpha() -> None:
    """The interval, by hand from the formula at alpha/3, also when the others are stopped."""
    look = verdict.look(THREE, observed(to_date=several(0.1, 0.1, 0.1), stopped=("two", "three")))
    found = look.arms["one"].closed["conversion"]
    assert found is not None
    alpha = 0.05 / 3
    u = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) * 5000 / 5000
    assert found.information == pytest.approx(u)
    assert found.boundary == pytest.approx(math.sqrt(2 * (u + 1) / u * math.log(math.sqrt(u + 1) / alpha)))
    assert (found.lower, found.upper) == pytest.approx((-found.boundary * found.standard_error, found.boundary * found.standard_error))


def test_a_guardrail_is_one_sided_with_its_own_alpha() -> None:
    """By hand from the formula at 0.01, with u tuned by twice that; and by its e-value: of being worse by the margin at most."""
    shares = {"conversion": {"control": 0.1, "challenger": 0.1}, "errors": {"control": 0.01, "challenger": 0.012}}
    found = verdict.look(GUARDED, observed(20_000, to_date=shares)).arms["challenger"].closed["errors"]
    assert found is not None
    u = (-2 * math.log(0.02) + math.log(1 - 2 * math.log(0.02))) * 10_000 / 5000
    assert found.information == pytest.approx(u)
    assert found.boundary == pytest.approx(math.sqrt(2 * (u + 1) / u * math.log(1 + math.sqrt(u + 1) / 0.02)))
    assert found.log_e_value == pytest.approx(sequences.log_one_sided_e_value((0.002 - 0.005) / found.standard_error, u=u))


def test_alphas() -> None:
    own = dataclasses.replace(ERRORS, name="own", alpha=0.02)
    design = dataclasses.replace(THREE, metrics=(CONVERSION, ERRORS, dataclasses.replace(ERRORS, name="more"), own))
    assert [design.alpha_of(metric) for metric in design.metrics] == pytest.approx([0.05 / 3, 0.005 / 3, 0.005 / 3, 0.02 / 3])
    assert design.declared_error == pytest.approx(0.05 + 0.01 + 0.02)


def test_a_winner_is_told_by_what_is_sure_and_by_what_is_likely() -> None:
    look = verdict.look(DESIGN, observed(to_date=conversion(0.1, 0.13)))
    found = look.arms["challenger"].closed["conversion"]
    assert found is not None
    assert found.at_least == found.lower
    assert 0 < found.lower < found.shrunk < found.estimate
    assert found.shrunk == pytest.approx(found.estimate * found.information / (found.information + 1))
    assert found.lift is not None
    assert found.lift.estimate == pytest.approx(0.3)
    assert 0 < found.lift.lower < 0.3 < found.lift.upper


def test_p_and_interval_say_the_same_and_p_is_carried() -> None:
    won, lost = observed(to_date=conversion(0.1, 0.13)), observed()
    first = verdict.look(DESIGN, won)
    assert first.arms["challenger"].p < 0.05
    assert first.memory == Memory(sample_ratio=1.0, primary={"challenger": first.arms["challenger"].p})
    later = verdict.look(DESIGN, dataclasses.replace(lost, memory=first.memory))
    assert later.arms["challenger"].p == first.arms["challenger"].p
    assert later.verdict == "Collecting", "a win needs all its conditions at the same look"


def test_a_secondary_metric_decides_nothing() -> None:
    design = dataclasses.replace(DESIGN, metrics=(CONVERSION, REVENUE))
    shares = {"conversion": {"control": 0.1, "challenger": 0.1}, "revenue": {"control": 0.5, "challenger": 0.1}}
    look = verdict.look(design, observed(to_date=shares))
    assert look.verdict == "Collecting"
    found = look.arms["challenger"].closed["revenue"]
    assert found is not None
    assert found.upper < 0


def test_no_units_yet() -> None:
    empty = Observed(elapsed_s=0, steps=(), closed={}, open={}, joins=Joins(units=0, in_two_arms=0))
    assert told(verdict.look(GUARDED, empty)) == ("InsufficientData", ["TooFewUnits"])


def test_metrics_without_a_window_need_no_open_sums() -> None:
    of = observed(to_date=conversion(0.1, 0.07))
    assert verdict.look(DESIGN, dataclasses.replace(of, open={})).verdict == "Harmful"


@pytest.mark.parametrize("shares", [conversion(0.1, 0.13), conversion(0.1, 0.07), conversion(0.1, 0.1)])
def test_a_look_can_be_made_again_from_what_was_kept(shares: dict[str, Shares]) -> None:
    kept = json.dumps({"design": record.write(DESIGN), "observed": record.write(observed(to_date=shares))}, allow_nan=False)
    again = json.loads(kept)
    look = verdict.look(record.read(Design, again["design"]), record.read(Observed, again["observed"]))
    assert look == verdict.look(DESIGN, observed(to_date=shares))
    assert record.read(Look, json.loads(json.dumps(record.write(look), allow_nan=False))) == look


def wrong_design(**changes: Any) -> Design:
    return dataclasses.replace(DESIGN, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": (CONVERSION, dataclasses.replace(CONVERSION, name="other"))}, r"exactly one primary metric, not 2 \(conversion, other\)"),
        ({"metrics": (ERRORS,)}, r"exactly one primary metric, not 0 \(none\)"),
        ({"metrics": (CONVERSION, CONVERSION)}, "conversion is there twice"),
        ({"arms": ("a",)}, "control and another arm or more"),
        ({"arms": ("a", "a")}, "a is there twice"),
        ({"alpha": 0.0}, "above 0 and below"),
    ],
)
def test_designs_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong_design(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.1}, "a guardrail has a margin, and nothing else"),
        ({"minimum_effect": None}, "the primary has a minimum effect, and nothing else"),
        ({"minimum_effect": -1.0}, "a minimum effect is above 0"),
        ({"planned_units_per_arm": 0}, "1 unit or more, not 0"),
        ({"role": "Guardrail", "minimum_effect": None, "margin": -0.1}, "a margin is 0 or more"),
        ({"role": "Guardrail", "minimum_effect": None, "margin": 0.1, "alpha": 0.7}, "above 0 and below"),
    ],
)
def test_metrics_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONVERSION, **changes)


def test_sums_of_another_kind_are_refused() -> None:
    of = observed()
    mixed = {"conversion": {"control": {"1": proportion(100, 0.1)}, "challenger": {"1": sums.of_units([(1, 1, 0, 0)] * 9, things=4)}}}
    with pytest.raises(ValueError, match="of 2 and of 4 things"):
        verdict.look(DESIGN, dataclasses.replace(of, closed=mixed, open={}))


def test_the_p_of_a_look_is_one_over_its_e_value() -> None:
    look = verdict.look(DESIGN, observed(to_date=conversion(0.1, 0.12)))
    found = look.arms["challenger"].closed["conversion"]
    assert found is not None
    assert look.arms["challenger"].p == pytest.approx(math.exp(-sequences.log_e_value(found.z, u=found.information)))
