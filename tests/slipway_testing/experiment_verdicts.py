"""Experiments that must be refused, with the field to blame, and such that must be accepted: for the validator as for the real API server."""

from typing import Any, Final

from slipway_testing.verdicts import REMOVED, Body, Refused, changed

PRIMARY: Final[Body] = {"name": "conversion", "role": "Primary", "type": "Proportion", "minimumEffect": {"relativePercent": "5"}}
ERRORS: Final[Body] = {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.002"}
LATENCY: Final[Body] = {"name": "latency-p95", "role": "Guardrail", "source": "Router", "direction": "Down", "marginPercent": 10}
BANDIT: Final[Body] = {"mode": "Bandit", "analysis": {"minDurationSeconds": 0, "maxDurationSeconds": 324_000}}


def valid(**spec: Any) -> Body:
    """An object with nothing wrong, and the least that is written down; ``spec`` is put over it."""
    least: Body = {
        "targetRef": {"name": "ranker"},
        "arms": [{"name": "control"}, {"name": "v8", "model": {"uri": "s3://models/ranker/8"}}],
        "assignment": {"unit": {"header": "x-user-id"}},
        "metrics": [PRIMARY],
    }
    return {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": "ranker-v8"}, "spec": least | spec}


def bandit(**changes: Any) -> Body:
    """The same, of mode Bandit."""
    return valid(**(BANDIT | changes))


def primary(**changes: Any) -> list[Body]:
    """The one metric, with changes; REMOVED takes a field away."""
    return [metric(PRIMARY, **changes)]


def beside(**changes: Any) -> list[Body]:
    """The primary, and a Mean with changes."""
    return [PRIMARY, metric({"name": "revenue", "role": "Secondary", "type": "Mean"}, **changes)]


def metric(of: Body, **changes: Any) -> Body:
    """One metric with changes."""
    return {name: value for name, value in (of | changes).items() if value is not REMOVED}


def _refused(because: str, field: str, body: Body, *, server_field: str | None = None) -> Refused:
    return Refused(because=because, body=body, field=field, server_field=server_field or field)


def _arm(name: str, **more: Any) -> Body:
    return {"name": name} | more


_MODEL: Final = {"uri": "s3://models/ranker/8"}
_TENSOR: Final = {"name": "x", "dtype": "FP32", "shape": [64]}
_FIRST, _SECOND = "spec.metrics[0]", "spec.metrics[1]"

_REFUSED: Final = (
    _refused("there is no spec", "spec", changed("spec", REMOVED, of=valid())),
    _refused("there is no target", "spec.targetRef", changed("spec.targetRef", REMOVED, of=valid())),
    _refused("the target is in capitals", "spec.targetRef.name", valid(targetRef={"name": "Ranker"})),
    _refused("there are no arms", "spec.arms", changed("spec.arms", REMOVED, of=valid())),
    _refused("there is no treatment", "spec.arms", valid(arms=[_arm("control")])),
    _refused("there are seven arms", "spec.arms", valid(arms=[_arm("control"), *(_arm(f"v{number}", model=_MODEL) for number in range(6))])),
    _refused("an arm is called waiting", "spec.arms", valid(arms=[_arm("control"), _arm("waiting", model=_MODEL)])),
    _refused("two arms share a name", "spec.arms", valid(arms=[_arm("control"), _arm("control", model=_MODEL)])),
    _refused("control has a model", "spec.arms", valid(arms=[_arm("control", model=_MODEL), _arm("v8", model=_MODEL)])),
    _refused("control is not the first", "spec.arms", valid(arms=[_arm("v8", model=_MODEL), _arm("control")])),
    _refused("a treatment has no model", "spec.arms", valid(arms=[_arm("control"), _arm("v8", model=_MODEL), _arm("v9")])),
    _refused("an arm's name has a blank", "spec.arms[1].name", valid(arms=[_arm("control"), _arm("the new one", model=_MODEL)])),
    _refused("an arm's model has no address", "spec.arms[1].model.uri", valid(arms=[_arm("control"), _arm("v8", model={"format": "onnx"})])),
    _refused("an arm's address has no scheme", "spec.arms[1].model.uri", valid(arms=[_arm("control"), _arm("v8", model={"uri": "models/8"})])),
    _refused(
        "two inputs of an arm share a name",
        "spec.arms[1].model.inputs[1]",
        valid(arms=[_arm("control"), _arm("v8", model=_MODEL | {"inputs": [_TENSOR, _TENSOR]})]),
    ),
    _refused("there is no assignment", "spec.assignment", changed("spec.assignment", REMOVED, of=valid())),
    _refused("the unit's header has a blank", "spec.assignment.unit.header", valid(assignment={"unit": {"header": "x user"}})),
    _refused(
        "units without the header go to an arm",
        "spec.assignment.unit.onMissing",
        valid(assignment={"unit": {"header": "x-user-id", "onMissing": "Random"}}),
    ),
    _refused("a seed has a line break", "spec.assignment.seed", valid(assignment={"unit": {"header": "x-user-id"}, "seed": "a\nb"})),
    _refused("the ramp falls", "spec.ramp", valid(ramp=[{"percent": 20}, {"percent": 2}])),
    _refused("the ramp stands still", "spec.ramp", valid(ramp=[{"percent": 20}, {"percent": 20}])),
    _refused("a step leaves control nobody", "spec.ramp[0].percent", valid(ramp=[{"percent": 100}])),
    _refused("a step is for nobody", "spec.ramp[0].percent", valid(ramp=[{"percent": 0}])),
    _refused("a step lasts for ever", "spec.ramp[0].holdSeconds", valid(ramp=[{"percent": 2, "holdSeconds": 2_592_001}])),
    _refused("there are eleven steps", "spec.ramp", valid(ramp=[{"percent": percent} for percent in range(1, 12)])),
    _refused("there are no metrics", "spec.metrics", valid(metrics=[])),
    _refused("no metric is the primary", "spec.metrics", valid(metrics=beside()[1:])),
    _refused("two metrics are primaries", "spec.metrics", valid(metrics=[PRIMARY, metric(PRIMARY, name="sales")])),
    _refused("two metrics share a name", "spec.metrics[1]", valid(metrics=beside(name="conversion"))),
    _refused("a metric has no role", "spec.metrics[0].role", valid(metrics=primary(role=REMOVED))),
    _refused("a metric's role is unknown", "spec.metrics[1].role", valid(metrics=beside(role="Tertiary"))),
    _refused("a metric's direction is unknown", "spec.metrics[0].direction", valid(metrics=primary(direction="Sideways"))),
    _refused("a ratio has no denominator", _SECOND, valid(metrics=beside(type="Ratio"))),
    _refused("a ratio is over itself", _SECOND, valid(metrics=beside(type="Ratio", denominator="revenue"))),
    _refused("a mean has a denominator", _SECOND, valid(metrics=beside(denominator="impressions"))),
    _refused("the primary has no minimum effect", _FIRST, valid(metrics=primary(minimumEffect=REMOVED))),
    _refused("a secondary has a minimum effect", _SECOND, valid(metrics=beside(minimumEffect={"absolute": "1"}))),
    _refused("a secondary has a baseline", _SECOND, valid(metrics=beside(baseline="10"))),
    _refused("a mean has a baseline", _FIRST, valid(metrics=primary(type="Mean", baseline="10"))),
    _refused("a baseline is everybody", _FIRST, valid(metrics=primary(baseline="1"))),
    _refused("a baseline is nobody", _FIRST, valid(metrics=primary(baseline="0.0"))),
    _refused("the minimum effect is empty", f"{_FIRST}.minimumEffect", valid(metrics=primary(minimumEffect={}))),
    _refused(
        "the minimum effect is said twice",
        f"{_FIRST}.minimumEffect",
        valid(metrics=primary(minimumEffect={"relativePercent": "5", "absolute": "0.01"})),
    ),
    _refused("the relative minimum effect is nothing", f"{_FIRST}.minimumEffect", valid(metrics=primary(minimumEffect={"relativePercent": "0"}))),
    _refused("the absolute minimum effect is nothing", f"{_FIRST}.minimumEffect", valid(metrics=primary(minimumEffect={"absolute": "0.000"}))),
    _refused(
        "the minimum effect is below nothing",
        f"{_FIRST}.minimumEffect.absolute",
        valid(metrics=primary(minimumEffect={"absolute": "-0.01"})),
    ),
    _refused(
        "the minimum effect is a number",
        f"{_FIRST}.minimumEffect.relativePercent",
        valid(metrics=primary(minimumEffect={"relativePercent": 5})),
    ),
    _refused("a guardrail has no margin", _SECOND, valid(metrics=beside(role="Guardrail"))),
    _refused("a guardrail has two margins", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"marginPercent": 10}])),
    _refused("a secondary has a margin", _SECOND, valid(metrics=beside(margin="0.1"))),
    _refused("a secondary has an alpha", _SECOND, valid(metrics=beside(alpha="0.01"))),
    _refused("a guardrail's alpha is nothing", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"alpha": "0"}])),
    _refused("a guardrail's alpha is a coin's", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"alpha": "0.5"}])),
    _refused("shares differ by all there is", _FIRST, valid(metrics=primary(minimumEffect={"absolute": "1"}))),
    _refused("shares differ by percents of one", _FIRST, valid(metrics=primary(minimumEffect={"absolute": "5"}))),
    _refused("shares differ by more than there is", _FIRST, valid(metrics=primary(minimumEffect={"relativePercent": "200"}, baseline="0.5"))),
    _refused("the primary has a margin", _FIRST, valid(metrics=primary(margin="0.1"))),
    _refused("a guardrail on outcomes has a margin in percent", _SECOND, valid(metrics=beside(role="Guardrail", marginPercent=10))),
    _refused("routers do not measure this", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"name": "cache-hits"}])),
    _refused("routers measure an error rate in shares", _SECOND, valid(metrics=[PRIMARY, metric(ERRORS, margin=REMOVED, marginPercent=10)])),
    _refused("more than all requests may be errors", _SECOND, valid(metrics=[PRIMARY, metric(ERRORS, margin="1.5")])),
    _refused("routers measure latency in percent", _SECOND, valid(metrics=[PRIMARY, metric(LATENCY, marginPercent=REMOVED, margin="0.1")])),
    _refused("more errors are better", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"direction": "Up"}])),
    _refused("errors have the direction that is usual", _SECOND, valid(metrics=[PRIMARY, metric(ERRORS, direction=REMOVED)])),
    _refused("errors of routers have a type", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"type": "Proportion"}])),
    _refused("errors of routers have a window", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"windowSeconds": 60}])),
    _refused("errors of routers are capped", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"capPercentile": "99"}])),
    _refused("errors of routers have a past", _SECOND, valid(metrics=[PRIMARY, ERRORS | {"cuped": {"days": 7}}])),
    _refused("the primary is counted by routers", _FIRST, valid(metrics=primary(source="Router"))),
    _refused("outcomes have no type", _SECOND, valid(metrics=beside(type=REMOVED))),
    _refused("a proportion is capped", _FIRST, valid(metrics=primary(capPercentile="99"))),
    _refused("a cap is below the middle", _SECOND, valid(metrics=beside(capPercentile="49.9"))),
    _refused("a cap is above everything", _SECOND, valid(metrics=beside(capPercentile="100"))),
    _refused("a window is no time", f"{_SECOND}.windowSeconds", valid(metrics=beside(windowSeconds=0))),
    _refused("the past is no day long", f"{_SECOND}.cuped.days", valid(metrics=beside(cuped={"days": 0}))),
    _refused("alpha is nothing", "spec.analysis", valid(analysis={"alpha": "0"})),
    _refused("alpha is a coin's", "spec.analysis", valid(analysis={"alpha": "0.5"})),
    _refused("power is certainty", "spec.analysis", valid(analysis={"power": "1"})),
    _refused("power is nothing", "spec.analysis", valid(analysis={"power": "0"})),
    _refused("alpha is in percent", "spec.analysis.alpha", valid(analysis={"alpha": "5%"})),
    _refused("alpha is a number", "spec.analysis.alpha", valid(analysis={"alpha": 0.05})),
    _refused("it lasts longer at least than at most", "spec.analysis", valid(analysis={"minDurationSeconds": 100, "maxDurationSeconds": 99})),
    _refused("it lasts longer at least than at most if nothing is said", "spec.analysis", valid(analysis={"maxDurationSeconds": 604_799})),
    _refused("the method is a naive one", "spec.analysis.method", valid(analysis={"method": "TTest"})),
    _refused("looks never end", "spec.analysis.intervalSeconds", valid(analysis={"intervalSeconds": 0})),
    _refused("a win rolls back", "spec.decision.onWin", valid(decision={"onWin": "RollBack"})),
    _refused("harm is promoted", "spec.decision.onHarm", valid(decision={"onHarm": "Promote"})),
    _refused("approval is by majority", "spec.decision.approval", valid(decision={"approval": "Majority"})),
    _refused("a win is confirmed by units whose window is not over", "spec.decision", valid(decision={"confirmSeconds": 86_400})),
    _refused(
        "a win is confirmed before a window of its own is over",
        "spec.decision",
        valid(metrics=primary(windowSeconds=3600), decision={"confirmSeconds": 3600}),
    ),
    _refused(
        "no window is over before it ends if nothing is said",
        "spec.analysis",
        valid(analysis={"minDurationSeconds": 0, "maxDurationSeconds": 86_400}),
    ),
    _refused(
        "no window is over before it ends",
        "spec.analysis",
        valid(metrics=primary(windowSeconds=3600), analysis={"minDurationSeconds": 0, "maxDurationSeconds": 3600}),
    ),
    _refused("shares follow rewards in a test", "spec.mode", valid(bandit={})),
    _refused("a bandit has a ramp", "spec.mode", bandit(ramp=[{"percent": 2}])),
    _refused("a bandit confirms", "spec.mode", bandit(decision={"confirmSeconds": 60})),
    _refused("a bandit's reward is a ratio", "spec.mode", bandit(metrics=[metric(PRIMARY, type="Ratio", denominator="impressions")])),
    _refused(
        "floors are more than there is",
        "spec.mode",
        bandit(arms=[_arm("control"), *(_arm(f"v{number}", model=_MODEL) for number in range(5))], bandit={"floorPercent": 17}),
    ),
    _refused("a bandit lasts for more updates than the ledger takes", "spec.mode", bandit(analysis={})),
    _refused("a bandit updates too often for its time", "spec.mode", bandit(bandit={"updateSeconds": 3_599})),
    _refused("a floor is too low", "spec.bandit.floorPercent", bandit(bandit={"floorPercent": 4})),
    _refused("the mode is unknown", "spec.mode", valid(mode="Game")),
    _refused("suspend is a word", "spec.suspend", valid(suspend="yes")),
    _refused("a field is misspelt", "spec.metric", changed("spec.metric", [PRIMARY], of=valid())),
    _refused("the name is too long", "metadata.name", changed("metadata.name", "a" * 40, of=valid())),
    _refused("the name begins with a digit", "metadata.name", changed("metadata.name", "8-ranker", of=valid())),
)
REFUSED: Final = _REFUSED

