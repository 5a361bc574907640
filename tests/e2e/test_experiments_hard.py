"""Experiments when parts of Slipway are killed, when exposures go missing, and when shares follow what arms earn."""

import http
import itertools
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway_operator.cluster import resources
from slipway_testing import accounts, onnx_models
from slipway_testing.box_experiments import ANALYSIS, TARGET, apply, conversion, over, revision_of, started, status, sums, verdict
from slipway_testing.kube import eventually
from slipway_testing.shoppers import SYSTEM, Shoppers, ledger_address, luck, post
from slipway_testing.stage import DOUBLED, Stage

KILLS = 50
RARELY_S = 1.0
"""Between two kills, about."""

LOST_A_KILL = 400
"""Exposures that a killed router may take with it: a second or two of a few hundred requests a second, which half of the routers carry."""


@pytest.fixture(scope="module", autouse=True)
def control(stage: Stage) -> str:
    """A revision that serves, and the files of those to come."""
    for number in range(1, 5):
        stage.store(f"model/{number}/model.onnx", onnx_models.doubled())
    stage.apply(TARGET, uri="pvc://models/model/1", format="onnx", **DOUBLED)
    return stage.ready(TARGET)


def kill(stage: Stage, chance: random.Random) -> str:
    """End a pod of the operator, of the routers or of the ledger without a word of warning; whose it was."""
    what = chance.choice(["operator", "router", "ledger"])
    namespace, prefix = (stage.namespace, "slipway-router-") if what == "router" else (SYSTEM, f"slipway-{what}-")
    pods = [
        pod["metadata"]["name"]
        for pod in stage.kube.list(resources.PODS, namespace=namespace)
        if pod["metadata"]["name"].startswith(prefix) and "deletionTimestamp" not in pod["metadata"]
    ]
    if what == "router" and sum(ready(stage, pod) for pod in pods) < 2:
        return ""  # with the last one users would notice, and this is about what is counted
    if pods:
        stage.run("delete", "pod", chance.choice(pods), f"--namespace={namespace}", "--grace-period=0", "--force", "--wait=false")
    return what


def ready(stage: Stage, name: str) -> bool:
    pod = stage.kube.get(resources.PODS, name, namespace=stage.namespace)
    found = ((pod or {}).get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in found)


def test_whatever_is_killed_the_sums_are_those_of_what_happened(stage: Stage) -> None:
    chance = random.Random(50)  # noqa: S311
    killed: Counter[str] = Counter()
    apply(stage, "killed", arms={"v2": 2}, analysis=ANALYSIS | {"minDurationSeconds": 600, "maxDurationSeconds": 3600})
    started(stage, "killed")
    arm = revision_of(stage, "killed", "v2")
    buys = conversion(arm, control=0.5, arm=0.5)
    with Shoppers(stage, TARGET, buys=buys, clients=2, pause_s=0.01, patient=True) as shoppers:
        while killed.total() < KILLS:
            what = kill(stage, chance)
            killed[what] += bool(what)
            time.sleep(RARELY_S * chance.random() * 2)
    total = shoppers.answered.total()
    assert total > 2000
    eventually(lambda: sum(units(stage).values()) >= total - killed["router"] * LOST_A_KILL, within_s=60)
    time.sleep(4)  # what comes late comes now
    counted, bought = units(stage), purchases(stage)
    lost = total - sum(counted.values())
    assert 0 <= lost <= killed["router"] * LOST_A_KILL, f"{lost} of {total} were not counted, after {killed}"
    for name, revision in (("control", status(stage, "killed")["target"]["revision"]), ("v2", arm)):
        met = [shopper for shopper, seen in shoppers.revisions.items() if revision in seen]
        expected = sum(luck(shopper) < 0.5 for shopper in met)
        assert counted[name] <= len(met)
        assert expected - lost <= bought[name] <= expected, f"{name}: {bought[name]} bought of {expected}, {lost} shoppers were not counted"
    assert status(stage, "killed")["verdict"] in ("Collecting", "NoPracticalEffect")
    assert [each["name"] for each in status(stage, "killed")["strata"]] == ["1"], "nobody's slots changed hands"
    over(stage, "killed")


def units(stage: Stage) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in sums(stage, "killed")["units"]:
        found[entry["arm"]] += entry["units"]
    return found


