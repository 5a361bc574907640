"""examples/gitops/argocd/health.lua, run by the Lua version that Argo CD's interpreter speaks, on statuses that the operator writes."""

from typing import Any

import pytest
import yaml
from lupa import lua51  # type: ignore[import-untyped]

from slipway_operator.api.v1alpha1.experiment import DecisionStatus, ExperimentSpec, ExperimentStatus
from slipway_operator.reconcile import failure, modeldeployment
from slipway_operator.reconcile.experiment import plan as experiment_plan
from slipway_operator.state import experiment as experiments
from slipway_operator.state.experiment import Rival
from slipway_operator.state.observed import Failure, Observed, Routers, Workload
from slipway_testing import builders
from slipway_testing.golden import REPOSITORY

SCRIPT = (REPOSITORY / "examples/gitops/argocd/health.lua").read_text()
OLD = builders.revision()
NEW = builders.spec(uri="pvc://models/digits/2")


def health(live: dict[str, Any]) -> tuple[str, str]:
    """What Argo CD shows for an object."""
    lua = lua51.LuaRuntime()
    lua.globals().obj = lua.table_from(live, recursive=True)
    found = lua.execute(SCRIPT)
    return found["status"], found["message"]


def live(observed: Observed, *, suspend: bool = False) -> dict[str, Any]:
    """The object after a pass over what was observed."""
    status = modeldeployment.plan(observed).status
    assert status is not None
    return {
        "metadata": {"generation": observed.identity.generation},
        "spec": {"suspend": suspend},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def updating(**changes: Any) -> Observed:
    """One revision serves and the spec asks for another one."""
    serving = {
        "spec": NEW,
        "revisions": (OLD,),
        "workloads": {OLD.name: builders.running()},
        "selected": OLD.name,
        "endpoints": {OLD.name: 1},
        "status": builders.status(builders.entry(OLD, "Stable", since=builders.long_ago())),
    }
    return builders.observed(**(serving | changes))


def broken(reason: str) -> Observed:
    """The new revision has pods that do not get ready."""
    candidate = builders.revision(NEW, number=2)
    workload = Workload(settled=True, replicas=1, failures=(Failure(reason=reason, message="the cause"),))
    return updating(revisions=(candidate, OLD), workloads={OLD.name: builders.running(), candidate.name: workload})


def test_what_the_operator_has_not_seen_yet_is_progressing() -> None:
    assert health({"metadata": {"generation": 1}, "spec": {}}) == ("Progressing", "Waiting for the operator.")


def test_what_serves_as_the_spec_asks_is_healthy() -> None:
    assert health(live(updating(spec=builders.spec()))) == ("Healthy", f"Revision {OLD.name} answers for pvc://models/digits/1.")


def test_a_status_of_an_earlier_spec_is_progressing() -> None:
    seen = live(updating(spec=builders.spec()))

    assert health(seen | {"metadata": {"generation": 2}})[0] == "Progressing"


def test_an_update_under_way_is_progressing() -> None:
    assert health(live(updating()))[0] == "Progressing"


def test_a_model_that_does_not_load_is_degraded_with_its_cause() -> None:
    status, message = health(live(broken("ModelLoadFailed")))

    assert status == "Degraded"
    assert "the cause. Revision" in message


def test_a_pod_that_waits_for_a_node_is_progressing() -> None:
    assert health(live(broken("Unschedulable")))[0] == "Progressing"


def test_a_suspended_object_is_suspended_with_what_waits() -> None:
    suspended = updating(spec=builders.spec(uri="pvc://models/digits/2", suspend=True))

    status, message = health(live(suspended, suspend=True))

    assert status == "Suspended"
    assert message.endswith(f"{OLD.name} goes on serving.")


@pytest.mark.parametrize(("reason", "expected"), [("NameTaken", "Degraded"), ("ApiUnavailable", "Progressing")])
def test_a_pass_that_failed_is_degraded_only_when_somebody_must_act(reason: str, expected: str) -> None:
    observed = updating(identity=builders.identity(generation=2))
    status = failure.status_after(observed, reason=reason, message="the cause.")
    seen = {"metadata": {"generation": 2}, "spec": {}, "status": status.model_dump(mode="json", by_alias=True, exclude_none=True)}

    assert health(seen) == (expected, "the cause.")


ROUTED = updating(spec=builders.spec(), routers=Routers(name="slipway-router"))


def experiment(*, target: Observed | None = ROUTED, rivals: tuple[Rival, ...] = (), suspend: bool = False, **status: Any) -> tuple[str, str]:
    """What Argo CD shows for an Experiment after a pass over it."""
    manifest = yaml.safe_load((REPOSITORY / "docs/spec/experiment.yaml").read_text())
    observed = experiments.Observed(
        identity=builders.identity(name="ranker-v8"),
        created="2026-11-24T10:00:00Z",
        spec=ExperimentSpec.model_validate(manifest["spec"] | {"suspend": suspend}),
        status=ExperimentStatus(**status),
        target=target,
        rivals=rivals,
        now=builders.NOW,
    )
    told = experiment_plan.plan(observed).status
    assert told is not None
    written = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    return health({"metadata": {"generation": observed.identity.generation}, "spec": {"suspend": suspend}, "status": written})


def test_an_experiment_without_a_target_is_progressing() -> None:
    assert experiment(target=None) == ("Progressing", "There is no ModelDeployment ranker in namespace shop: apply it.")


def test_an_experiment_that_is_queued_is_suspended_and_says_behind_whom() -> None:
    earlier = Rival(name="ranker-v7", uid="uid-0", created="2026-11-24T09:00:00Z", admitted_at="2026-11-24T09:00:01Z", over=False, suspended=False)

    status, message = experiment(rivals=(earlier,))

    assert status == "Suspended"
    assert message.startswith("Experiment ranker-v7 has the units of ModelDeployment ranker")


def test_a_suspended_experiment_is_suspended() -> None:
    assert experiment(suspend=True) == ("Suspended", "spec.suspend is set: control serves everybody, and nothing is decided.")


def test_an_experiment_that_is_over_is_healthy() -> None:
    over = DecisionStatus(action="Promote", arm="v8", at="2026-11-24T11:30:00Z", message="Arm v8 won at look 7.", done=True)

    assert experiment(decision=over) == ("Healthy", "Arm v8 won at look 7.")


def test_an_experiment_that_cannot_be_carried_out_is_degraded() -> None:
    status, message = experiment(target=updating(spec=builders.spec(), routers=None))

    assert status == "Degraded"
    assert message.startswith("This operator runs without routers")