ACCEPTED: Final = {
    "the least that is written down": valid(),
    "six arms": valid(arms=[_arm("control"), *(_arm(f"v{number}", model=_MODEL) for number in range(5))]),
    "a ramp of one step": valid(ramp=[{"percent": 90}]),
    "a ramp that rises": valid(ramp=[{"percent": 2, "holdSeconds": 900}, {"percent": 20, "holdSeconds": 3600}, {"percent": 50}]),
    "no step at all": valid(ramp=[]),
    "a minimum effect in the metric's own unit": valid(metrics=primary(minimumEffect={"absolute": "0.000001"}, baseline="0.1")),
    "a large effect on a share": valid(metrics=primary(minimumEffect={"absolute": "0.999999"})),
    "a large effect on a share in percent": valid(metrics=primary(minimumEffect={"relativePercent": "199.9"}, baseline="0.5")),
    "an effect of ten units of a mean": valid(metrics=primary(type="Mean", minimumEffect={"absolute": "10"})),
    "a mean with a cap": valid(metrics=beside(capPercentile="99.99")),
    "a mean with a low cap": valid(metrics=beside(capPercentile="50")),
    "a ratio that is the primary": valid(metrics=primary(type="Ratio", denominator="impressions")),
    "an outcome as guardrail": valid(metrics=beside(role="Guardrail", direction="Down", margin="0.5", alpha="0.001")),
    "guardrails of routers": valid(metrics=[PRIMARY, ERRORS | {"alpha": "0.01"}, LATENCY]),
    "a win that is confirmed by units of a second": valid(decision={"confirmSeconds": 86_401}),
    "a win that is confirmed while a guardrail's windows are open": valid(
        metrics=[metric(PRIMARY, windowSeconds=60), *beside(role="Guardrail", margin="0.5")[1:]], decision={"confirmSeconds": 61}
    ),
    "as long at least as at most": valid(analysis={"minDurationSeconds": 99_000, "maxDurationSeconds": 99_000}),
    "a window that ends a second before it does": valid(analysis={"minDurationSeconds": 0, "maxDurationSeconds": 86_401}),
    "a guardrail whose windows end after it does": valid(
        metrics=[metric(PRIMARY, windowSeconds=60), *beside(role="Guardrail", margin="0.5")[1:]],
        analysis={"minDurationSeconds": 0, "maxDurationSeconds": 61},
    ),
    "a bandit of defaults": bandit(),
    "a bandit whose floors are all there is": bandit(
        arms=[_arm("control"), *(_arm(f"v{number}", model=_MODEL) for number in range(4))], bandit={"floorPercent": 20}
    ),
    "nulls where nothing is meant": valid(bandit=None, ramp=None, analysis={"alpha": None}),
    "a status, which the server ignores": changed("status", {"verdict": 7}, of=valid()),
    "every field": valid(
        arms=[
            _arm("control"),
            _arm("v8", model=_MODEL | {"format": "onnx", "serviceAccountName": "reader", "inputs": [_TENSOR], "outputs": [_TENSOR]}),
        ],
        mode="Test",
        assignment={"unit": {"header": "x-user-id", "onMissing": "Control"}, "seed": "autumn"},
        ramp=[{"percent": 2, "holdSeconds": 900}, {"percent": 50}],
        metrics=[
            metric(PRIMARY, direction="Up", source="Outcomes", windowSeconds=3600, cuped={"days": 14}, baseline="0.1"),
            {"name": "revenue", "role": "Secondary", "type": "Mean", "capPercentile": "99.9"},
            {"name": "ctr", "role": "Observe", "type": "Ratio", "denominator": "impressions"},
            ERRORS,
            LATENCY,
        ],
        analysis={
            "method": "ConfidenceSequence",
            "alpha": "0.1",
            "power": "0.9",
            "minUnitsPerArm": 2,
            "minDurationSeconds": 0,
            "maxDurationSeconds": 86_400,
            "intervalSeconds": 1,
        },
        decision={
            "onWin": "KeepControl",
            "onHarm": "Hold",
            "onNoEffect": "Promote",
            "onInconclusive": "Hold",
            "approval": "Manual",
            "confirmSeconds": 7200,
        },
        suspend=True,
    ),
}