def purchases(stage: Stage) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in sums(stage, "killed")["metrics"][0]["sums"]:
        found[entry["arm"]] += int(entry["open"]["totals"][0])
    return found


def test_an_arm_that_loses_exposures_is_seen_and_nothing_is_decided(stage: Stage) -> None:
    """Sixty thousand units of which the arm loses one in twenty, and buys far more often: a win that must not be believed."""
    apply(stage, "lossy", arms={"v3": 3}, analysis=ANALYSIS | {"minUnitsPerArm": 50_000, "minDurationSeconds": 0})
    started(stage, "lossy")
    token = accounts.token(stage.kube, SYSTEM, "slipway-operator")
    address, name = ledger_address(stage), f"{stage.namespace}/{status(stage, 'lossy')['ledgerName']}"
    chance = random.Random(60)  # noqa: S311
    now = datetime.now(UTC) - timedelta(seconds=5)
    arms = [(f"unit-{number}", chance.choice(["control", "v3"])) for number in range(60_000)]
    kept = [(unit, arm) for unit, arm in arms if arm == "control" or chance.random() >= 0.05]
    exposures = [{"experiment": name, "unit": unit, "arm": arm, "stratum": "1", "time": now.isoformat()} for unit, arm in kept]
    outcomes = [
        {"experiment": name, "unit": unit, "metric": "bought", "value": 1, "time": (now + timedelta(seconds=1)).isoformat()}
        for unit, arm in kept
        if chance.random() < (0.5 if arm == "control" else 0.6)
    ]

    def send(path: str, events: list[dict[str, Any]]) -> None:
        while True:
            answered, told = post(address, path, events, token=token)
            if answered not in (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE):
                assert answered == http.HTTPStatus.OK, told
                return
            time.sleep(0.2)

    with ThreadPoolExecutor(4) as threads:
        batches = [("/v1/exposures", exposures[at : at + 2000]) for at in range(0, len(exposures), 2000)]
        list(threads.map(lambda batch: send(*batch), batches))
        list(threads.map(lambda at: send("/v1/outcomes", outcomes[at : at + 2000]), range(0, len(outcomes), 2000)))
    found = verdict(stage, "lossy", "Unhealthy")
    assert found["sampleRatio"]["summary"] == "Mismatch"
    conditions = {condition["type"]: condition for condition in found["conditions"]}
    assert (conditions["Trusted"]["status"], conditions["Ready"]["reason"]) == ("False", "SampleRatioMismatch")
    time.sleep(3)
    assert "decision" not in status(stage, "lossy")
    assert status(stage, "lossy")["units"] == len(kept)
    over(stage, "lossy")


def test_a_bandit_gives_more_units_to_the_arm_that_earns_more_and_keeps_a_floor(stage: Stage) -> None:
    apply(
        stage,
        "bandit",
        arms={"rich": 3, "poor": 4},
        mode="Bandit",
        bandit={"floorPercent": 10, "stepPercent": 20, "updateSeconds": 5},
        analysis=ANALYSIS | {"minDurationSeconds": 400, "maxDurationSeconds": 440, "minUnitsPerArm": 100},
    )
    started(stage, "bandit")
    rich, poor = revision_of(stage, "bandit", "rich"), revision_of(stage, "bandit", "poor")
    rates = {rich: 0.8, poor: 0.45}
    with Shoppers(stage, TARGET, buys=lambda revision: rates.get(revision, 0.5), clients=3) as shoppers:
        eventually(lambda: share(stage, "rich") >= 0.7, within_s=90, every_s=0.5)
    assert shoppers.failures == []
    found = status(stage, "bandit")
    assert share(stage, "poor") >= 0.1
    assert len(found["strata"]) >= 3
    assert found["sampleRatio"]["summary"] == "OK"
    assert all(abs(after - before) <= 2001 for before, after in pairs(found["strata"], "rich")), "no share moves by more than 20 points"
    over(stage, "bandit")


def share(stage: Stage, arm: str) -> float:
    last = status(stage, "bandit")["strata"][-1]
    return next((int(group["slots"]) for group in last["slots"] if group["arm"] == arm), 0) / 10_000


def pairs(strata: list[dict[str, Any]], arm: str) -> list[tuple[int, int]]:
    slots = [next((int(group["slots"]) for group in stratum["slots"] if group["arm"] == arm), 0) for stratum in strata]
    return list(itertools.pairwise(slots))
