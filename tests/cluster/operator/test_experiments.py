"""The life of an Experiment with the real API server, the real KServe and a real ledger; pods and routers are played."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.harness import ADMIN, Ledger, at
from slipway_box import environments, ports
from slipway_operator.cluster import resources
from slipway_testing import trials
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import RunningOperator
from slipway_testing.router import FakeRouter
from slipway_testing.shop import Shop
from slipway_testing.trials import Trial

from .conftest import ROUTER_IMAGE

ONE, TWO, THREE = (f"pvc://models/digits/{number}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger for all of them: each test has a namespace of its own."""
    with Ledger(tmp_path_factory.mktemp("ledger"), python=environments.need("ledger-tests") / "bin" / "python") as started:
        yield started


def connected(ledger: Ledger) -> dict[str, Any]:
    """Settings of an operator that has routers and this ledger."""
    token = ledger.folder / "operator-token"
    token.write_text(ADMIN)
    return {"router_image": ROUTER_IMAGE, "ledger_url": f"http://127.0.0.1:{ledger.port}", "ledger_token_file": str(token)}


@pytest.fixture
def experimenter(kubeconfig: Path, runtime: None, ledger: Ledger) -> Iterator[RunningOperator]:
    """A running operator that has routers and a ledger."""
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], **connected(ledger)) as running:
        yield running


@pytest.fixture
def trial(kube: Kube, shop: Shop, experimenter: RunningOperator) -> Iterator[Trial]:
    """An Experiment that nobody has applied yet, on a ModelDeployment that serves."""
    with FakeRouter(kube, shop.namespace):
        shop.serve_through_routers(uri=ONE)
        yield Trial(shop)


def feed(ledger: Ledger, trial: Trial, *, control: tuple[int, int], v2: tuple[int, int], stratum: str = "1") -> None:
    """Units of both arms whose windows have closed, and how many of them bought."""
    for arm, (units, bought) in (("control", control), ("v2", v2)):
        ledger.expose(*trials.exposures(trial, arm, units, at=at(-1000), stratum=stratum))
        ledger.observe(*trials.outcomes(trial, arm, bought, at=at(-990), stratum=stratum))


def undivided(trial: Trial, *, revision: str) -> bool:
    """Whether one revision has every unit and nobody is told of anything."""
    table = trial.shop.table()
    return [run[0] for run in table["slots"]] == [10_000] and table["revisions"][table["slots"][0][1]]["name"] == revision and not trial.groups()


def test_an_experiment_begins_when_its_arms_have_pods_and_every_router_follows(trial: Trial, ledger: Ledger, kube: Kube) -> None:
    trial.apply(ramp=[{"percent": 20}, {"percent": 50}])
    revision = trial.revision()
    eventually(lambda: trial.reason("Admitted") == "Starting")
    assert trial.groups() == {}

    with FakeRouter(kube, trial.shop.namespace, "slipway-router-2") as late:
        eventually(trial.shop.ready)
        late.freeze()
        trial.shop.roll_out(revision)
        # 20 % have v2, the 30 % that the next step takes wait, and 50 % are control from the first step to the last.
        eventually(lambda: trial.groups() == {"control": 5_000, "v2": 2_000, "waiting": 3_000})
        assert not steady(lambda: "startedAt" in trial.status(), for_s=1.5)
        late.thaw()
        eventually(lambda: "startedAt" in trial.status())

    stable = trial.shop.status()["revision"]
    assert (trial.served_by("control"), trial.served_by("v2"), trial.served_by("waiting")) == ({stable}, {revision}, {stable})
    told = trial.shop.table()["exposures"]
    assert (told["experiment"], told["stratum"]) == (trial.ledger_name, "1")
    kept = ledger.get(f"/v1/experiments/{trial.ledger_name}/sums")
    assert [entry["name"] for entry in kept.said["metrics"]] == ["bought"]
    reasons = eventually(lambda: {event["reason"] for event in kube.list(resources.EVENTS, namespace=trial.shop.namespace)} & {"ExperimentStarted"})
    assert reasons
    assert trial.status()["ledgerName"] == trial.ledger_name.partition("/")[2]


