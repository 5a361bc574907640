import dataclasses

import pytest

from slipway_statistics import decision
from slipway_statistics.decision import Decision, Hold, Pass, RollBack
from slipway_statistics.ratios import Look

CALM = Look(
    candidate_requests=5000,
    stable_requests=50_000,
    candidate_rate=0.01,
    stable_rate=0.01,
    max_increase=0.005,
    estimate=0.0,
    standard_error=0.002,
    lower=-0.01,
    upper=0.01,
    z=-2.5,
    boundary=4.0,
    groups=30.0,
    detectable=0.01,
)
CROSSED = dataclasses.replace(CALM, candidate_rate=0.05, estimate=0.04, lower=0.03, upper=0.05, z=8.0)
UNTOUCHED = dataclasses.replace(CALM, candidate_requests=0, groups=0.0, detectable=float("inf"), boundary=float("inf"), z=0.0)


@pytest.mark.parametrize(
    ("looks", "held_s", "expected"),
    [
        ({"ErrorRate": CALM, "LatencyP95": CALM}, 60, Pass()),
        ({"ErrorRate": CALM, "LatencyP95": CALM}, 59.9, Hold(reason="HoldTime")),
        ({}, 60, Pass()),
        ({}, 10, Hold(reason="HoldTime")),
        ({"ErrorRate": CALM, "LatencyP95": CROSSED}, 10, RollBack(guardrails=("LatencyP95",))),
        ({"ErrorRate": CROSSED, "LatencyP95": CROSSED}, 900, RollBack(guardrails=("ErrorRate", "LatencyP95"))),
        ({"ErrorRate": CROSSED, "LatencyP95": None}, 10, RollBack(guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CROSSED, groups=4.9)}, 60, Hold(reason="TooFewGroups", guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CALM, z=4.0)}, 60, RollBack(guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CALM, z=3.99)}, 60, Pass()),
        ({"ErrorRate": CALM, "LatencyP95": None}, 60, Hold(reason="NothingToCompare", guardrails=("LatencyP95",))),
        ({"ErrorRate": UNTOUCHED, "LatencyP95": None}, 60, Hold(reason="NothingToCompare", guardrails=("ErrorRate", "LatencyP95"))),
        ({"ErrorRate": dataclasses.replace(CALM, stable_requests=0)}, 60, Hold(reason="NothingToCompare", guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CALM, groups=4.9)}, 60, Hold(reason="TooFewGroups", guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CALM, groups=5.0)}, 60, Pass()),
        ({"ErrorRate": dataclasses.replace(CALM, detectable=0.021)}, 60, Hold(reason="TooLittleTraffic", guardrails=("ErrorRate",))),
        ({"ErrorRate": dataclasses.replace(CALM, detectable=0.02)}, 60, Pass()),
        (
            {"ErrorRate": dataclasses.replace(CALM, detectable=0.021), "LatencyP95": dataclasses.replace(CALM, groups=2.0, detectable=0.5)},
            60,
            Hold(reason="TooFewGroups", guardrails=("LatencyP95",)),
        ),
    ],
    ids=[
        "all is well",
        "not yet as long as it should",
        "nothing to guard, by time alone",
        "nothing to guard, but not yet",
        "one guardrail is enough, at once",
        "both are named",
        "an error is not excused by what another cannot say",
        "crossed, but on too few groups",
        "on the boundary",
        "just below it",
        "no edges yet",
        "no request at all",
        "no stable to compare with",
        "too few groups",
        "just enough groups",
        "would not have seen it",
        "would just have seen it",
        "what is missing most is told first",
    ],
)
def test_a_step(looks: dict[str, Look | None], held_s: float, expected: Decision) -> None:
    assert decision.decide(looks, held_s=held_s, hold_s=60, detect=0.02) == expected
