"""Experiment: what a user writes to have models compared on units, and the better one promoted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from slipway_operator.api.fields import ATOMIC_LIST, FromList, Model, ObjectName, Share, all_of, keyed_list, rules
from slipway_operator.api.v1alpha1.condition import Condition, Timestamp
from slipway_operator.api.v1alpha1.modeldeployment import ModelSource
from slipway_operator.api.v1alpha1.tensors import Tensor

WAITING = "waiting"
"""The group of units whose slots a later step takes; no arm is called so."""

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,62}$")]
"""Of an arm or a metric, as the ledger has them."""

Amount = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
"""A number from 0 up, in decimal text."""


class TargetReference(Model):
    """A ModelDeployment of the same namespace."""

    name: ObjectName = Field(description="Name of the ModelDeployment.")


class ArmModel(Model):
    """A model that differs from the one that serves; what is left out is as it is there."""

    uri: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[a-z][a-z0-9+.-]*://[!-~]+$")] = Field(
        description="Where the model is, as in spec.model.uri of a ModelDeployment."
    )
    format: Literal["onnx", "python", "triton"] | None = Field(default=None, description="Its format. Absent: that of the model that serves.")
    service_account_name: ObjectName | None = Field(default=None, description="ServiceAccount of the pods. Absent: that of the model that serves.")
    inputs: Annotated[tuple[Tensor, ...], FromList] = Field(
        default=(), max_length=64, description="Its inputs. Absent: those of the model that serves.", json_schema_extra=keyed_list("name")
    )
    outputs: Annotated[tuple[Tensor, ...], FromList] = Field(
        default=(), max_length=64, description="Its outputs. Absent: those of the model that serves.", json_schema_extra=keyed_list("name")
    )

    def beside(self, serving: ModelSource) -> ModelSource:
        """The whole model. Raises ValueError (pydantic's) where its parts do not go together."""
        written = self.model_dump(exclude_none=True, exclude_defaults=True)
        if self.format == "triton":
            written |= {"inputs": (), "outputs": ()}
        return ModelSource.model_validate(serving.model_dump() | written)


class Arm(Model):
    """One side of the comparison."""

    name: Name = Field(description="What it is called in outcomes, reports and the status.")
    model: ArmModel | None = Field(
        default=None, description="Its model. Absent for the first arm, the control: the revision that serves. Every other arm has one."
    )


class Unit(Model):
    """Whoever meets one arm and stays with it."""

    header: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")] = Field(
        description="Request header (gRPC: metadata) that names the unit, such as x-user-id. While the experiment runs it stands in for"
        " spec.traffic.unit of the target."
    )
    on_missing: Literal["Control"] = Field(
        default="Control", description="What becomes of requests without it. Control: the revision that serves takes them, and they count nowhere."
    )


class Assignment(Model):
    """How units come to arms."""

    unit: Unit = Field(description="Whoever meets one arm and stays with it.")
    seed: Annotated[str, Field(max_length=128, pattern=r"^[ -~]*$")] = Field(
        default="", description="What units are hashed with. Empty: <namespace>/<name>, so that a restored object divides them as before."
    )


class RampStep(Model):
    """One share of the units that the arms beside control have for a while."""

    percent: int = Field(ge=1, le=90, description="Share of the units that all arms beside control have together, evenly divided.")
    hold_seconds: int = Field(
        default=0,
        ge=0,
        le=2_592_000,
        description="How long the step lasts at least, from when every ready router has it. It lasts longer where harm could not have been seen yet."
        " The last step lasts as long as the experiment.",
    )


