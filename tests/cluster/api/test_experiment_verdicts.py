"""The API server's side of the tables of Experiments that tests/unit/operator/cli puts to the validator, and what it lets change."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_operator.api.v1alpha1 import experiment
from slipway_operator.api.v1alpha1.experiment import Experiment
from slipway_operator.cluster import resources
from slipway_testing import experiment_verdicts as verdicts
from slipway_testing.kube import Kube, Refused
from slipway_testing.verdicts import Body
from slipway_testing.verdicts import Refused as Case

Create = Callable[[Body], Body]
STARTED = {"startedAt": "2026-11-29T12:00:00Z"}


@pytest.mark.parametrize("case", verdicts.REFUSED, ids=lambda case: case.because)
def test_the_server_refuses_and_names_the_field(case: Case, create: Create) -> None:
    with pytest.raises(Refused) as refusal:
        create(case.body)
    assert re.search(rf'[\s".\[]{re.escape(case.server_field)}(:|"| of type)', str(refusal.value)), refusal.value


@pytest.mark.parametrize("body", verdicts.ACCEPTED.values(), ids=verdicts.ACCEPTED)
def test_the_server_accepts_and_fills_in_the_defaults_of_the_models(body: Body, create: Create) -> None:
    stored = create(body)
    assert Experiment.model_validate({"spec": stored["spec"]}) == Experiment.model_validate({"spec": _without_nulls(body["spec"])})


def test_the_server_stores_the_defaults_written_out(create: Create) -> None:
    least = verdicts.valid()["spec"]
    assert create(verdicts.valid())["spec"] == least | {
        "mode": "Test",
        "assignment": {"unit": {"header": "x-user-id", "onMissing": "Control"}, "seed": ""},
        "metrics": [verdicts.PRIMARY | {"source": "Outcomes", "direction": "Up"}],
        "analysis": {
            "method": "ConfidenceSequence",
            "alpha": "0.05",
            "power": "0.8",
            "minUnitsPerArm": 1000,
            "minDurationSeconds": 604_800,
            "maxDurationSeconds": 2_419_200,
            "intervalSeconds": 30,
        },
        "decision": {
            "onWin": "Promote",
            "onHarm": "RollBack",
            "onNoEffect": "KeepControl",
            "onInconclusive": "KeepControl",
            "approval": "None",
            "confirmSeconds": 0,
        },
        "suspend": False,
    }


def test_the_server_stores_the_defaults_of_a_bandit(create: Create) -> None:
    assert create(verdicts.bandit(bandit={}))["spec"]["bandit"] == {"floorPercent": 10, "stepPercent": 20, "updateSeconds": 3600}


CHANGES: dict[str, Any] = {
    "targetRef": {"name": "another"},
    "mode": "Bandit",
    "arms": [{"name": "control"}, {"name": "v9", "model": {"uri": "s3://models/ranker/9"}}],
    "assignment": {"unit": {"header": "x-account-id"}},
    "ramp": [{"percent": 30}],
    "metrics": verdicts.beside(),
    "analysis": {"alpha": "0.2"},
    "decision": {"onWin": "KeepControl"},
}


@pytest.fixture
def begun(kube: Kube, plane: ControlPlane, namespace: str) -> Iterator[Body]:
    """A live experiment of the test's own that has begun."""
    made = kube.apply(verdicts.valid() | {"metadata": {"name": "ranker-v8", "namespace": namespace}})
    kube.merge(resources.EXPERIMENTS, "ranker-v8", {"status": STARTED}, namespace=namespace, subresource="status")
    yield made
    kube.delete(resources.EXPERIMENTS, "ranker-v8", namespace=namespace)


@pytest.mark.parametrize("field", CHANGES)
def test_what_an_experiment_is_does_not_change_once_it_has_begun(field: str, begun: Body, kube: Kube) -> None:
    changed = begun["spec"] | {field: CHANGES[field]}
    if field == "mode":
        changed |= {"analysis": verdicts.BANDIT["analysis"]}
    with pytest.raises(Refused, match=re.escape(experiment._IMMUTABLE)) as refusal:
        kube.merge(resources.EXPERIMENTS, "ranker-v8", {"spec": changed}, namespace=begun["metadata"]["namespace"])
    assert refusal.value.status == 422


