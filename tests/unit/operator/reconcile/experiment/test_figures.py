"""What Prometheus is told of an experiment, from its spec and status."""

from typing import Any

import pytest

from slipway_operator.api.v1alpha1.experiment import ArmStatus, DecisionStatus, ExperimentSpec, ExperimentStatus, Interval, SampleRatioStatus
from slipway_operator.reconcile.experiment import figures, plan
from slipway_operator.reconcile.experiment.figures import Family
from slipway_testing import builders
from slipway_testing import experiments as xp

METRICS = [xp.CONVERSION, xp.ERRORS]
SPEC = xp.spec(arms=("v8", "v9"), metrics=METRICS)


def found(status: ExperimentStatus, family: Family, *, spec: ExperimentSpec | None = SPEC) -> dict[tuple[str, ...], float]:
    """The series of one name, by their own labels."""
    return {figure.labels: figure.value for figure in figures.figures(spec, status) if figure.family is family}


def with_arm(status: ExperimentStatus, name: str, **changes: Any) -> ExperimentStatus:
    return status.model_copy(update={"arms": tuple(arm.model_copy(update=changes) if arm.name == name else arm for arm in status.arms)})


def begun(**changes: Any) -> ExperimentStatus:
    """Two arms beside control with the first step: 100 slots each, and 5,000 of control."""
    return started(SPEC).model_copy(update=changes)


def started(spec: ExperimentSpec) -> ExperimentStatus:
    waiting = xp.status(plan.plan(xp.observed(spec=spec)))
    divided = xp.status(plan.plan(xp.observed(waiting, spec=spec)))
    return xp.status(plan.plan(xp.observed(divided, spec=spec)))


def test_a_verdict_is_one_of_all_there_are() -> None:
    told = found(begun(verdict="Collecting"), figures.VERDICT)

    assert len(told) == 10
    assert [labels for labels, value in told.items() if value == 1] == [("Collecting",)]


def test_an_experiment_that_nobody_looked_at_yet_is_pending() -> None:
    assert found(ExperimentStatus(), figures.VERDICT)["Pending",] == 1


def test_conditions_are_told_with_their_reasons() -> None:
    told = found(begun(), figures.CONDITION)

    assert ("Admitted", "True", "Dividing") in told
    assert set(told.values()) == {1}


def test_of_an_experiment_that_is_over_no_condition_is_told_but_what_was_decided_and_when() -> None:
    decision = DecisionStatus(action="KeepControl", at="2026-11-24T12:00:00Z", message="No effect.", done=True)
    over = begun(decision=decision, traffic=None, verdict="NoPracticalEffect")

    assert found(over, figures.CONDITION) == {}
    assert found(over, figures.DECIDED) == {("KeepControl",): builders.NOW.timestamp()}
    assert found(over, figures.VERDICT)["NoPracticalEffect",] == 1


def test_conditions_are_told_until_every_router_has_what_was_decided() -> None:
    decision = DecisionStatus(action="KeepControl", at="2026-11-24T12:00:00Z", message="No effect.")

    assert found(begun(decision=decision), figures.CONDITION)


def test_arms_have_their_units_and_their_share_of_them() -> None:
    status = with_arm(begun(), "v8", units=17)

    assert found(status, figures.UNITS) == {("control",): 0, ("v8",): 17, ("v9",): 0}
    assert found(status, figures.SHARE) == {("control",): 0.5, ("v8",): 0.01, ("v9",): 0.01}


SUSPENDED = xp.spec(arms=("v8", "v9"), metrics=METRICS, suspend=True)


@pytest.mark.parametrize(("spec", "changes"), [(SUSPENDED, {}), (SPEC, {"traffic": None})], ids=["suspended", "not divided"])
def test_where_units_are_not_divided_no_arm_has_a_share(spec: ExperimentSpec, changes: dict[str, Any]) -> None:
    assert found(begun(**changes), figures.SHARE, spec=spec) == {}


def test_the_primary_has_its_effect_and_interval_and_guardrails_whether_they_are_crossed() -> None:
    conversion = Interval(metric="conversion", estimate="+0.01", lower="-0.002", upper="+0.022", relative_percent="+10")
    errors = Interval(metric="error-rate", estimate="+0.05", lower="+0.03", upper="+0.07", state="Crossed")
    status = with_arm(begun(), "v8", metrics=(conversion, errors), verdict="Harmful")

    assert found(status, figures.EFFECT) == {("v8", "conversion"): 0.01}
    assert found(status, figures.EFFECT_LOWER) == {("v8", "conversion"): -0.002}
    assert found(status, figures.EFFECT_UPPER) == {("v8", "conversion"): 0.022}
    assert found(status, figures.LIFT) == {("v8", "conversion"): pytest.approx(0.1)}
    assert found(status, figures.CROSSED) == {("v8", "error-rate"): 1}
    assert found(status, figures.HARMFUL) == {("v8",): 1, ("v9",): 0}


@pytest.mark.parametrize("state", ["Shown", "NotShown"])
def test_a_guardrail_that_is_not_crossed_is_told_as_such(state: str) -> None:
    errors = Interval(metric="error-rate", estimate="+0", lower="-0.001", upper="+0.001", state=state)

    assert found(with_arm(begun(), "v8", metrics=(errors,)), figures.CROSSED) == {("v8", "error-rate"): 0}


