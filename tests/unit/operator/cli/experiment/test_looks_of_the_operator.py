"""What the operator writes is what the command line reads."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway_operator.api.v1alpha1.experiment import ArmSlots, ArmStatus, ExperimentSpec, ExperimentStatus, ExperimentTraffic, StratumStatus
from slipway_operator.cli.experiment import content, looks, replay
from slipway_operator.reconcile.experiment import designs
from slipway_operator.reconcile.experiment import looks as written
from slipway_operator.state.experiment import Journal, Observed, Sums
from slipway_operator.state.observed import Identity
from slipway_statistics import adaptive, record, verdict
from slipway_statistics.experiment import Memory
from slipway_statistics.sums import Sums as Sum

BEGIN = datetime(2026, 11, 20, 10, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "targetRef": {"name": "ranker"},
    "arms": [{"name": "control"}, {"name": "v8", "model": {"uri": "s3://models/8"}}],
    "assignment": {"unit": {"header": "x-user-id"}},
    "metrics": [
        {"name": "conversion", "role": "Primary", "type": "Proportion", "minimumEffect": {"relativePercent": "5"}},
        {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.002"},
    ],
    "analysis": {"minDurationSeconds": 0},
}
STATUS = ExperimentStatus(
    started_at="2026-11-20T10:00:00Z",
    traffic=ExperimentTraffic(seed="", stratum=1, step=1, percent=50, slots=()),
    strata=(
        StratumStatus(name="1", step=1, since="2026-11-20T10:00:00Z", slots=(ArmSlots(arm="control", slots=5000), ArmSlots(arm="v8", slots=5000))),
    ),
    arms=tuple(ArmStatus(name=name, revision=name, uri="s3://x") for name in ("control", "v8")),
)


def _sums(now: datetime, units: int) -> Sums:
    arms = {
        name: {"1": Sum(units=units, totals=(units * rate // 100, 0), products=(units * rate // 100, 0, 0))}
        for name, rate in (("control", 10), ("v8", 13))
    }
    counted: Mapping[str, Mapping[str, int]] = {"1": {"control": units, "v8": units}}
    return Sums(now=now, closed={"conversion": arms}, open={"conversion": arms}, units=counted, waiting=0, in_two_arms=1, newest_outcome=now)


def _looks(spec: ExperimentSpec) -> list[looks.Recorded]:
    """Four, as the reconciler takes them; a bandit's with its moves."""
    found, known, journal = [], designs.by_name(()), Journal(sequence=0, memory=Memory())
    for number in range(1, 5):
        now = BEGIN + timedelta(hours=number)
        sums = _sums(now, 25 * 10 ** (number - 1))
        observed = Observed(
            identity=Identity(name="ranker-v8", namespace="shop", uid="1a2b3c4d", generation=1), created="", spec=spec, journal=journal, now=now
        )
        known = designs.by_name(designs.settled(spec, known, sums))
        design = designs.design(spec, known)
        by = written.observed_by(observed, spec, STATUS, sums=sums, design=design)
        moves = None
        if spec.mode == "Bandit":
            rules, reward = designs.bandit(spec)
            look = adaptive.look(design, by, rules=rules, reward=reward)
            said, moves = look.said, look.moves
        else:
            said = verdict.look(design, by)
        body = written.written(observed, STATUS, design=design, by=by, said=said, sums=sums, decision=None)
        if moves is not None:
            body["bandit"] = record.write(moves)
        found.append(looks.parse(json.loads(json.dumps(body, allow_nan=False)), where="a look"))
        journal = Journal(sequence=number, memory=said.memory)
    return found


def test_a_test_is_replayed_and_reported() -> None:
    found = _looks(ExperimentSpec.model_validate(SPEC))
    assert replay.replay(found).differences == ()
    report = content.report(found)
    assert (report.experiment, report.looks, report.elapsed_s) == ("shop/ranker-v8", 4, 4 * 3600)
    assert report.arms[0].guardrails[0].closed.missing == "routers counted no request of one of the arms in this stratum yet"
    assert content.report(found[:1]).minimum_effect is None
    assert report.minimum_effect is not None


def test_a_bandit_is_replayed_and_reported() -> None:
    spec = ExperimentSpec.model_validate(SPEC | {"mode": "Bandit", "analysis": {"minDurationSeconds": 0, "maxDurationSeconds": 172_800}})
    found = _looks(spec)
    assert replay.replay(found).differences == ()
    report = content.report(found)
    assert report.bandit is not None
    assert report.arms[0].points_of == "Scores"
