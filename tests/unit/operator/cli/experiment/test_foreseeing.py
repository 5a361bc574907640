"""Plans of bandits: what is assumed where nothing is said, what is told of the answer, what has none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.cli.experiment import foreseeing
from slipway_operator.cli.experiment.looks import Unanswerable
from slipway_operator.cli.experiment.sizing import Known
from slipway_statistics import bandit_plan

DAY = 86_400
CLICKS: dict[str, Any] = {
    "name": "clicks",
    "role": "Primary",
    "type": "Proportion",
    "windowSeconds": 3600,
    "minimumEffect": {"relativePercent": "30"},
}
KNOWN = Known(units_per_day=2000, baseline=0.1)


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is claimed here is clear in 50."""
    monkeypatch.setattr(bandit_plan, "affordable_runs", lambda _: 50)


def body(*, floor: int = 10, arms: int = 3, **metric: Any) -> dict[str, Any]:
    """Three arms for ten days, of which shares move in each."""
    return {
        "targetRef": {"name": "headline"},
        "mode": "Bandit",
        "arms": [{"name": "control"}, *({"name": f"v{number}", "model": {"uri": f"s3://models/{number}"}} for number in range(1, arms))],
        "assignment": {"unit": {"header": "x-user-id"}},
        "metrics": [CLICKS | metric],
        "bandit": {"floorPercent": floor, "updateSeconds": DAY},
        "analysis": {"minDurationSeconds": DAY, "maxDurationSeconds": 10 * DAY, "minUnitsPerArm": 100},
    }


def foreseen(known: Known = KNOWN, **changes: Any) -> foreseeing.Foreseen:
    return foreseeing.foresee(ExperimentSpec.model_validate(body(**changes)), known)


def text(known: Known = KNOWN, **changes: Any) -> str:
    return "\n".join(foreseeing.lines(foreseen(known, **changes), title="shop/headline"))


def test_the_first_arm_beside_control_is_better_by_the_least_effect_where_nothing_is_said() -> None:
    assert foreseen().arms == pytest.approx({"control": 0.1, "v1": 0.13, "v2": 0.1})
    assert foreseen(direction="Down").arms == pytest.approx({"control": 0.1, "v1": 0.07, "v2": 0.1})
    assert foreseen(direction="Down").best == ("v1",)


def test_lifts_are_shares_of_control() -> None:
    found = foreseen(Known(units_per_day=2000, baseline=0.1, lifts={"v2": 0.5, "v1": -0.2}))
    assert found.arms == pytest.approx({"control": 0.1, "v1": 0.08, "v2": 0.15})
    assert found.best == ("v2",)


def test_a_mean_takes_its_deviation() -> None:
    known = Known(units_per_day=2000, baseline=20, deviation=30, lifts={"v1": 0.5})
    found = foreseen(known, type="Mean", minimumEffect={"absolute": "5"})
    assert found.arms == {"control": 20, "v1": 30, "v2": 20}
    assert found.expected.moments[-1].shares[1] == pytest.approx(0.8, abs=0.05)


def test_the_best_arm_comes_to_what_floors_leave_it_and_loses_less_than_an_even_split() -> None:
    """Two of three arms lose 0.03 on a third each of 20,000 units, and on a tenth by the floors."""
    found = foreseen().expected
    assert found.moments[-1].shares[1] == pytest.approx(0.8, abs=0.05)
    assert (found.lost.even_split, found.lost.floors) == pytest.approx((20_000 * 2 / 3 * 0.03, 20_000 * 0.2 * 0.03))
    assert found.lost.floors < found.lost.bandit < found.lost.even_split


def test_what_people_are_told() -> None:
    told = text()
    assert told.startswith("shop/headline: a bandit of 3 arms on clicks, 2,000 new units a day.\nShares move every 24 hours, by at most 20 points")
    assert "Assumed: control 10.0 %, v1 13.0 %, v2 10.0 %." in told
    assert "v1 has most of the units, 72 % (nine tenths of what floors leave)," in told
    assert "against all of them with the best arm, in clicks:" in told
    assert re.search(r"^  an even split +400$", told, re.MULTILINE)
    assert "v1 wins in " in told
    assert "Another arm wins in " in told


