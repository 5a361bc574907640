"""What a look goes by, and how the status tells it."""

import dataclasses
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.experiment import ExperimentStatus
from slipway_operator.reconcile import failure as failures
from slipway_operator.reconcile.experiment import failure, looks
from slipway_operator.reconcile.experiment import plan as plans
from slipway_operator.state.experiment import Plan
from slipway_testing import builders
from slipway_testing import experiments as xp


def looked(known: ExperimentStatus, **changes: Any) -> Plan:
    rates, units = changes.pop("rates", None), changes.pop("units", 20_000)
    valid: dict[str, Any] = {"sums": xp.sums(known, units=units, rates=rates)}
    return plans.plan(xp.observed(known, **(valid | changes)))


def look(made: Plan) -> dict[str, Any]:
    assert made.look
    return dict(made.look)


def test_a_look_goes_by_units_and_slots_of_every_stratum() -> None:
    known = xp.climbed(2)
    first = {"control": 5_000, "v8": 200}
    counted = xp.sums(known)
    both = dataclasses.replace(counted, units={"1": first, **counted.units})
    made = look(looked(known, sums=both))
    assert [(step["name"], step["slots"], step["units"]) for step in made["observed"]["steps"]] == [
        ("1", {"control": 5_000, "v8": 200}, first),
        ("2", {"control": 5_000, "v8": 2_000}, dict(counted.units["2"])),
    ]


def test_conversions_that_come_after_a_step_count_for_the_stratum_that_was_seen() -> None:
    known = xp.climbed(2)
    late = {"control": {"1": xp.conversions(5_000, 0.1)}, "v8": {"1": xp.conversions(200, 0.1)}}
    counted = dataclasses.replace(xp.sums(known), units={"1": {"control": 5_000, "v8": 200}}, closed={"conversion": late}, open={"conversion": late})
    made = look(looked(known, sums=counted))
    assert list(made["observed"]["closed"]["conversion"]["v8"]) == ["1"]


def test_of_metrics_that_nobody_reads_to_date_only_closed_windows_are_kept() -> None:
    """Six arms, twenty metrics and ten strata make 280 kB of both."""
    more = [
        xp.CONVERSION | {"name": name, "role": role, "minimumEffect": None, "baseline": None} for name, role in (("a", "Secondary"), ("b", "Observe"))
    ]
    guard = {"name": "refunds", "role": "Guardrail", "type": "Proportion", "direction": "Down", "margin": "0.01", "windowSeconds": 60}
    metrics = [{name: value for name, value in metric.items() if value is not None} for metric in (xp.CONVERSION, *more, guard)]
    of = xp.spec(metrics=metrics)
    known = xp.begun(spec=of)
    counted = xp.sums(known)
    every = {str(metric["name"]): counted.closed["conversion"] for metric in metrics}
    made = look(looked(known, spec=of, sums=dataclasses.replace(counted, closed=every, open=every)))
    assert set(made["observed"]["closed"]) == {"conversion", "a", "b", "refunds"}
    assert set(made["observed"]["open"]) == {"conversion", "refunds"}


def test_time_alone_makes_no_new_look() -> None:
    known = xp.begun()
    first = look(looked(known))
    later = look(looked(known, sums=xp.sums(known, now=builders.at(500), newest_outcome=builders.at(400))))
    assert first != later
    assert looks.fingerprint(first) == looks.fingerprint(later)


@pytest.mark.parametrize("changes", [{"units": 20_100}, {"rates": {"v8": 0.11}}, {"rates": {"v8": 0.0}}])
def test_what_was_seen_makes_a_new_look(changes: dict[str, Any]) -> None:
    known = xp.begun()
    assert looks.fingerprint(look(looked(known))) != looks.fingerprint(look(looked(known, **changes)))


def test_the_status_tells_units_interval_and_sample_ratio() -> None:
    """20,000 units at half and half: 0.12 against 0.1."""
    found = xp.status(looked(xp.climbed(3), rates={"v8": 0.12}))
    control, arm = found.arms
    assert (control.units, arm.units, found.units, control.metrics) == (10_000, 10_000, 20_000, ())
    (interval,) = arm.metrics
    assert (interval.metric, interval.estimate, interval.relative_percent, interval.state) == ("conversion", "+0.02", "+20", None)
    assert 0 < float(interval.lower) < 0.02 < float(interval.upper)
    assert interval.shrunken
    assert 0 < float(interval.shrunken) < 0.02
    assert found.sample_ratio
    assert (found.sample_ratio.summary, float(found.sample_ratio.p) > 0.001) == ("OK", True)
    assert found.lift
    assert found.lift.startswith("+20% (+")


def test_of_several_arms_the_column_names_the_best() -> None:
    of = xp.spec(arms=("v8", "v9"))
    found = xp.status(looked(xp.climbed(3, spec=of), spec=of, units=40_000, rates={"v9": 0.13}))
    assert found.lift
    assert found.lift.startswith("v9 +30% (")