class MinimumEffect(Model):
    """The least effect that matters. Exactly one of its fields is given."""

    relative_percent: Amount | None = Field(
        default=None, description="In percent of control's value: found once, from units of all arms together, and then kept in the status."
    )
    absolute: Amount | None = Field(default=None, description="In the metric's own unit: 0.01 is a percentage point of a Proportion.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [amount for amount in (self.relative_percent, self.absolute) if amount is not None]
        if len(given) != 1 or float(given[0]) <= 0:
            raise ValueError(_ONE_EFFECT)
        return self


_ONE_EFFECT = "minimumEffect takes exactly one of relativePercent and absolute, above 0"
MINIMUM_EFFECT_RULES = rules(
    (
        "has(self.relativePercent) != has(self.absolute) && (!has(self.relativePercent) || double(self.relativePercent) > 0.0)"
        " && (!has(self.absolute) || double(self.absolute) > 0.0)",
        _ONE_EFFECT,
    )
)


class Cuped(Model):
    """What a unit did before its first exposure, taken out of what it did after."""

    days: int = Field(ge=1, le=90, description="How far back.")


Role = Literal["Primary", "Secondary", "Guardrail", "Observe"]

_RATIO = "a metric has a denominator exactly when its type is Ratio, and it is not the metric itself"
_PRIMARY = "the metric of role Primary needs minimumEffect, and no other has one; baseline is for a primary that is a Proportion"
_REACHABLE = (
    "the least effect on a Proportion must be below 1: absolute, or baseline times relativePercent; shares differ by no more, and nothing is ever won"
)
_GUARDRAIL = "a metric of role Guardrail needs exactly one of margin and marginPercent, and no other has margin, marginPercent or alpha"
_ROUTER = (
    "source Router measures guardrails error-rate (margin, at most 1) and latency-p95 (marginPercent), direction Down, and takes no windowSeconds,"
    " capPercentile, cuped or denominator"
)
_OUTCOMES = "source Outcomes needs a type; marginPercent is for latency-p95 of source Router"
_GUARDRAIL_ALPHA = "alpha must be above 0 and below 0.5"
_CAP = "capPercentile is from 50 to 99.99, and not for a Proportion, which is 0 or 1"
ERROR_RATE = "error-rate"
LATENCY = "latency-p95"


class Metric(Model):
    """One thing that is measured on units."""

    name: Name = Field(description="Of the metric, and of the outcomes that applications send. Of source Router: error-rate or latency-p95.")
    role: Role = Field(
        description="Primary: what a win and a loss are; exactly one. Guardrail: what may not get worse. Secondary and Observe: told with an"
        " interval, and nothing follows from them; Observe is left out of the correction for several metrics in the report."
    )
    source: Literal["Outcomes", "Router"] = Field(
        default="Outcomes", description="Outcomes: what applications send to the ledger. Router: what routers count of requests."
    )
    type: Literal["Proportion", "Mean", "Ratio"] | None = Field(
        default=None,
        description="Proportion: whether a unit had any outcome above 0. Mean: the sum of a unit's outcomes. Ratio: that, over the sum of its"
        " outcomes named denominator. Needed with source Outcomes.",
    )
    direction: Literal["Up", "Down"] = Field(default="Up", description="Which way is better.")
    denominator: Name | None = Field(default=None, description="Of a Ratio: the name of the outcomes below the line.")
    window_seconds: Annotated[int, Field(ge=1, le=7_776_000)] | None = Field(
        default=None, description="How long after a unit's first exposure its outcomes count. Absent: 86400, a day."
    )
    minimum_effect: MinimumEffect | None = Field(
        default=None, description="Of the primary: the least effect that matters.", json_schema_extra=MINIMUM_EFFECT_RULES
    )
    baseline: Amount | None = Field(
        default=None,
        description="Of a primary that is a Proportion: what control's is expected to be, from before. It fixes the plan beforehand. Absent: found"
        " once, from units of all arms together.",
    )
    margin: Amount | None = Field(default=None, description="Of a guardrail: how much worse it may be, in the metric's own unit.")
    margin_percent: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Of latency-p95: how much higher the 95th percentile may be, in percent of control's."
    )
    alpha: Share | None = Field(
        default=None,
        description="Of a guardrail: probability of a false alarm, over all arms and looks. Absent: its part of 0.01 over all guardrails.",
    )
    cap_percentile: Amount | None = Field(
        default=None,
        description="Where a unit's value is cut off: this percentile of the first units, of all arms together, found once and then kept. Until then"
        " the metric decides nothing. Absent: nowhere.",
    )
    cuped: Cuped | None = Field(
        default=None, description="Takes out what units did before their first exposure, which narrows the interval. Absent: it does not."
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        wrong = (
            (_RATIO, (self.type == "Ratio") != (self.denominator is not None) or self.denominator == self.name),
            (_PRIMARY, (self.role == "Primary") != (self.minimum_effect is not None) or self._knows_wrongly()),
            (_REACHABLE, not self._effect_is_reachable()),
            (_GUARDRAIL, self._guards_wrongly()),
            (_ROUTER, self.source == "Router" and not self._routed_well()),
            (_OUTCOMES, self.source == "Outcomes" and (self.type is None or self.margin_percent is not None)),
            (_GUARDRAIL_ALPHA, self.alpha is not None and not 0 < float(self.alpha) < 0.5),
            (_CAP, self.cap_percentile is not None and (self.type == "Proportion" or not 50 <= float(self.cap_percentile) <= 99.99)),
        )
        for sentence, found in wrong:
            if found:
                raise ValueError(sentence)
        return self

    def _knows_wrongly(self) -> bool:
        return self.baseline is not None and (self.role != "Primary" or self.type != "Proportion" or not 0 < float(self.baseline) < 1)

    def _effect_is_reachable(self) -> bool:
        least = self.minimum_effect
        if self.type != "Proportion" or least is None:
            return True
        if least.absolute is not None:
            return float(least.absolute) < 1
        return self.baseline is None or float(self.baseline) * float(least.relative_percent or 0) < 100

    def _guards_wrongly(self) -> bool:
        margins = sum(margin is not None for margin in (self.margin, self.margin_percent))
        return margins != 1 if self.role == "Guardrail" else bool(margins) or self.alpha is not None

    def _routed_well(self) -> bool:
        bare = self.window_seconds is None and self.cap_percentile is None and self.cuped is None and self.denominator is None and self.type is None
        shares = self.name == ERROR_RATE and self.margin is not None and float(self.margin) <= 1
        named = shares or (self.name == LATENCY and self.margin_percent is not None)
        return bare and named and self.role == "Guardrail" and self.direction == "Down"

    @property
    def window_s(self) -> int:
        """Seconds."""
        return self.window_seconds or 86_400


METRIC_RULES = rules(
    (
        "(has(self.type) && self.type == 'Ratio') == has(self.denominator) && (!has(self.denominator) || self.denominator != self.name)",
        _RATIO,
    ),
    (
        "(self.role == 'Primary') == has(self.minimumEffect) && (!has(self.baseline)"
        " || (self.role == 'Primary' && has(self.type) && self.type == 'Proportion' && double(self.baseline) > 0.0 && double(self.baseline) < 1.0))",
        _PRIMARY,
    ),
    (
        "!has(self.type) || self.type != 'Proportion' || !has(self.minimumEffect)"
        " || ((!has(self.minimumEffect.absolute) || double(self.minimumEffect.absolute) < 1.0)"
        " && (!has(self.minimumEffect.relativePercent) || !has(self.baseline)"
        " || double(self.baseline) * double(self.minimumEffect.relativePercent) < 100.0))",
        _REACHABLE,
    ),
    (
        "self.role == 'Guardrail' ? has(self.margin) != has(self.marginPercent) : !has(self.margin) && !has(self.marginPercent) && !has(self.alpha)",
        _GUARDRAIL,
    ),
    (
        "!has(self.source) || self.source != 'Router' || (self.role == 'Guardrail' && has(self.direction) && self.direction == 'Down'"
        " && !has(self.type) && !has(self.windowSeconds) && !has(self.capPercentile) && !has(self.cuped) && !has(self.denominator)"
        f" && ((self.name == '{ERROR_RATE}' && has(self.margin) && double(self.margin) <= 1.0)"
        f" || (self.name == '{LATENCY}' && has(self.marginPercent))))",
        _ROUTER,
    ),
    ("(has(self.source) && self.source == 'Router') || (has(self.type) && !has(self.marginPercent))", _OUTCOMES),
    ("!has(self.alpha) || (double(self.alpha) > 0.0 && double(self.alpha) < 0.5)", _GUARDRAIL_ALPHA),
    (
        "!has(self.capPercentile) || (self.type != 'Proportion' && double(self.capPercentile) >= 50.0 && double(self.capPercentile) <= 99.99)",
        _CAP,
    ),
)

_ALPHA_BOUNDS = "alpha must be above 0 and below 0.5, power above 0 and below 1"
_DURATIONS = "minDurationSeconds must not be over maxDurationSeconds"


class Analysis(Model):
    """How the metrics are looked at."""

    method: Literal["ConfidenceSequence"] = Field(
        default="ConfidenceSequence", description="ConfidenceSequence: intervals that hold at every look, so that anybody may watch."
    )
    alpha: Share = Field(
        default="0.05", description="Probability that the primary calls any arm better or worse when none is, over all arms and looks."
    )
    power: Share = Field(default="0.8", description="What the plan is made for: probability of seeing the minimum effect.")
    min_units_per_arm: int = Field(
        default=1000, ge=2, le=100_000_000, description="Units with closed windows in control and in an arm, before it may win or be without effect."
    )
    min_duration_seconds: int = Field(default=604_800, ge=0, le=31_536_000, description="How long it runs at least before it may win.")
    max_duration_seconds: int = Field(
        default=2_419_200, ge=1, le=31_536_000, description="How long it runs at most; what is not clear by then is inconclusive."
    )
    interval_seconds: int = Field(default=30, ge=1, le=86_400, description="Seconds between two looks.")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if not 0 < float(self.alpha) < 0.5 or not 0 < float(self.power) < 1:
            raise ValueError(_ALPHA_BOUNDS)
        if self.min_duration_seconds > self.max_duration_seconds:
            raise ValueError(_DURATIONS)
        return self


ANALYSIS_RULES = rules(
    (
        "(!has(self.alpha) || (double(self.alpha) > 0.0 && double(self.alpha) < 0.5))"
        " && (!has(self.power) || (double(self.power) > 0.0 && double(self.power) < 1.0))",
        _ALPHA_BOUNDS,
    ),
    (
        "!has(self.minDurationSeconds) || !has(self.maxDurationSeconds) || self.minDurationSeconds <= self.maxDurationSeconds",
        _DURATIONS,
    ),
)


class Decision(Model):
    """What follows from a verdict."""

    on_win: Literal["Promote", "KeepControl"] = Field(
        default="Promote",
        description="Promote: the winner becomes the target's stable revision. KeepControl: every unit goes back to control, and the status says who"
        " won.",
    )
    on_harm: Literal["RollBack", "Hold"] = Field(
        default="RollBack", description="RollBack: the harmful arm loses its units at once. Hold: it keeps them until somebody decides."
    )
    on_no_effect: Literal["KeepControl", "Promote", "Hold"] = Field(
        default="KeepControl",
        description="When whatever the effect is, it is smaller than matters. Hold: everything stays as it is until somebody decides.",
    )
    on_inconclusive: Literal["KeepControl", "Hold"] = Field(default="KeepControl", description="When the time is over and nothing is clear.")
    approval: Literal["None", "Manual"] = Field(
        default="None",
        description="Manual: a promotion waits for annotation slipway.dev/approve with the digest that the status names. Rolling back never waits.",
    )
    confirm_seconds: int = Field(
        default=0,
        ge=0,
        le=7_776_000,
        description="How long a winner keeps its share before it is promoted, so that its effect is estimated afresh, by units that had no part in"
        " calling it the winner: more than the primary's windowSeconds. 0: not at all.",
    )


class Bandit(Model):
    """How shares follow rewards."""

    floor_percent: int = Field(
        default=10,
        ge=5,
        le=50,
        description="Least share of an arm. Below 10 no arm is ever called a winner: the shares follow the reward, and that is all.",
    )
    step_percent: int = Field(default=20, ge=1, le=100, description="Most that a share changes in one update.")
    half_life_units: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None, description="Units, of all arms together, after which an outcome counts half. Absent: for ever."
    )
    update_seconds: int = Field(
        default=3600, ge=1, le=2_592_000, description="Seconds between two updates. There may be 90 of them in maxDurationSeconds at most."
    )


