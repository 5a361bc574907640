"""``python -m bench.experiment_look``: what one look at a large experiment costs the operator; writes build/bench/look.json.

Five arms, ten metrics and three strata, each of the 150 with units in it: a real ledger process on one core answers and keeps the look; the client,
the plan and the statistics of the operator are on the other. The status is made, and not sent: that is one request to the API server, as everywhere
else. BENCH=short puts in a tenth of the units and looks a fifth as often.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.ledger.__main__ import processor_us
from bench.router.figures import Figure, at_most, quantile, stated, table, write
from ledger.harness import ADMIN, Ledger, at
from slipway_box import environments, layout
from slipway_operator.api.v1alpha1.experiment import ArmStatus, ExperimentSpec, ExperimentStatus, ExperimentTarget
from slipway_operator.cluster import ledger as ledgers
from slipway_operator.handlers import app
from slipway_operator.reconcile.experiment import designs, divisions, plan
from slipway_operator.reconcile.rollout import TIME_FORMAT
from slipway_operator.state.experiment import Journal, Observed, Plan
from slipway_operator.state.observed import Identity, Routers
from slipway_statistics.experiment import Memory
from slipway_testing import builders
from slipway_testing.router import ROUTER

RESULT: Final = layout.REPOSITORY / "build" / "bench" / "look.json"
SHORT: Final = os.environ.get("BENCH") == "short"
UNITS: Final = 3_000 if SHORT else 30_000
LOOKS: Final = 60 if SHORT else 300
WARM_UP: Final = 10
MEASURED, OTHER = {0}, {1}
"""Cores: of the ledger, and of the operator's part."""
LOOK_MS: Final = 50
RUNNING: Final = 50
"""Experiments that run beside each other, with the interval that is usual."""
UID: Final = "1a2b3c4d-0000-0000-0000-000000000000"
ARMS: Final = ("control", "v8", "v9", "v10", "v11")
NUMBERS: Final[list[dict[str, Any]]] = [
    {
        "name": "conversion",
        "role": "Primary",
        "type": "Proportion",
        "minimumEffect": {"relativePercent": "5"},
        "baseline": "0.1",
        "cuped": {"days": 14},
    },
    *({"name": f"revenue-{number}", "role": "Secondary", "type": "Mean", "cuped": {"days": 14}} for number in range(3)),
    *({"name": f"ratio-{number}", "role": "Observe", "type": "Ratio", "denominator": "pages"} for number in range(3)),
    *({"name": f"returned-{number}", "role": "Guardrail", "type": "Proportion", "direction": "Down", "margin": "0.05"} for number in range(3)),
]
SPEC: Final = ExperimentSpec.model_validate(
    {
        "targetRef": {"name": "ranker"},
        "arms": [{"name": "control"}, *({"name": arm, "model": {"uri": f"s3://models/ranker/{arm}"}} for arm in ARMS[1:])],
        "assignment": {"unit": {"header": "x-user-id"}},
        "ramp": [{"percent": 20}, {"percent": 40}, {"percent": 80}],
        "metrics": NUMBERS,
    }
)


def main() -> int:
    """Measure, print a table; status 1 when a goal was missed."""
    alone = len(os.sched_getaffinity(0)) == 1
    if not alone:
        os.sched_setaffinity(0, OTHER)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, _ledger(Path(folder), alone=alone) as ledger:
        found = list(asyncio.run(_measured(ledger)))
    print(table(found))  # noqa: T201
    write(RESULT, found)
    return 0 if all(figure.ok for figure in found) else 1


