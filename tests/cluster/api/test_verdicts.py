"""The API server's side of the tables that tests/unit/operator/cli puts to the validator."""

import json
import re
from collections.abc import Callable

import pytest

from slipway_box.controlplane import ControlPlane
from slipway_operator.api import crd
from slipway_operator.api.v1alpha1.modeldeployment import ModelDeployment
from slipway_testing import verdicts
from slipway_testing.kube import Refused
from slipway_testing.verdicts import Body
from slipway_testing.verdicts import Refused as Case

Create = Callable[[Body], Body]


@pytest.mark.parametrize("case", verdicts.REFUSED, ids=lambda case: case.because)
def test_the_server_refuses_and_names_the_field(case: Case, create: Create) -> None:
    with pytest.raises(Refused) as refusal:
        create(case.body)
    assert re.search(rf'[\s".\[]{re.escape(case.server_field)}(:|"| of type)', str(refusal.value)), refusal.value


@pytest.mark.parametrize("body", verdicts.ACCEPTED.values(), ids=verdicts.ACCEPTED)
def test_the_server_accepts_and_fills_in_the_defaults_of_the_models(body: Body, create: Create) -> None:
    stored = create(body)
    assert ModelDeployment.model_validate({"spec": stored["spec"]}) == ModelDeployment.model_validate({"spec": _without_nulls(body["spec"])})


def test_the_server_stores_the_defaults_written_out(create: Create) -> None:
    assert create(verdicts.valid())["spec"] == verdicts.valid()["spec"] | {
        "serving": {
            "runtime": "slipway-triton",
            "replicas": {"min": 1, "targetCpuUtilizationPercent": 70},
            "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
            "revisionHistoryLimit": 3,
        },
        "traffic": {"limits": {"timeoutMilliseconds": 60_000, "bodyMebibytes": 64, "pendingPerPod": 128}, "router": "Shared"},
        "suspend": False,
    }


def test_the_server_stores_the_defaults_of_a_rollout(create: Create) -> None:
    assert create(verdicts.changed("spec.traffic.rollout", {}))["spec"]["traffic"]["rollout"] == {
        "steps": [{"percent": 1, "holdSeconds": 60}, {"percent": 10, "holdSeconds": 300}, {"percent": 50, "holdSeconds": 300}],
        "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.005"}, {"metric": "LatencyP95", "maxIncreasePercent": 20}],
        "falseRollbackProbability": "0.01",
        "onFailure": "RollBack",
        "progressDeadlineSeconds": 86_400,
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a" * 40, crd.NAME_TOO_LONG), ("7ranker", crd.NAME_NOT_A_SERVICE_NAME), ("ranker.v7", crd.NAME_NOT_A_SERVICE_NAME)],
)
def test_a_bad_name_is_refused_with_a_sentence(name: str, sentence: str, create: Create) -> None:
    with pytest.raises(Refused, match=r"metadata\.name: Invalid value") as refusal:
        create(verdicts.changed("metadata.name", name))
    assert sentence in str(refusal.value)


def test_kubectl_finds_the_kinds_by_short_name_and_by_category(plane: ControlPlane) -> None:
    listed = plane.kubectl("api-resources", "--api-group=slipway.dev", "--categories=slipway", "--no-headers")
    assert [line.split() for line in listed.splitlines()] == [
        ["experiments", "xp", "slipway.dev/v1alpha1", "true", "Experiment"],
        ["modeldeployments", "mdep", "slipway.dev/v1alpha1", "true", "ModelDeployment"],
    ]


@pytest.mark.usefixtures("create")
def test_kubectl_shows_the_columns(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(verdicts.valid()))
    plane.kubectl("patch", "mdep", "ranker", "-n", "shop", "--subresource=status", "--type=merge", "-p", STATUS)
    head, row = plane.kubectl("get", "mdep", "-n", "shop", "--output=wide").splitlines()
    assert head.split() == ["NAME", "READY", "MODEL", "REVISION", "ROLLOUT", "REASON", "URL", "AGE"]
    assert row.split()[:-1] == ["ranker", "True", "pvc://models/digits/1", "ranker-1a2b3c4d", "Serving", "http://ranker.shop.svc"]
    narrow = plane.kubectl("get", "mdep", "-n", "shop").splitlines()[0]
    assert narrow.split() == ["NAME", "READY", "MODEL", "REVISION", "ROLLOUT", "REASON", "AGE"]


def test_kubectl_explains_every_field(plane: ControlPlane) -> None:
    explained = plane.kubectl("explain", "mdep.spec.serving")
    assert "Revisions kept without pods once they no longer serve, to go back to in" in explained
    assert "Default: 3." in explained
    assert "<none>" not in plane.kubectl("explain", "mdep", "--recursive")


def _without_nulls(value: Body) -> Body:
    return {name: _without_nulls(member) if isinstance(member, dict) else member for name, member in value.items() if member is not None}


STATUS = """{"status": {
  "modelUri": "pvc://models/digits/1", "revision": "ranker-1a2b3c4d", "url": "http://ranker.shop.svc", "conditions": [
    {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-11-24T12:00:00Z", "message": "It serves."}]}}"""