_ONE_PRIMARY = "exactly one metric has role Primary"
_CONTROL_FIRST = "the first arm is the control and has no model; every other arm has one"
_NO_WAITING = "no arm is called waiting: units that wait for a later step are told by that word"
_RAMP_RISES = "each step's percent must be higher than the one before it"
_BANDIT = "spec.bandit belongs to mode Bandit, whose primary is a Proportion or a Mean, and which has no ramp and no confirmSeconds"
_BANDIT_FLOORS = "bandit.floorPercent times the number of arms must not be over 100"
_BANDIT_UPDATES = "maxDurationSeconds is more than 90 times bandit.updateSeconds: update less often, or end earlier"
_MOST_UPDATES = 90
_CONFIRMED = "confirmSeconds must be 0, or more than the primary's windowSeconds (by default 86400): the estimate is of units whose window is over"
_WINDOWS = "maxDurationSeconds must be more than the primary's windowSeconds (by default 86400): no unit's window is over before"


class ExperimentSpec(Model):
    """What is compared, on whom, by what, and what follows."""

    target_ref: TargetReference = Field(description="The ModelDeployment whose units are divided. Its stable revision is the control.")
    mode: Literal["Test", "Bandit"] = Field(
        default="Test",
        description="Test: shares go up by spec.ramp and stay. Bandit: shares follow what arms earn (Thompson sampling), by spec.bandit.",
    )
    arms: Annotated[tuple[Arm, ...], FromList] = Field(
        min_length=2, max_length=6, description="What is compared; the control first.", json_schema_extra=ATOMIC_LIST
    )
    assignment: Assignment = Field(description="How units come to arms.")
    ramp: Annotated[tuple[RampStep, ...], FromList] = Field(
        default=(), max_length=10, description="Shares, rising. Absent: 50 % from the beginning.", json_schema_extra=ATOMIC_LIST
    )
    bandit: Bandit | None = Field(default=None, description="How shares follow rewards. Absent in mode Bandit: the defaults.")
    metrics: Annotated[tuple[Annotated[Metric, Field(json_schema_extra=METRIC_RULES)], ...], FromList] = Field(
        min_length=1, max_length=20, description="What is measured.", json_schema_extra=keyed_list("name")
    )
    analysis: Analysis = Field(default=Analysis(), description="How the metrics are looked at.", json_schema_extra=ANALYSIS_RULES)
    decision: Decision = Field(default=Decision(), description="What follows from a verdict.")
    suspend: bool = Field(
        default=False,
        description="True: every unit goes back to the target's stable revision at once, and nothing is decided. False again: the same units meet the"
        " same arms. The one field that may change while the experiment runs.",
    )

    @model_validator(mode="after")
    def _arms_are_told_apart(self) -> Self:
        names = [arm.name for arm in self.arms]
        if WAITING in names:
            raise ValueError(_NO_WAITING)
        if len(set(names)) != len(names):
            raise ValueError(_ARM_NAMES)
        if self.arms[0].model is not None or any(arm.model is None for arm in self.arms[1:]):
            raise ValueError(_CONTROL_FIRST)
        return self

    @model_validator(mode="after")
    def _metrics_decide(self) -> Self:
        if sum(metric.role == "Primary" for metric in self.metrics) != 1:
            raise ValueError(_ONE_PRIMARY)
        shares = [step.percent for step in self.ramp]
        if shares != sorted(set(shares)):
            raise ValueError(_RAMP_RISES)
        return self

    @model_validator(mode="after")
    def _windows_end_before_it_does(self) -> Self:
        if self.analysis.max_duration_seconds <= self.primary.window_s:
            raise ValueError(_WINDOWS)
        return self

    @model_validator(mode="after")
    def _fresh_units_are_seen(self) -> Self:
        if self.mode == "Test" and 0 < self.decision.confirm_seconds <= self.primary.window_s:
            raise ValueError(_CONFIRMED)
        return self

    @model_validator(mode="after")
    def _bandit_fits(self) -> Self:
        if self.mode == "Test":
            if self.bandit is not None:
                raise ValueError(_BANDIT)
            return self
        rules_of = self.shares_follow
        if self.primary.type == "Ratio" or self.ramp or self.decision.confirm_seconds:
            raise ValueError(_BANDIT)
        if rules_of.floor_percent * len(self.arms) > 100:
            raise ValueError(_BANDIT_FLOORS)
        if self.analysis.max_duration_seconds > _MOST_UPDATES * rules_of.update_seconds:
            raise ValueError(_BANDIT_UPDATES)
        return self

    @property
    def primary(self) -> Metric:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "Primary")

    @property
    def control(self) -> Arm:
        """The arm that others are compared with."""
        return self.arms[0]

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """The others."""
        return self.arms[1:]

    @property
    def shares_follow(self) -> Bandit:
        """How a bandit's shares follow rewards."""
        return self.bandit or Bandit()

    @property
    def steps(self) -> tuple[RampStep, ...]:
        """The ramp, or the one step that stands in for it."""
        return self.ramp or (RampStep(percent=50),)


