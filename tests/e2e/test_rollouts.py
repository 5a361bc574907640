"""Rollouts with real routers, real models and users who ask all the while."""

import json
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import onnx_models, python_models
from slipway_testing.kube import eventually
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import Users

NAME = "ranker"
STEPS = [{"percent": 10, "holdSeconds": 3, "detect": "0.1"}, {"percent": 50, "holdSeconds": 3, "detect": "0.1"}]
PAUSE_S = 0.01
"""Between two requests of a client: some hundred a second in all. A step takes five blocks of 4 s, whatever the rate."""

ROLLOUT = {"unit": {"header": "x-user-id"}, "rollout": {"steps": STEPS, "guardrails": [{"metric": "ErrorRate", "maxIncrease": "0.02"}]}}


def apply(stage: Stage, *, uri: str, format: str = "onnx", **traffic: Any) -> None:  # noqa: A002 - the field's name
    stage.apply(NAME, uri=uri, format=format, traffic=ROLLOUT | traffic, **DOUBLED)


@pytest.fixture(scope="module")
def serving(stage: Stage) -> str:
    """A revision that serves, and the files of those to come."""
    failing = {"fifth/1/model.py": python_models.failing(share=0.2), "all/1/model.py": python_models.failing(share=1.0)}
    stage.store_all({f"good/{number}/model.onnx": onnx_models.doubled() for number in range(1, 4)} | failing)
    apply(stage, uri="pvc://models/good/1")
    return stage.ready(NAME)


def status(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.live(NAME)["status"]
    return found


def table(stage: Stage) -> dict[str, Any]:
    live = stage.kube.get(resources.CONFIG_MAPS, f"{NAME}-routes", namespace=stage.namespace)
    assert live
    found: dict[str, Any] = json.loads(live["data"]["routes.json"])
    return found


def test_a_good_revision_takes_over_step_by_step_and_nobody_notices(stage: Stage, serving: str) -> None:
    summaries = []
    with Users(stage, NAME, pause_s=PAUSE_S) as users:
        apply(stage, uri="pvc://models/good/2")

        def over() -> bool:
            rollout = status(stage).get("rollout")
            if rollout and rollout["summary"] not in summaries:
                summaries.append(rollout["summary"])
            return bool(stage.condition(NAME)["status"] == "True" and status(stage)["revision"] != serving)

        eventually(over, within_s=180, every_s=0.1)
        second = status(stage)["revision"]
        eventually(lambda: users.answered[second] > 0 and all(seen[-1] == second for seen in users.revisions.values()), within_s=20)

    assert (users.failures, users.errors) == ([], {})
    assert users.returned == {}
    assert all(seen in ([serving, second], [second]) for seen in users.revisions.values())
    assert [summary.split()[0] for summary in summaries] == sorted(summary.split()[0] for summary in summaries)
    assert {summary.split()[1] for summary in summaries} == {"10%", "50%"}


@pytest.mark.parametrize("folder", ["fifth", "all"])
def test_a_bad_revision_goes_back_by_itself(stage: Stage, serving: str, folder: str) -> None:
    before = str(status(stage)["revision"])
    with Users(stage, NAME, pause_s=PAUSE_S) as users:
        apply(stage, uri=f"pvc://models/{folder}/1", format="python")
        eventually(lambda: stage.condition(NAME, "Stalled")["reason"] == "RolledBack", within_s=180, every_s=0.1)
        refused = status(stage)["refused"][0]["revision"]
        mark = users.total
        eventually(lambda: users.total > mark + 2 * users.users, within_s=30)
        unlucky = {user for user, seen in users.revisions.items() if refused in seen}
        assert all(users.revisions[user][-1] == before for user in unlucky)

    assert users.failures == []
    assert set(users.errors) == {refused}
    assert users.errors[refused] < 2_000
    # Who met it was among the first step's users, and nobody else.
    assert 0 < len(unlucky) <= 0.2 * users.users
    assert table(stage)["revisions"] == [{"name": before, "role": "Stable"}]
    assert "of" in stage.condition(NAME)["message"]
    apply(stage, uri="pvc://models/good/2")
    stage.ready(NAME)


def test_people_promote_by_annotation(stage: Stage, serving: str) -> None:
    before = str(status(stage)["revision"])
    apply(stage, uri="pvc://models/good/3")
    with Users(stage, NAME, pause_s=0.05) as users:
        eventually(lambda: status(stage).get("rollout", {}).get("step"), within_s=90)
        stage.run("annotate", "mdep", NAME, "slipway.dev/rollout=promote now", "--overwrite")
        assert stage.ready(NAME) != before
    assert (users.failures, users.errors) == ([], {})
    assert status(stage)["handled"] == "promote now"
