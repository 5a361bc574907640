"""docs/guides/troubleshooting.md shows messages of experiments as the operator writes them."""

import dataclasses
import re
from typing import Any

import pytest

from slipway_operator.api import conditions
from slipway_operator.api.v1alpha1.condition import Condition
from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.api.v1alpha1.modeldeployment import PromotedStatus
from slipway_operator.reconcile import checks as target_checks
from slipway_operator.reconcile.experiment import checks, plan
from slipway_operator.reconcile.summary import Verdict
from slipway_operator.state import observed as targets
from slipway_operator.state.experiment import Observed, Rival
from slipway_operator.state.observed import Routers
from slipway_operator.state.revision import Revision
from slipway_testing import builders
from slipway_testing.golden import REPOSITORY

PAGE = (REPOSITORY / "docs/guides/troubleshooting.md").read_text()
SERVES = builders.spec(uri="s3://models/ranker/7")
CONTROL = dataclasses.replace(builders.revision(SERVES), name="ranker-a5c55133")
MOVING = "The address is being moved to revision ranker-19d343cf."


def said(reason: str) -> str:
    """What the page shows under a reason, as one line."""
    found = re.search(rf"^### {reason}\n\n```\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no message under {reason}"
    return " ".join(found.group(1).split())


def spec(arm: dict[str, Any]) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "targetRef": {"name": "ranker"},
            "arms": [{"name": "control"}, {"name": "v8", "model": arm}],
            "assignment": {"unit": {"header": "x-user-id"}},
            "metrics": [{"name": "conversion", "role": "Primary", "type": "Proportion", "minimumEffect": {"relativePercent": "5"}}],
        }
    )


def target(revision: Revision = CONTROL, **changes: Any) -> targets.Observed:
    valid: dict[str, Any] = {
        "identity": builders.identity(name="ranker"),
        "spec": SERVES,
        "revisions": (revision,),
        "selected": revision.name,
        "routers": Routers(name="slipway-router"),
    }
    return builders.observed(**(valid | changes))


def experiment(**changes: Any) -> Observed:
    valid: dict[str, Any] = {
        "identity": builders.identity(name="ranker-v8"),
        "created": "2026-11-24T10:00:00Z",
        "spec": spec({"uri": "s3://models/ranker/8"}),
        "target": target(),
        "now": builders.NOW,
    }
    return Observed(**(valid | changes))


def turn(**changes: Any) -> Verdict:
    observed = experiment(**changes)
    assert observed.spec is not None
    return checks.turn(observed, observed.spec)


def moving() -> Verdict:
    told = Condition(type="Ready", status="False", reason="Routing", message=MOVING, last_transition_time="2026-11-24T10:00:00Z")
    return checks.settled(target(status=builders.status(conditions=[told])))


def the_same() -> Verdict:
    """Its revision has the name that the page calls it by."""
    serves = Revision.of(SERVES, owner="ranker", number=1, runtime="slipway-triton-11111111", transformer_image=builders.TRANSFORMER)
    found = checks.accepted(experiment(target=target(serves), spec=spec({"uri": "s3://models/ranker/7"})))
    return dataclasses.replace(found, message=re.sub(r"-[0-9a-f]{8}:", "-a5c55133:", found.message))


def promoted() -> Verdict:
    """Its status True asks for something."""
    known = PromotedStatus.model_validate(
        {
            "experiment": "ranker-v8",
            "experimentUid": "uid",
            "arm": "v8",
            "revision": "ranker-19d343cf",
            "model": builders.model(uri="s3://models/ranker/8"),
            "modelDigest": "0",
            "at": "2026-11-24T10:00:00Z",
            "standing": "Serves",
        }
    )
    return target_checks.spec_behind(known)


def batching() -> targets.Observed:
    """Control's settings say what a repository of Triton's says itself."""
    serves = SERVES.model_validate(SERVES.model_dump() | {"serving": {"batching": {"maxBatchSize": 8}}})
    return target(dataclasses.replace(CONTROL, serving=serves.serving), spec=serves)


def refused() -> Verdict:
    """Of one that waits."""
    made = plan.plan(experiment(rivals=(EARLIER,), command="promote v8")).status
    assert made is not None
    told = next(condition for condition in made.conditions if condition.type == conditions.DECIDED)
    return Verdict(status=told.status, reason=told.reason, message=told.message)


EARLIER = Rival(name="ranker-v7", uid="uid-0", created="2026-11-24T09:00:00Z", admitted_at="2026-11-24T09:00:01Z", over=False, suspended=False)
MESSAGES = {
    conditions.NO_LEDGER: lambda: checks.accepted(experiment(ledger=False)),
    conditions.NO_ROUTERS: lambda: checks.accepted(experiment(target=target(routers=None))),
    conditions.ARM_UNFIT: lambda: checks.accepted(experiment(spec=spec({"uri": "s3://models/ranker/8", "format": "triton"}), target=batching())),
    conditions.ARM_IS_CONTROL: the_same,
    conditions.TARGET_MISSING: lambda: turn(target=None),
    conditions.TARGET_NOT_READY: moving,
    conditions.QUEUED: lambda: turn(rivals=(EARLIER,)),
    conditions.PROMOTED: promoted,
    conditions.COMMAND_REFUSED: refused,
}


@pytest.mark.parametrize("reason", MESSAGES)
def test_a_message_is_as_the_operator_writes_it(reason: str) -> None:
    found = MESSAGES[reason]()

    assert (found.reason, found.message) == (reason, said(reason))