_ARM_NAMES = "each arm has a name of its own"
_BANDIT_IS = "has(self.mode) && self.mode == 'Bandit'"
SPEC_RULES = all_of(
    rules((f"self.arms.all(arm, arm.name != '{WAITING}')", _NO_WAITING), field=".arms"),
    rules(("self.arms.all(arm, self.arms.filter(other, other.name == arm.name).size() == 1)", _ARM_NAMES), field=".arms"),
    rules(("!has(self.arms[0].model) && self.arms.filter(arm, !has(arm.model)).size() == 1", _CONTROL_FIRST), field=".arms"),
    rules(("self.metrics.filter(metric, metric.role == 'Primary').size() == 1", _ONE_PRIMARY), field=".metrics"),
    rules(
        (
            "!has(self.ramp) || (self.ramp.all(step, self.ramp.filter(other, other.percent == step.percent).size() == 1)"
            " && (self.ramp.size() < 2 || self.ramp.map(step, step.percent).isSorted()))",
            _RAMP_RISES,
        ),
        field=".ramp",
    ),
    rules(
        (
            f"({_BANDIT_IS}) ? ((!has(self.ramp) || self.ramp.size() == 0)"
            " && (!has(self.decision) || !has(self.decision.confirmSeconds) || self.decision.confirmSeconds == 0)"
            " && self.metrics.all(metric, metric.role != 'Primary' || (has(metric.type) && metric.type != 'Ratio'))) : !has(self.bandit)",
            _BANDIT,
        ),
        ("!has(self.bandit) || !has(self.bandit.floorPercent) || self.bandit.floorPercent * self.arms.size() <= 100", _BANDIT_FLOORS),
        (
            f"!({_BANDIT_IS}) || self.analysis.maxDurationSeconds <= {_MOST_UPDATES} * (has(self.bandit) ? self.bandit.updateSeconds : 3600)",
            _BANDIT_UPDATES,
        ),
        field=".mode",
    ),
    rules(
        (
            f"({_BANDIT_IS}) || !has(self.decision) || !has(self.decision.confirmSeconds) || self.decision.confirmSeconds == 0"
            " || self.metrics.all(metric, metric.role != 'Primary'"
            " || self.decision.confirmSeconds > (has(metric.windowSeconds) ? metric.windowSeconds : 86400))",
            _CONFIRMED,
        ),
        field=".decision",
    ),
    rules(
        (
            "self.metrics.all(metric, metric.role != 'Primary'"
            " || self.analysis.maxDurationSeconds > (has(metric.windowSeconds) ? metric.windowSeconds : 86400))",
            _WINDOWS,
        ),
        field=".analysis",
    ),
)

