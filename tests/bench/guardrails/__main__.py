"""``python -m bench.guardrails``: play rollouts, print a table, write build/bench/guardrails.json. BENCH=short plays a tenth of them."""

import sys
from pathlib import Path

from bench import simulated
from bench.guardrails import false_rollbacks, power, speed

RESULT = Path(__file__).parents[3] / "build" / "bench" / "guardrails.json"
_PARTS: simulated.Parts = {
    "false_rollbacks": (false_rollbacks.rows, 2000),
    "limits": (false_rollbacks.limits, 200),
    "power": (power.rows, 200),
    "speed": (speed.rows, 1),
}


if __name__ == "__main__":
    sys.exit(simulated.main(_PARTS, RESULT))
