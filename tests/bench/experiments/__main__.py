"""``python -m bench.experiments``: play experiments, print a table, write build/bench/experiments.json. BENCH=short plays a tenth of them."""

import sys
from pathlib import Path

from bench import simulated
from bench.experiments import (
    adapting,
    bandits,
    false_verdicts,
    guardrails,
    methods,
    oracles,
    power,
    routed,
    settled,
    speed,
    split,
    stopping,
    whole,
)

RESULT = Path(__file__).parents[3] / "build" / "bench" / "experiments.json"
_PARTS: simulated.Parts = {
    "false_verdicts": (false_verdicts.rows, 2000),
    "reasons": (false_verdicts.reasons, 2000),
    "guardrails": (guardrails.rows, 2000),
    "routed": (routed.rows, 2000),
    "settled": (settled.rows, 2000),
    "power": (power.rows, 2000),
    "stopping": (stopping.rows, 2000),
    "split": (split.rows, 2000),
    "whole": (whole.rows, 300),
    "methods": (methods.rows, 2000),
    "bandits": (bandits.rows, 2000),
    "adapting": (adapting.rows, 300),
    "oracles": (oracles.rows, 1000),
    "speed": (speed.rows, 1),
}


if __name__ == "__main__":
    sys.exit(simulated.main(_PARTS, RESULT))