_FROZEN = ("targetRef", "mode", "arms", "assignment", "metrics", "analysis", "decision")
_FROZEN_IF_THERE = ("ramp", "bandit")
_IMMUTABLE = "an experiment that has begun does not change, but for spec.suspend: delete it and make another one"
ROOT_RULES = rules(
    (
        "!has(oldSelf.status) || !has(oldSelf.status.startedAt) || ("
        + " && ".join(
            (
                *(f"self.spec.{name} == oldSelf.spec.{name}" for name in _FROZEN),
                *(
                    f"has(self.spec.{name}) == has(oldSelf.spec.{name}) && (!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"
                    for name in _FROZEN_IF_THERE
                ),
            )
        )
        + ")",
        _IMMUTABLE,
    ),
)
"""Of the object: a spec cannot see whether its experiment has begun."""

Verdict = Literal[
    "Pending",
    "Collecting",
    "InsufficientData",
    "Unhealthy",
    "Winning",
    "Harmful",
    "NoPracticalEffect",
    "Inconclusive",
    "Won",
    "RolledBack",
]
Action = Literal["Promote", "RollBack", "KeepControl"]
Number = Annotated[str, Field(max_length=24)]


class ArmSlots(Model):
    """How many slots a group has."""

    arm: Name = Field(description="The arm; waiting: units of a later step.")
    slots: Annotated[int, Field(ge=0, le=10_000)] = Field(description="Of 10,000.")


