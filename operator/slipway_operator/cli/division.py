"""What ``slipway render`` prints of an Experiment: nothing is created of it, but the ledger is told, and units are divided."""

from collections.abc import Mapping
from typing import Any

from slipway_operator.api.v1alpha1.experiment import WAITING, Experiment, ExperimentSpec
from slipway_operator.cli import validation
from slipway_operator.reconcile.experiment import designs, divisions
from slipway_operator.state.slots import Allocation


def document(body: Mapping[str, Any], *, namespace: str) -> dict[str, Any]:
    """The definition that the ledger gets, and the slots of 10,000 that every group has at each step; ``body`` has been validated."""
    spec = Experiment.model_validate(validation.fields(body)).spec
    metadata = body["metadata"]
    where = metadata.get("namespace") or namespace
    return {
        "experiment": f"{where}/{metadata['name']}",
        "target": f"{where}/{spec.target_ref.name}",
        "seed": divisions.seed(spec, namespace=where, name=metadata["name"]),
        "ledger": designs.definition(spec, settled={}),
        "steps": _first_shares(spec) if spec.mode == "Bandit" else [_step(spec, number) for number in range(len(spec.steps))],
    }


def _step(spec: ExperimentSpec, number: int) -> dict[str, Any]:
    step = spec.steps[number]
    hold = {"holdSeconds": step.hold_seconds} if number + 1 < len(spec.steps) else {}
    found = divisions.allocation(spec, percent=step.percent, out=frozenset())
    return {"percent": step.percent} | hold | {"slots": _slots(spec, found)}


def _first_shares(spec: ExperimentSpec) -> list[dict[str, Any]]:
    """Of a bandit; where they go from there nobody knows beforehand."""
    return [{"slots": _slots(spec, divisions.of_shares(spec, divisions.equal_shares(spec), before=None, out=frozenset()))}]


def _slots(spec: ExperimentSpec, found: Allocation) -> dict[str, int]:
    return {group: count for group in (*(arm.name for arm in spec.arms), WAITING) if (count := found.count(group))}
