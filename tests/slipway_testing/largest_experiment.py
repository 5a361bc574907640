"""The largest look that an Experiment can have, from the limits of the kind."""

import dataclasses
from random import Random
from typing import Any, Final

from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.reconcile.experiment import plan as plans
from slipway_operator.reconcile.experiment import scenes
from slipway_statistics.sums import Sums
from slipway_testing import experiments

SCHEMA: Final = ExperimentSpec.model_json_schema(by_alias=True)
"""As the CRD has it."""

ARMS: Final = int(SCHEMA["properties"]["arms"]["maxItems"])
METRICS: Final = int(SCHEMA["properties"]["metrics"]["maxItems"])
NAME: Final = int(SCHEMA["$defs"]["Arm"]["properties"]["name"]["maxLength"])
STRATA: Final = scenes.MOST_STRATA


def name(kind: str, number: int) -> str:
    """As long as a name may be."""
    return f"{kind}{number}-{'x' * NAME}"[:NAME]


def written() -> dict[str, Any]:
    """spec: as many arms and metrics as there may be. A ratio with covariates has the most sums; primaries and guardrails have them twice."""
    ratio = {"type": "Ratio", "windowSeconds": 7_776_000, "cuped": {"days": 90}}
    primary = ratio | {"name": name("m", 0), "denominator": name("d", 0), "role": "Primary", "minimumEffect": {"relativePercent": "5"}}
    guardrails = (
        ratio | {"name": name("m", number), "denominator": name("d", number), "role": "Guardrail", "margin": "0.123456"}
        for number in range(1, METRICS)
    )
    arms = tuple(f"v{number}" for number in range(1, ARMS))
    return experiments.written(arms=arms, metrics=[primary, *guardrails], analysis={"maxDurationSeconds": 31_536_000})


def look() -> dict[str, Any]:
    """The look after the last stratum, with sums of as many digits as doubles have. Names of arms are then made as long as they may be."""
    of = ExperimentSpec.model_validate(written())
    known = experiments.begun(spec=of)
    strata = tuple(known.strata[0].model_copy(update={"name": str(number)}) for number in range(1, STRATA + 1))
    known = known.model_copy(update={"strata": strata})
    random = Random(28)  # noqa: S311
    every = {metric.name: {arm.name: {stratum.name: _sums(random) for stratum in strata} for arm in of.arms} for metric in of.metrics}
    units = {stratum.name: {arm.name: random.randrange(10**7, 10**8) for arm in of.arms} for stratum in strata}
    counted = dataclasses.replace(experiments.sums(known), closed=every, open=every, units=units)
    found = plans.plan(experiments.observed(known, spec=of, sums=counted)).look
    if found is None:
        raise AssertionError("an experiment that has begun and has sums is looked at")
    return dict(_renamed(found, {arm.name: name("a", number) for number, arm in enumerate(of.arms)}))


def _sums(random: Random) -> Sums:
    """Of 100 million units whose values are spread over all that the ledger takes: thirds of large numbers have all the digits there are."""
    rows = [[-random.uniform(1, 1e9) for _ in range(4)] for _ in range(8)]
    totals = tuple(1e7 * sum(column) / 3 for column in zip(*rows, strict=True))
    products = tuple(-1e7 * sum(row[one] * row[other] for row in rows) / 3 for one in range(4) for other in range(one, 4))
    return Sums(units=random.randrange(10**8, 10**9), totals=totals, products=products)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