class StratumStatus(Model):
    """A time in which slots did not change hands."""

    name: Annotated[str, Field(max_length=8)] = Field(description="Its number; exposures name it.")
    step: Annotated[int, Field(ge=1)] = Field(description="Step of the ramp that it belongs to, from 1.")
    since: Timestamp = Field(description="When it began.")
    slots: Annotated[tuple[ArmSlots, ...], FromList] = Field(
        max_length=8, description="Slots by group; the rest of 10,000 waits.", json_schema_extra=keyed_list("arm")
    )


class GroupRun(Model):
    """Neighbouring slots of one group."""

    before: Annotated[int, Field(ge=1, le=10_000)] = Field(description="The slot that the run ends before; it begins where the one before it ends.")
    group: Name = Field(description="The arm that has them, or waiting.")


class ExperimentTraffic(Model):
    """How units are divided; what the ModelDeployment's reconciler makes the route table of."""

    seed: Annotated[str, Field(max_length=128)] = Field(description="What units are hashed with.")
    stratum: Annotated[int, Field(ge=1)] = Field(description="Rises whenever slots change hands.")
    step: Annotated[int, Field(ge=1)] = Field(description="Step of the ramp, from 1.")
    percent: Annotated[int, Field(ge=0, le=100)] = Field(description="Share of the units that the arms beside control have together.")
    since: Timestamp | None = Field(default=None, description="Since when every ready router has had it; absent until then.")
    slots: Annotated[tuple[GroupRun, ...], FromList] = Field(
        max_length=64, description="Which group has which of the 10,000 slots.", json_schema_extra=ATOMIC_LIST
    )