def test_an_effect_that_cannot_be_put_in_percent_has_no_lift() -> None:
    conversion = Interval(metric="conversion", estimate="+0.01", lower="-0.002", upper="+0.022")

    assert found(with_arm(begun(), "v8", metrics=(conversion,)), figures.LIFT) == {}


def test_the_sample_ratio_is_told_once_it_was_looked_at() -> None:
    assert found(begun(), figures.RATIO_P) == {}
    ratio = SampleRatioStatus(p="0.04", summary="OK", detectable_loss_percent="2.5")
    assert found(begun(sample_ratio=ratio), figures.RATIO_P) == {(): 0.04}
    assert found(begun(sample_ratio=ratio), figures.RATIO_LOSS) == {(): 0.025}


def test_times_and_what_the_spec_says_of_them() -> None:
    assert found(begun(), figures.STARTED) == {(): builders.NOW.timestamp()}
    assert found(begun(), figures.LOOK_INTERVAL) == {(): 30}
    assert found(begun(), figures.WINDOW) == {(): 60}


def stratum(status: ExperimentStatus, number: int, *arms: str) -> Any:
    slots = tuple({"arm": arm, "slots": 100} for arm in ("control", *arms))
    return status.strata[0].model_validate({"name": str(number), "step": 1, "since": f"2026-11-24T12:0{number}:00Z", "slots": slots})


@pytest.mark.parametrize(
    ("having", "decided", "minute"),
    [
        ((("v8", "v9"), ("v9",)), None, 1),
        ((("v8", "v9"), ("v9",), ("v9",)), None, 1),
        ((("v8", "v9"), ("v9",), ("v8", "v9"), ("v9",)), None, 3),
        ((("v8", "v9"),), "RollBack", 9),
        ((("v8", "v9"), ("v9",)), "Promote", 1),
    ],
    ids=["the next stratum", "another one after it", "it had lost its pods for a while", "the end of it all", "the other one won later"],
)
def test_an_arm_is_stopped_when_it_has_its_slots_no_more(having: tuple[tuple[str, ...], ...], decided: str | None, minute: int) -> None:
    status = with_arm(begun(), "v8", stopped=True)
    decision = DecisionStatus.model_validate({"action": decided, "at": "2026-11-24T12:09:00Z", "message": "So."}) if decided else None
    strata = tuple(stratum(status, number, *arms) for number, arms in enumerate(having))

    told = found(status.model_copy(update={"strata": strata, "decision": decision}), figures.STOPPED)

    assert told == {("v8",): builders.at(60 * minute).timestamp()}


def test_a_spec_that_cannot_be_read_has_its_verdict_and_conditions() -> None:
    told = {figure.family for figure in figures.figures(None, begun())}

    assert told == {figures.VERDICT, figures.CONDITION, figures.STARTED}


def everything_said(arm: ArmStatus, spec: ExperimentSpec) -> ArmStatus:
    """An arm that was stopped, with an interval of each metric."""
    numbers = {"estimate": "+1", "lower": "+0", "upper": "+2", "relative_percent": "+1", "state": "Shown"}
    intervals = tuple(Interval.model_validate({"metric": metric.name} | numbers) for metric in spec.metrics)
    return arm.model_copy(update={"stopped": True, "metrics": intervals})


def test_an_object_has_no_more_series_than_are_promised() -> None:
    guardrail = {"role": "Guardrail", "type": "Proportion", "windowSeconds": 60, "margin": "0.1"}
    spec = xp.spec(arms=("v1", "v2", "v3", "v4", "v5"), metrics=[xp.CONVERSION, *({"name": f"g{number}"} | guardrail for number in range(19))])
    status = started(spec)
    most = status.model_copy(
        update={
            "arms": (status.arms[0], *(everything_said(arm, spec) for arm in status.arms[1:])),
            "sample_ratio": SampleRatioStatus(p="0.04", summary="OK", detectable_loss_percent="2.5"),
            "decision": DecisionStatus(action="RollBack", at="2026-11-24T12:09:00Z", message="So."),
        }
    )

    # Without the condition of a decision, and the last look, which the status does not know.
    assert len(list(figures.figures(spec, most))) == 162 - 2


@pytest.mark.parametrize(("on_harm", "share", "stopped"), [("RollBack", 0.0, True), ("Hold", 0.01, False)])
def test_an_arm_that_a_look_finds_harmful_is_told_with_what_became_of_its_users(on_harm: str, share: float, stopped: bool) -> None:
    spec = xp.spec(arms=("v8", "v9"), metrics=METRICS, decision={"onHarm": on_harm})
    known = started(spec)
    sums = xp.sums(known, units=400_000, rates={"v8": 0.02}, now=builders.at(60))
    after = xp.status(plan.plan(xp.observed(known, spec=spec, sums=sums, now=builders.at(60))))

    assert found(after, figures.HARMFUL, spec=spec) == {("v8",): 1, ("v9",): 0}
    assert found(after, figures.SHARE, spec=spec)["v8",] == share
    assert found(after, figures.STOPPED, spec=spec) == ({("v8",): builders.at(60).timestamp()} if stopped else {})
    (effect,) = (value for labels, value in found(after, figures.EFFECT_UPPER, spec=spec).items() if labels[0] == "v8")
    assert effect < 0