def test_a_verdict_that_comes_too_seldom_is_told() -> None:
    assert "That may not fit" not in text(Known(units_per_day=20_000, baseline=0.1))
    assert "That may not fit: raise maxDurationSeconds" in text(Known(units_per_day=200, baseline=0.1))


def test_with_a_lower_floor_there_never_is_a_verdict() -> None:
    told = text(floor=5)
    assert "There will be no verdict: below a floor of 10 % no arm is ever called a winner." in told
    assert "wins" not in told
    assert foreseen(floor=5).expected.verdicts is None


def test_arms_that_are_alike_lose_nothing() -> None:
    told = text(Known(units_per_day=2000, baseline=0.1, lifts={"v1": 0}))
    assert "All arms are alike: shares wander, and nothing is lost." in told
    assert "No arm is better than control; one is called so in " in told
    assert "not the best" not in told


def test_control_may_be_the_best() -> None:
    told = text(Known(units_per_day=2000, baseline=0.1, lifts={"v1": -0.3, "v2": -0.3}))
    assert "control has most of the units" in told
    assert "No arm is better than control" in told


@pytest.mark.parametrize(
    ("known", "changes", "complaint"),
    [
        (Known(units_per_day=1), {}, "Give it with --baseline"),
        (Known(units_per_day=1, baseline=20), {"type": "Mean"}, "give the standard deviation between units with --deviation"),
        (Known(units_per_day=1, baseline=0.1, lifts={"control": 0.1}), {}, "--lift control: there is no such arm beside control; give one of v1, v2"),
        (Known(units_per_day=1, baseline=0.1, lifts={"v1": 20.0}), {}, "a share is from 0 to 1, not 2.1"),
        (
            Known(units_per_day=1, baseline=0, deviation=1, lifts={"v1": 1.0}),
            {"type": "Mean", "minimumEffect": {"absolute": "1"}},
            "--lift is a share of control's clicks, which is 0",
        ),
        (Known(units_per_day=1, baseline=0.1, correlation=0.3), {}, "--correlation changes nothing"),
        (Known(units_per_day=1, baseline=0.1, guardrails={"errors": 0.1}), {}, "leave --guardrail-* out"),
    ],
)
def test_questions_that_have_no_answer(known: Known, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Unanswerable) as raised:
        foreseen(known, **changes)
    assert complaint in str(raised.value)


def _manifest(tmp_path: Path, **changes: Any) -> None:
    manifest = {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": "headline", "namespace": "shop"}, "spec": body()}
    (tmp_path / "xp.yaml").write_text(yaml.safe_dump(manifest | changes))


def test_the_command(run: Any, tmp_path: Path) -> None:
    _manifest(tmp_path)
    asked = ("plan", "-f", "xp.yaml", "--baseline", "0.1", "--units-per-day", "2000", "--lift", "v2=50", "--lift", "v1=-10")
    status, out, err = run(*asked)
    assert (status, err) == (0, "")
    assert "Assumed: control 10.0 %, v1 9.0 %, v2 15.0 %." in out
    _, told, _ = run(*asked, "--json")
    found = json.loads(told)
    assert found["arms"] == pytest.approx({"control": 0.1, "v1": 0.09, "v2": 0.15})
    assert len(found["expected"]["moments"]) == 10
    assert set(found["expected"]["verdicts"]) == {"bestWins", "anotherWins", "noEffect"}


def test_a_test_takes_no_lifts(run: Any, tmp_path: Path) -> None:
    plain = {name: value for name, value in body().items() if name not in ("mode", "bandit")}
    _manifest(tmp_path, spec=plain)
    status, out, err = run("plan", "-f", "xp.yaml", "--baseline", "0.1", "--units-per-day", "2000", "--lift", "v2=50")
    assert (status, out) == (2, "")
    assert "--lift is for mode Bandit" in err