class Interval(Model):
    """An estimate and where the truth is, at every look, with the probability that spec.analysis says."""

    metric: Name = Field(description="Which metric.")
    estimate: Number = Field(description="The arm less control, as seen so far; seen when an experiment stops early it tends to be high.")
    lower: Number = Field(description="Lower end.")
    upper: Number = Field(description="Upper end.")
    shrunken: Number | None = Field(default=None, description="The estimate pulled towards zero by what is not known yet.")
    relative_percent: Number | None = Field(default=None, description="The estimate in percent of control's value.")
    state: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Of a guardrail: Crossed, worse by more than its margin; Shown, known to be within; NotShown, neither."
    )


class ArmStatus(Model):
    """One arm."""

    name: Name = Field(description="Its name.")
    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision that it is served by.")
    uri: Annotated[str, Field(max_length=1024)] = Field(description="Its model.")
    capacity_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="Share of the requests that it must have pods for: what it has, or is about to get."
    )
    units: Annotated[int, Field(ge=0)] = Field(default=0, description="Units that met it first.")
    stopped: bool = Field(default=False, description="Whether it was taken out.")
    verdict: Annotated[str, Field(max_length=32)] | None = Field(default=None, description="What the last look said of it.")
    metrics: Annotated[tuple[Interval, ...], FromList] = Field(
        default=(), max_length=20, description="What is known of it, against control.", json_schema_extra=keyed_list("metric")
    )


class MetricStatus(Model):
    """What was found out once about a metric, blind to arm, and stays."""

    name: Name = Field(description="Which metric.")
    cap: Number | None = Field(default=None, description="Where a unit's value is cut off.")
    planned_units_per_arm: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Units of an arm at which a decision is expected; the interval is tightest there."
    )
    minimum_effect: Number | None = Field(default=None, description="The least effect that matters, in the metric's own unit.")


class SampleRatioStatus(Model):
    """Whether arms got the units of their slots."""

    p: Number = Field(description="Probability of units that are divided so unevenly or worse, were all well; the least of all looks.")
    summary: Annotated[str, Field(max_length=16)] = Field(description="OK, or Mismatch.")
    detectable_loss_percent: Number | None = Field(
        default=None, description="The smallest loss of an arm's exposures that would have been seen by now."
    )