@contextlib.contextmanager
def _ledger(folder: Path, *, alone: bool) -> Iterator[Ledger]:
    with Ledger(folder, python=environments.need("ledger-tests") / "bin" / "python", log_level="WARNING") as ledger:
        for thread in () if alone else Path(f"/proc/{ledger.process}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), MEASURED)
        yield ledger


async def _measured(ledger: Ledger) -> list[Figure]:
    token = ledger.folder / "operator-token"
    token.write_text(ADMIN)
    name = plan.ledger_name("ranker-v8", UID)
    took: dict[str, list[float]] = {"the ledger's sums": [], "plan and statistics": [], "the ledger keeps it": [], "all of it": []}
    async with ledgers.Ledger(f"http://127.0.0.1:{ledger.port}", token_file=token) as client:
        await client.register("shop", name, designs.definition(SPEC, settled={}))
        _fill(ledger, name)
        journal, status, size, processor_s, its_us = Journal(sequence=0, memory=Memory()), _status(), 0, 0.0, 0.0
        for number in range(WARM_UP + LOOKS):
            if number == WARM_UP:
                app.settle_memory()
                its_us = processor_us(ledger)
            busy, began = time.process_time(), time.perf_counter()
            sums = await client.sums("shop", name, quantiles={})
            answered = time.perf_counter()
            planned = plan.plan(_observed(status, sums=sums, journal=journal, number=number))
            decided = time.perf_counter()
            look, status, memory = _kept(planned)
            await client.append("shop", name, look)
            ended = time.perf_counter()
            busy = time.process_time() - busy
            journal, size = Journal(sequence=look["sequence"], memory=memory), len(json.dumps(look))
            if number >= WARM_UP:
                processor_s += busy
                for part, seconds in zip(took, (answered - began, decided - answered, ended - decided, ended - began), strict=True):
                    took[part].append(1000 * seconds)
        its_ms = (processor_us(ledger) - its_us) / 1000 / LOOKS
    return [*_figures(took, size=size, processor_ms=1000 * processor_s / LOOKS, its_ms=its_ms)]


def _figures(took: dict[str, list[float]], *, size: int, processor_ms: float, its_ms: float) -> Iterator[Figure]:
    what = f"one look at 5 arms x 10 metrics x 3 strata, {UNITS:,} units"
    yield stated(f"{what}, p50", quantile(took["all of it"], 0.5), "ms")
    yield at_most(f"{what}, p99", quantile(took["all of it"], 0.99), "ms", limit=LOOK_MS)
    for part in ("the ledger's sums", "plan and statistics", "the ledger keeps it"):
        yield stated(f"of it: {part}, p50", quantile(took[part], 0.5), "ms")
        yield stated(f"of it: {part}, p99", quantile(took[part], 0.99), "ms")
    yield stated("size of the look that the ledger keeps", size / 1024, "KiB")
    yield stated("processor time of the operator for a look", processor_ms, "ms")
    yield stated("processor time of the ledger for a look", its_ms, "ms")
    share = 100 * RUNNING * processor_ms / 1000 / SPEC.analysis.interval_seconds
    yield stated(f"{RUNNING} such experiments that run, a look of each every {SPEC.analysis.interval_seconds} s: of a core", share, "%")


def _fill(ledger: Ledger, name: str) -> None:
    """Units of every arm and stratum, and one outcome of each for every metric: some before they were first exposed, most after it."""
    for first in range(0, UNITS, 500):
        units = range(first, min(first + 500, UNITS))
        ledger.expose(*({"experiment": f"shop/{name}", "time": at(-100_000)} | _unit(number) for number in units))
        ledger.observe(*(event for number in units for event in _events(number)))


def _unit(number: int) -> dict[str, Any]:
    return {"unit": f"user-{number}", "arm": ARMS[number % 5], "stratum": str(number // 5 % 3 + 1)}


def _events(number: int) -> Iterator[dict[str, Any]]:
    for place, metric in enumerate((*(metric["name"] for metric in NUMBERS), "pages")):
        # A proportion has an outcome of every ninth unit; another ninth had one before.
        if metric.startswith(("conversion", "returned")) and (number + place) % 9 > 1:
            continue
        seconds = -200_000 if metric.startswith(("conversion", "revenue")) and (number + place) % 9 == 1 else -99_000
        yield {"service": "shop/ranker", "unit": f"user-{number}", "metric": metric, "value": 1 + number % 7, "time": at(seconds)}


def _status() -> ExperimentStatus:
    """Of an experiment at the last step of its ramp."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    steps = [
        divisions.traffic(
            SPEC,
            divisions.allocation(SPEC, percent=step.percent, out=frozenset()),
            seed="shop/ranker-v8",
            stratum=number,
            step=number,
            since=began.strftime(TIME_FORMAT),
        )
        for number, step in enumerate(SPEC.steps, 1)
    ]
    return ExperimentStatus(
        verdict="Collecting",
        ledger_name=plan.ledger_name("ranker-v8", UID),
        admitted_at=began.strftime(TIME_FORMAT),
        started_at=began.strftime(TIME_FORMAT),
        target=ExperimentTarget(revision="ranker-control", model_digest="0" * 16),
        traffic=steps[-1],
        strata=tuple(divisions.stratum(SPEC, step, now=began) for step in steps),
        arms=tuple(ArmStatus(name=arm, revision=f"ranker-{arm}", uri=f"s3://models/ranker/{arm}") for arm in ARMS),
    )


def _observed(status: ExperimentStatus, *, sums: Any, journal: Journal, number: int) -> Observed:
    target = builders.observed(
        selected="ranker-control",
        workloads={f"ranker-{arm}": builders.running() for arm in ARMS},
        routers=Routers(name=ROUTER, addressed=True),
        now=datetime.now(UTC),
    )
    identity = Identity(name="ranker-v8", namespace="shop", uid=UID, generation=1)
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=number)
    return Observed(identity=identity, created=status.admitted_at or "", spec=SPEC, status=status, target=target, sums=sums, journal=journal, now=now)


def _kept(planned: Plan) -> tuple[dict[str, Any], ExperimentStatus, Memory]:
    """What a look leaves. AssertionError: none was taken, or it decided something, and there is nothing more to measure."""
    assert planned.look is not None, planned.status
    assert planned.memory is not None
    assert planned.status is not None
    assert planned.status.decision is None, planned.status.decision
    assert {len(arm.metrics) for arm in planned.status.arms[1:]} == {len(NUMBERS)}, "every arm has an interval of every metric"
    return dict(planned.look), planned.status, planned.memory


if __name__ == "__main__":
    sys.exit(main())