@pytest.mark.parametrize("field", CHANGES)
def test_it_changes_before(field: str, kube: Kube, namespace: str) -> None:
    body = verdicts.valid() | {"metadata": {"name": "ranker-v8", "namespace": namespace}}
    kube.apply(body)
    more = {"analysis": verdicts.BANDIT["analysis"]} if field == "mode" else {}
    stored = kube.apply(body | {"spec": body["spec"] | more | {field: CHANGES[field]}})
    assert Experiment.model_validate(stored).spec == Experiment.model_validate({"spec": body["spec"] | more | {field: CHANGES[field]}}).spec
    kube.delete(resources.EXPERIMENTS, "ranker-v8", namespace=namespace)


def test_a_field_that_was_left_out_is_not_added_either_and_what_was_there_stays(kube: Kube, namespace: str) -> None:
    kube.apply(verdicts.bandit(bandit={"floorPercent": 20}) | {"metadata": {"name": "shares", "namespace": namespace}})
    kube.merge(resources.EXPERIMENTS, "shares", {"status": STARTED}, namespace=namespace, subresource="status")
    changes: tuple[Body, ...] = ({"bandit": None}, {"bandit": {"floorPercent": 10}}, {"ramp": []})
    for change in changes:
        with pytest.raises(Refused, match=re.escape(experiment._IMMUTABLE)):
            kube.merge(resources.EXPERIMENTS, "shares", {"spec": change}, namespace=namespace)
    kube.delete(resources.EXPERIMENTS, "shares", namespace=namespace)


def test_suspend_labels_annotations_and_the_status_change_while_it_runs(begun: Body, kube: Kube) -> None:
    namespace = begun["metadata"]["namespace"]
    patch = {"metadata": {"labels": {"team": "search"}, "annotations": {"slipway.dev/experiment": "rollback"}}, "spec": {"suspend": True}}
    stored = kube.merge(resources.EXPERIMENTS, "ranker-v8", patch, namespace=namespace)
    assert (stored["spec"]["suspend"], stored["metadata"]["labels"]) == (True, {"team": "search"})
    told = kube.merge(resources.EXPERIMENTS, "ranker-v8", {"status": {"verdict": "Collecting"}}, namespace=namespace, subresource="status")
    assert told["status"] == STARTED | {"verdict": "Collecting"}


def test_kubectl_shows_the_columns(begun: Body, plane: ControlPlane, kube: Kube) -> None:
    namespace = begun["metadata"]["namespace"]
    status = {"verdict": "Winning", "lift": "+4.2%", "units": 48_210, "sampleRatio": {"p": "0.4", "summary": "OK"}, "reason": "TooEarly"}
    kube.merge(resources.EXPERIMENTS, "ranker-v8", {"status": status}, namespace=namespace, subresource="status")
    head, row = plane.kubectl("get", "xp", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "TARGET", "VERDICT", "LIFT", "UNITS", "SRM", "AGE"]
    assert row.split()[:-1] == ["ranker-v8", "ranker", "Winning", "+4.2%", "48210", "OK"]
    assert plane.kubectl("get", "xp", "-n", namespace, "--output=wide").splitlines()[0].split()[6:] == ["REASON", "AGE"]
    assert json.loads(plane.kubectl("get", "slipway", "-n", namespace, "--output=json"))["items"][0]["kind"] == "Experiment"


def test_kubectl_explains_every_field(plane: ControlPlane) -> None:
    explained = plane.kubectl("explain", "xp.spec.metrics")
    assert "capPercentile" in explained
    assert "Primary: what a win and a loss are; exactly one." in explained
    assert "<none>" not in plane.kubectl("explain", "xp", "--recursive")


def _without_nulls(value: Body) -> Body:
    return {name: _without_nulls(member) if isinstance(member, dict) else member for name, member in value.items() if member is not None}