class LookStatus(Model):
    """The last look."""

    sequence: Annotated[int, Field(ge=1)] = Field(description="Its number in the ledger.")
    at: Timestamp = Field(description="When.")


class ProposalStatus(Model):
    """A promotion that waits for somebody's consent."""

    arm: Name = Field(description="Who is to be promoted.")
    digest: Annotated[str, Field(max_length=16)] = Field(description="Of what was seen; annotation slipway.dev/approve repeats it.")
    sequence: Annotated[int, Field(ge=1)] = Field(description="The look that it is made by.")


class DecisionStatus(Model):
    """What was decided; the experiment is over."""

    action: Action = Field(description="Promote: an arm becomes the target's stable revision. RollBack: it was harmful. KeepControl: neither.")
    arm: Name | None = Field(default=None, description="Who was promoted, or who won.")
    at: Timestamp = Field(description="When.")
    message: Annotated[str, Field(max_length=1024)] = Field(description="Why.")
    done: bool = Field(default=False, description="Whether every router has what follows from it.")


class ExperimentTarget(Model):
    """The ModelDeployment as it was when the experiment began."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="Its stable revision, the control.")
    model_digest: Annotated[str, Field(max_length=16)] = Field(
        description="Of its spec.model: a winner is promoted only while Git still says the same."
    )
    replicas: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Pods that the control had. It keeps as many until the end, so that it can take all units back."
    )


class ExperimentStatus(Model):
    """What the operator found and did; every look as a whole is in the ledger."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Generation of the spec that the last finished pass worked on."
    )
    verdict: Verdict | None = Field(default=None, description="What is known, in one word.")
    reason: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Why, in one word.")
    summary: Annotated[str, Field(max_length=1024)] | None = Field(default=None, description="All of it in a sentence or two, and what happens next.")
    lift: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="The primary's effect on the best arm, for kubectl get.")
    units: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Units that met an arm.")
    sample_ratio: SampleRatioStatus | None = Field(default=None, description="Whether arms got the units of their slots.")
    ledger_name: Annotated[str, Field(max_length=128)] | None = Field(default=None, description="What it is called in the ledger.")
    admitted_at: Timestamp | None = Field(default=None, description="When its turn on the target came.")
    started_at: Timestamp | None = Field(default=None, description="When every router had its first step; from then on the spec stays as it is.")
    target: ExperimentTarget | None = Field(default=None, description="The target as it was when its turn came.")
    traffic: ExperimentTraffic | None = Field(default=None, description="How units are divided; absent before and after.")
    strata: Annotated[tuple[StratumStatus, ...], FromList] = Field(
        default=(), max_length=100, description="Every division there was.", json_schema_extra=keyed_list("name")
    )
    arms: Annotated[tuple[ArmStatus, ...], FromList] = Field(
        default=(), max_length=6, description="The arms, control first.", json_schema_extra=keyed_list("name")
    )
    metrics: Annotated[tuple[MetricStatus, ...], FromList] = Field(
        default=(), max_length=20, description="What was found out once and stays.", json_schema_extra=keyed_list("name")
    )
    look: LookStatus | None = Field(default=None, description="The last look.")
    winning_since: Timestamp | None = Field(default=None, description="Since when an arm has kept its share after its win, for a fresh estimate.")
    proposal: ProposalStatus | None = Field(default=None, description="A promotion that waits for consent.")
    decision: DecisionStatus | None = Field(default=None, description="What was decided; absent while it runs.")
    handled: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The last value of annotation slipway.dev/experiment that was carried out, or refused."
    )
    conditions: Annotated[tuple[Condition, ...], FromList] = Field(
        default=(), max_length=16, description="Conditions, in the order a person reads them.", json_schema_extra=keyed_list("type")
    )


class Experiment(Model):
    """Compares models on the units of one ModelDeployment, by tests that may be watched, and promotes or rolls back by itself."""

    spec: ExperimentSpec = Field(description="What is compared, on whom, by what, and what follows.", json_schema_extra=SPEC_RULES)
    status: ExperimentStatus = Field(default=ExperimentStatus(), description="What the operator found and did.")