def test_a_winner_is_promoted_and_git_may_write_it_without_a_restart(trial: Trial, ledger: Ledger, kube: Kube) -> None:
    trial.apply()
    winner = trial.serve()

    feed(ledger, trial, control=(1000, 200), v2=(1000, 400))

    eventually(lambda: trial.status().get("verdict") == "Won")
    eventually(lambda: undivided(trial, revision=winner))
    eventually(trial.shop.ready)
    status = trial.shop.status()
    assert (status["revision"], status["promoted"]["arm"], status["promoted"]["standing"]) == (winner, "v2", "Serves")
    assert trial.shop.condition("SpecBehind")["status"] == "True"
    assert TWO in trial.shop.condition("SpecBehind")["message"]
    assert trial.shop.digits()["spec"]["model"]["uri"] == ONE, "a spec belongs to people and Git"

    served = kube.get(resources.INFERENCE_SERVICES, winner, namespace=trial.shop.namespace) or {}
    pods = trial.shop.deployment(winner)
    trial.shop.apply(uri=TWO)

    eventually(lambda: all(one["type"] != "SpecBehind" or one["status"] != "True" for one in trial.shop.status()["conditions"]))
    eventually(trial.shop.ready)
    assert trial.shop.status()["revision"] == winner
    assert undivided(trial, revision=winner)
    after = kube.get(resources.INFERENCE_SERVICES, winner, namespace=trial.shop.namespace) or {}
    assert (after["metadata"]["uid"], after["spec"]) == (served["metadata"]["uid"], served["spec"])
    assert trial.shop.deployment(winner)["metadata"]["generation"] == pods["metadata"]["generation"], "its pods are those that were there"


def test_a_harmful_arm_is_gone_and_who_waits_follows(trial: Trial, ledger: Ledger) -> None:
    stable = trial.shop.status()["revision"]
    second = Trial(trial.shop, "digits-v3")
    trial.apply()
    trial.serve()
    second.apply(uri=THREE)
    eventually(lambda: second.reason("Admitted") == "Queued")
    assert trial.name in next(one["message"] for one in second.status()["conditions"] if one["type"] == "Admitted")

    feed(ledger, trial, control=(1000, 300), v2=(1000, 60))

    eventually(lambda: trial.status().get("verdict") == "RolledBack")
    assert trial.status()["decision"]["action"] == "RollBack"
    assert undivided(trial, revision=stable)
    second.serve()
    assert second.served_by("v2") == {second.revision()}
    assert trial.shop.table()["exposures"]["experiment"] == second.ledger_name


def test_suspending_and_deleting_give_every_unit_back_at_once(trial: Trial) -> None:
    stable = trial.shop.status()["revision"]
    trial.apply()
    trial.serve()
    divided = trial.shop.table()["slots"]

    trial.suspend(True)
    eventually(lambda: undivided(trial, revision=stable), within_s=3)
    eventually(lambda: trial.reason("Admitted") == "Suspended")
    trial.suspend(False)
    eventually(lambda: trial.groups() != {})
    assert trial.shop.table()["slots"] == divided, "the same units meet the same arms"
    eventually(lambda: trial.reason("Admitted") == "Dividing")

    trial.delete()
    eventually(lambda: undivided(trial, revision=stable), within_s=3)
    eventually(trial.shop.ready)


def test_without_its_ledger_units_stay_and_looks_go_on_when_it_is_back(trial: Trial, ledger: Ledger) -> None:
    trial.apply()
    trial.serve()
    feed(ledger, trial, control=(200, 40), v2=(200, 40))
    eventually(lambda: trial.status().get("units") == 400)
    divided = trial.shop.table()["slots"]

    ledger.kill()
    eventually(lambda: trial.reason("Recorded") == "LedgerUnavailable")
    assert steady(lambda: trial.shop.table()["slots"], for_s=1) == divided
    ledger.start()

    eventually(lambda: trial.reason("Recorded") == "LedgerAnswers")
    feed(ledger, trial, control=(1000, 200), v2=(1000, 400))
    eventually(lambda: trial.status().get("verdict") == "Won")
    looks = ledger.get(f"/v1/experiments/{trial.ledger_name}/looks").said["looks"]
    assert [look["sequence"] for look in looks] == [*range(1, len(looks) + 1)]
    assert looks[-1]["decision"] == {"action": "Promote", "arm": "v2"}