def test_where_less_is_better_the_best_arm_is_the_lowest() -> None:
    of = xp.spec(arms=("v8", "v9"), metrics=[xp.CONVERSION | {"direction": "Down"}])
    made = looked(xp.climbed(3, spec=of), spec=of, units=40_000, rates={"v8": 0.07})
    assert xp.status(made).decision
    assert xp.status(made).lift
    assert str(xp.status(made).lift).startswith("v8 -30% (")


def test_the_longest_name_of_an_arm_fits_before_its_lift(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "v" + 62 * "8"
    monkeypatch.setitem(xp.REVISIONS, long, builders.revision(builders.spec(uri=f"pvc://models/digits/{62 * '8'}"), number=8))
    of = xp.spec(arms=(long, "v9"))
    made = looked(xp.climbed(3, spec=of), spec=of, rates={"control": 0.0123, long: 0.234, "v9": 0.0123})
    assert str(xp.status(made).lift).startswith(f"{long} +1")


def test_before_anything_is_known_there_is_no_lift() -> None:
    known = xp.begun()
    empty = dataclasses.replace(xp.sums(known), closed={}, open={}, units={})
    assert xp.status(looked(known, sums=empty)).lift is None


def test_loss_of_units_shows_what_would_have_been_seen() -> None:
    found = xp.status(looked(xp.climbed(3), units=200_000)).sample_ratio
    assert found
    assert found.detectable_loss_percent
    assert 0 < float(found.detectable_loss_percent) < 5


# What cannot be carried out.


@pytest.mark.parametrize(
    ("reason", "concern"),
    [(conditions.LEDGER_UNAVAILABLE, conditions.RECORDED), (conditions.FORBIDDEN, conditions.ACCEPTED), (conditions.REJECTED, conditions.ACCEPTED)],
)
def test_a_pass_that_failed_is_told_in_the_condition_that_it_concerns(reason: str, concern: str) -> None:
    known = xp.begun()
    found = failure.status_after(xp.observed(known), reason=reason, message="It went wrong.")
    told = {each.type: (each.status, each.reason) for each in found.conditions}
    assert told[concern] == ("False", reason)
    assert told[conditions.READY] == ("False", reason)
    assert (found.traffic, found.verdict) == (known.traffic, known.verdict)
    assert told[conditions.ADMITTED] == ("True", conditions.DIVIDING)


def test_a_failure_is_an_event_when_somebody_must_act_and_it_is_news() -> None:
    seen = xp.observed(xp.begun())
    assert failures.warning(seen, reason=conditions.LEDGER_UNAVAILABLE, message="Away.") == ()
    (event,) = failures.warning(seen, reason=conditions.REJECTED, message="May not.")
    assert (event.type, event.reason) == ("Warning", conditions.REJECTED)
    after = dataclasses.replace(seen, status=failure.status_after(seen, reason=conditions.REJECTED, message="May not."))
    assert failures.warning(after, reason=conditions.REJECTED, message="May not.") == ()


# What asks for a look before its time.


GUARDED = xp.spec(arms=("v8", "v9"), metrics=[xp.CONVERSION, xp.ERRORS])


@pytest.mark.parametrize(
    ("counted", "told", "expected"),
    [
        ({"v8": 0.0, "v9": 0.0}, {}, False),
        ({"v8": 1.0, "v9": 0.0}, {}, True),
        ({"v8": 1.0, "v9": 0.0}, {"v8": "Collecting"}, True),
        ({"v8": 1.0, "v9": 0.0}, {"v8": "Harmful"}, False),
        ({"v8": 1.0, "v9": 1.0}, {"v8": "Harmful"}, True),
        ({}, {}, False),
    ],
)
def test_an_arm_that_crosses_a_guardrail_is_reason_for_a_look_until_one_has_called_it_harmful(
    counted: dict[str, float], told: dict[str, str], expected: bool
) -> None:
    known = xp.begun(spec=GUARDED)
    arms = tuple(arm.model_copy(update={"verdict": told.get(arm.name)}) for arm in known.arms)
    known = known.model_copy(update={"arms": arms})
    seen = xp.observed(known, spec=GUARDED, target=xp.target(xp.split(known), counts=xp.counted(**counted)))
    assert looks.alarmed(seen, GUARDED) is expected


def test_nobody_is_alarmed_by_an_arm_that_was_stopped_or_by_a_target_that_is_not_there() -> None:
    known = xp.begun(spec=GUARDED)
    stopped = known.model_copy(update={"arms": tuple(arm.model_copy(update={"stopped": arm.name == "v8"}) for arm in known.arms)})
    counted = xp.counted(v8=1.0, v9=0.0)
    assert not looks.alarmed(xp.observed(stopped, spec=GUARDED, target=xp.target(xp.split(known), counts=counted)), GUARDED)
    assert not looks.alarmed(xp.observed(known, spec=GUARDED, target=None), GUARDED)
