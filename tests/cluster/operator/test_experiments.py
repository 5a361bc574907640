"""The life of an Experiment with the real API server, the real KServe and a real ledger; pods and routers are played."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.harness import ADMIN, Ledger, at
from slipway_box import environments, ports
from slipway_operator import metrics
from slipway_operator.api import metadata
from slipway_operator.cli.experiment import looks, replay
from slipway_operator.cluster import resources
from slipway_operator.controller import registrations
from slipway_testing import builders, calm, trials
from slipway_testing.kube import Kube, eventually, steady
from slipway_testing.operators import OperatorProcess, RunningOperator
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
    """Units of both arms whose windows have closed, and how many of them bought.

    Outcomes go first, and exposures of both arms together: a look in between must not find an arm without any.
    """
    arms = {"control": control, "v2": v2}
    service, name = f"{trial.shop.namespace}/digits", trial.ledger_name
    for arm, (_, bought) in arms.items():
        ledger.observe(*trials.outcomes(service, arm, bought, at=at(-990), stratum=stratum))
    ledger.expose(*(one for arm, (units, _) in arms.items() for one in trials.exposures(name, arm, units, at=at(-1000), stratum=stratum)))


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


def test_one_that_is_changed_when_units_have_met_its_arm_begins_anew_and_counts_none_of_them(trial: Trial, ledger: Ledger, kube: Kube) -> None:
    """The ledger takes no other definition of a name that has data."""
    trial.apply()
    trial.shop.roll_out(trial.revision())
    with FakeRouter(kube, trial.shop.namespace, "slipway-router-2") as late:
        eventually(trial.shop.ready)
        late.freeze()
        eventually(lambda: trial.groups() == {"control": 5_000, "v2": 5_000})
        feed(ledger, trial, control=(50, 10), v2=(50, 10))

        trial.apply(metrics=[trials.PRIMARY | {"windowSeconds": 61}])

        eventually(lambda: trial.groups() == {})
        late.thaw()
        eventually(lambda: "startedAt" in trial.status())
    first, name = trial.ledger_name, f"{trial.shop.namespace}/{trial.status()['ledgerName']}"
    states = {entry["name"]: entry["state"] for entry in ledger.get("/v1/experiments").said["experiments"]}
    assert (states[first], states[name]) == ("Ended", "Running")
    assert trial.shop.table()["exposures"]["experiment"] == name
    assert ledger.get(f"/v1/experiments/{name}/sums").said["metrics"][0]["name"] == "bought"
    assert eventually(lambda: trial.reason("Ready") == "Running")
    assert trial.status().get("units", 0) == 0


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


def test_a_winner_takes_over_when_it_has_pods_for_everybody(kube: Kube, shop: Shop, experimenter: RunningOperator, ledger: Ledger) -> None:
    def pods(revision: str) -> int:
        return int(shop.deployment(revision)["spec"].get("replicas", 1))

    with FakeRouter(kube, shop.namespace):
        shop.apply(uri=ONE, serving={"replicas": {"min": 2}})
        stable = shop.candidate()
        eventually(lambda: pods(stable) == 2)
        shop.roll_out(stable)
        eventually(shop.ready)
        trial = Trial(shop)
        trial.apply()
        winner = trial.revision()
        assert steady(lambda: pods(winner), for_s=0.5) == 1, "half of the units are half of two pods"
        trial.serve()

        feed(ledger, trial, control=(1000, 200), v2=(1000, 400))

        eventually(lambda: pods(winner) == 2)
        assert shop.status()["revision"] == stable
        shop.roll_out(winner)
        eventually(lambda: trial.status().get("verdict") == "Won")
        eventually(lambda: undivided(trial, revision=winner))


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


@pytest.mark.usefixtures("experimenter")
def test_an_arm_that_dies_between_two_looks_is_gone_long_before_the_next(kube: Kube, shop: Shop, ledger: Ledger) -> None:
    """Looks are half a minute apart; what routers count is read all the while, and nothing is written as long as it is well."""
    trial = Trial(shop)

    def seen() -> tuple[object, ...]:
        return writes(), trial.live()["metadata"]["resourceVersion"], ledger.metric('requests_total{code="200",path="sums"}')

    with FakeRouter(kube, shop.namespace) as router:
        stable = shop.serve_through_routers(uri=ONE)
        trial.apply(metrics=[trials.PRIMARY, trials.ERRORS], analysis=trials.SOON | {"intervalSeconds": 30})
        dead = trial.serve()
        eventually(lambda: "look" in trial.status())
        assert trial.status()["verdict"] == "InsufficientData"
        eventually(lambda: steady(seen, for_s=2))
        asked = router.asked
        steady(seen, for_s=5)
        assert router.asked >= asked + 2

        router.bad = {dead: 1.0}

        eventually(lambda: undivided(trial, revision=stable), within_s=10)
        eventually(lambda: trial.status().get("verdict") == "RolledBack")
    kept = ledger.get(f"/v1/experiments/{trial.ledger_name}/looks").said["looks"]
    assert kept[-1]["decision"] == {"action": "RollBack", "arm": None}
    assert kept[-1]["observed"]["routed"]["error-rate"]["v2"]["candidateRate"] == pytest.approx(1.0)
    assert replay.replay([looks.parse(body, where="the ledger") for body in kept]).differences == ()


@pytest.mark.usefixtures("experimenter")
def test_a_dead_arm_does_not_wait_for_a_router_that_hangs(kube: Kube, shop: Shop) -> None:
    """The step has not begun, since one router does not follow it; users of the other meet the arm all the same."""
    trial = Trial(shop)
    with FakeRouter(kube, shop.namespace) as router:
        stable = shop.serve_through_routers(uri=ONE)
        trial.apply(metrics=[trials.PRIMARY, trials.ERRORS], analysis=trials.SOON | {"intervalSeconds": 30})
        dead = trial.revision()
        with FakeRouter(kube, shop.namespace, "slipway-router-2") as hangs:
            eventually(shop.ready)
            hangs.freeze()
            shop.roll_out(dead)
            eventually(lambda: trial.groups() != {})
            router.bad = hangs.bad = {dead: 1.0}
            eventually(lambda: undivided(trial, revision=stable), within_s=10)
            assert "startedAt" not in trial.status()
            assert trial.status()["decision"]["action"] == "RollBack"
            hangs.thaw()
            eventually(lambda: trial.status().get("verdict") == "RolledBack")


def test_suspending_and_deleting_give_every_unit_back_at_once(trial: Trial) -> None:
    stable = trial.shop.status()["revision"]
    trial.apply()
    trial.serve()
    divided = trial.shop.table()["slots"]

    trial.suspend(True)
    eventually(lambda: undivided(trial, revision=stable), within_s=10)
    eventually(lambda: trial.reason("Admitted") == "Suspended")
    trial.suspend(False)
    eventually(lambda: trial.groups() != {})
    assert trial.shop.table()["slots"] == divided, "the same units meet the same arms"
    eventually(lambda: trial.reason("Admitted") == "Dividing")

    trial.delete()
    eventually(lambda: undivided(trial, revision=stable), within_s=10)
    eventually(trial.shop.ready)


def test_what_people_say_is_heard_by_who_waits_and_by_who_is_suspended(trial: Trial, ledger: Ledger, kube: Kube) -> None:
    second = Trial(trial.shop, "digits-v3")
    trial.apply()
    winner = trial.serve()
    second.apply(uri=THREE)
    eventually(lambda: second.reason("Admitted") == "Queued")

    second.tell("promote v2")
    eventually(lambda: second.reason("Decided") == "CommandRefused")
    assert (second.reason("Admitted"), second.status()["handled"]) == ("Queued", "promote v2")
    assert eventually(lambda: {event["reason"] for event in kube.list(resources.EVENTS, namespace=trial.shop.namespace)} & {"CommandRefused"})
    second.tell("rollback")
    eventually(lambda: second.status().get("verdict") == "RolledBack")
    assert second.reason("Admitted") == "Concluded"
    assert trial.reason("Admitted") == "Dividing", "that one waited for it"

    trial.suspend(True)
    eventually(lambda: trial.reason("Admitted") == "Suspended")
    trial.tell("promote v2")
    eventually(lambda: trial.status().get("verdict") == "Won")
    eventually(lambda: undivided(trial, revision=winner))
    eventually(lambda: trial.shop.status()["promoted"]["arm"] == "v2")
    listed = {entry["name"]: entry["state"] for entry in ledger.get("/v1/experiments").said["experiments"]}
    assert listed[trial.ledger_name] == "Ended"
    assert second.ledger_name not in listed


def test_prometheus_is_told_of_an_experiment_for_as_long_as_it_is_there(trial: Trial, ledger: Ledger, experimenter: RunningOperator) -> None:
    names = {"namespace": trial.shop.namespace, "experiment": trial.name, "model": "digits"}

    def value(metric: str, **labels: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(f"slipway_experiment_{metric}", names | labels)

    trial.apply()
    trial.serve()
    feed(ledger, trial, control=(200, 40), v2=(200, 40))
    eventually(lambda: value("arm_units", arm="v2") == 200)
    assert value("verdict", verdict=trial.status()["verdict"]) == 1
    assert value("condition", condition="Admitted", status="True", reason="Dividing") == 1
    eventually(lambda: 0 <= time.time() - (value("last_look_timestamp_seconds") or 0) < 5)
    assert metrics.REGISTRY.get_sample_value("slipway_experiment_looks_total", {"result": "kept"})

    trial.delete()
    eventually(lambda: value("verdict", verdict="Won") is None)


def test_without_its_ledger_units_stay_and_looks_go_on_when_it_is_back(trial: Trial, ledger: Ledger) -> None:
    trial.apply()
    trial.serve()
    feed(ledger, trial, control=(200, 40), v2=(200, 40))
    eventually(lambda: trial.status().get("units") == 400)
    divided = trial.shop.table()["slots"]

    ledger.kill()
    try:
        eventually(lambda: trial.reason("Recorded") == "LedgerUnavailable")
        assert steady(lambda: trial.shop.table()["slots"], for_s=1) == divided
    finally:
        ledger.start()

    eventually(lambda: trial.reason("Recorded") == "LedgerAnswers")
    feed(ledger, trial, control=(1000, 200), v2=(1000, 400))
    eventually(lambda: trial.status().get("verdict") == "Won")
    kept = ledger.get(f"/v1/experiments/{trial.ledger_name}/looks").said["looks"]
    assert [look["sequence"] for look in kept] == [*range(1, len(kept) + 1)]
    assert kept[-1]["decision"] == {"action": "Promote", "arm": "v2"}


def test_an_operator_that_is_killed_between_any_two_steps_changes_nothing(
    kubeconfig: Path, runtime: None, kube: Kube, shop: Shop, ledger: Ledger
) -> None:
    trial = Trial(shop)
    probe, told = ports.free(2)
    its = {"namespace": shop.namespace, "lease_namespace": shop.namespace}
    with FakeRouter(kube, shop.namespace), OperatorProcess(kubeconfig, probe_port=probe, metrics_port=told, **its, **connected(ledger)) as operator:

        def killed() -> None:
            operator.kill()
            # That a Lease runs out is tested elsewhere.
            kube.merge(resources.LEASES, "slipway-operator", {"spec": {"holderIdentity": ""}}, namespace=shop.namespace)
            operator.start()

        shop.serve_through_routers(uri=ONE)
        trial.apply()
        winner = trial.revision()
        killed()
        shop.roll_out(winner)
        eventually(lambda: "traffic" in trial.status())
        killed()
        eventually(lambda: "startedAt" in trial.status())
        killed()
        feed(ledger, trial, control=(200, 40), v2=(200, 40))
        eventually(lambda: trial.status().get("units") == 400)
        killed()
        feed(ledger, trial, control=(1000, 200), v2=(1000, 400))
        eventually(lambda: "decision" in trial.status())
        killed()
        eventually(lambda: trial.status().get("verdict") == "Won")
        killed()
        eventually(lambda: undivided(trial, revision=winner))
        eventually(shop.ready)

    assert shop.status()["promoted"]["arm"] == "v2"
    assert [stratum["name"] for stratum in trial.status()["strata"]] == ["1"], "units changed hands once"
    kept = ledger.get(f"/v1/experiments/{trial.ledger_name}/looks").said["looks"]
    assert [look["sequence"] for look in kept] == [*range(1, len(kept) + 1)]
    assert [look["decision"] for look in kept if look["decision"]] == [{"action": "Promote", "arm": "v2"}]


def test_what_was_deleted_while_no_operator_ran_ends_at_the_ledger(
    kubeconfig: Path, runtime: None, kube: Kube, shop: Shop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its namesake that came meanwhile is another one, and what somebody registered by hand is nobody's but theirs."""

    def states() -> dict[str, str]:
        listed = ledger.get("/v1/experiments").said["experiments"]
        return {entry["name"]: entry["state"] for entry in listed if entry["name"].startswith(f"{shop.namespace}/")}

    trial, by_hand = Trial(shop), f"{shop.namespace}/checkout"
    arms = {"arms": ["control", "v2"], "metrics": [{"name": "bought", "type": "Proportion", "windowSeconds": 60}]}
    assert ledger.put(f"/v1/experiments/{by_hand}", arms).status == 201
    its = {"namespace": shop.namespace, "lease_namespace": shop.namespace} | connected(ledger)
    with FakeRouter(kube, shop.namespace):
        with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], **its):
            shop.serve_through_routers(uri=ONE)
            trial.apply()
            trial.serve()
        left = trial.ledger_name
        feed(ledger, trial, control=(20, 4), v2=(20, 4))
        trial.delete()
        trial.apply()
        namesake = trial.ledger_name
        monkeypatch.setattr(registrations, "EVERY_S", 0.2)
        monkeypatch.setattr(registrations, "ABSENT_S", 2.0)
        assert states() == {left: "Running", by_hand: "Running"}

        with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], **its):
            eventually(lambda: states().get(left) == "Ended", within_s=30)
            trial.serve()
            assert states() == {left: "Ended", namesake: "Running", by_hand: "Running"}
            assert steady(states, for_s=3)[namesake] == "Running"


TARGETS = tuple(f"letters-{number}" for number in range(5))


def roll_out_all(shop: Shop) -> None:
    """Let whatever pods there are to be get ready."""
    for deployment in shop.kube.list(resources.DEPLOYMENTS, namespace=shop.namespace):
        name = deployment["metadata"]["name"]
        if name.endswith("-predictor") and (deployment.get("status") or {}).get("availableReplicas") != deployment["spec"].get("replicas", 1):
            shop.roll_out(name.removesuffix("-predictor"))


def reasons(kube: Kube, namespace: str, kind: str) -> dict[str, str]:
    """The reason of a condition of every Experiment, by name."""
    found = {}
    for body in kube.list(resources.EXPERIMENTS, namespace=namespace):
        conditions = (body.get("status") or {}).get("conditions", ())
        found[body["metadata"]["name"]] = next((str(one["reason"]) for one in conditions if one["type"] == kind), "")
    return found


def writes() -> float:
    """Requests of this process's operator that change something, the Lease's renewals aside, which are PUTs."""
    samples = (sample for metric in metrics.DEFAULT.rest_client_requests.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total") and sample.labels["method"] in ("PATCH", "POST", "DELETE"))


@pytest.fixture
def experimenter_of_the_shop(kubeconfig: Path, runtime: None, ledger: Ledger, shop: Shop) -> Iterator[RunningOperator]:
    """The same for one namespace: what it writes is about nothing that other tests made."""
    its = {"namespace": shop.namespace, "lease_namespace": shop.namespace}
    with RunningOperator(kubeconfig, probe_port=ports.free(1)[0], **its, **connected(ledger)) as running:
        yield running


@pytest.mark.usefixtures("experimenter_of_the_shop")
def test_fifty_experiments_at_rest_write_nothing(kube: Kube, shop: Shop, ledger: Ledger) -> None:
    """For each of five targets four that are over, one that runs without anybody coming by, and five that wait for it."""
    space = shop.namespace

    def all_are(reason: str, names: set[str]) -> bool:
        roll_out_all(shop)
        told = reasons(kube, space, "Admitted")
        return {name for name in names if told.get(name) != reason} == set()

    with FakeRouter(kube, space):
        for target in TARGETS:
            kube.apply(builders.manifest(name=target, namespace=space, uri=ONE))
            kube.apply(trials.manifest(space, f"{target}-over-0", target=target))
        over = {f"{target}-over-0" for target in TARGETS}
        eventually(lambda: all_are("Dividing", over), within_s=40)
        for name in over:
            kube.merge(resources.EXPERIMENTS, name, {"metadata": {"annotations": {metadata.EXPERIMENT_ANNOTATION: "rollback"}}}, namespace=space)
        eventually(lambda: all_are("Concluded", over))
        for target in TARGETS:
            ended = kube.get(resources.EXPERIMENTS, f"{target}-over-0", namespace=space) or {}
            for number in range(1, 4):
                kube.apply(trials.manifest(space, f"{target}-over-{number}", target=target, suspend=True))
                kube.merge(resources.EXPERIMENTS, f"{target}-over-{number}", {"status": ended["status"]}, namespace=space, subresource="status")
        for target in TARGETS:
            kube.apply(trials.manifest(space, f"{target}-runs", target=target))
        running = {f"{target}-runs" for target in TARGETS}
        eventually(lambda: all_are("Dividing", running), within_s=40)
        for target in TARGETS:
            for number in range(5):
                kube.apply(trials.manifest(space, f"{target}-waits-{number}", target=target))
        eventually(lambda: all_are("Queued", {f"{target}-waits-{number}" for target in TARGETS for number in range(5)}))
        assert len(kube.list(resources.EXPERIMENTS, namespace=space)) == 50
        eventually(lambda: all("look" in (kube.get(resources.EXPERIMENTS, name, namespace=space) or {})["status"] for name in running))
        names = {name: (kube.get(resources.EXPERIMENTS, name, namespace=space) or {})["status"]["ledgerName"] for name in running}

        def seen() -> tuple[object, ...]:
            kept = {name: ledger.get(f"/v1/experiments/{space}/{known}/looks").said["last"] for name, known in names.items()}
            versions = {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in kube.list(resources.EXPERIMENTS, namespace=space)}
            return writes(), kept, versions, calm.versions(kube, space), len(kube.list(resources.EVENTS, namespace=space))

        # The last of what brought them here may still be on its way on a busy machine, Events among it.
        eventually(lambda: steady(seen, for_s=2), within_s=60)
        looked = ledger.metric('requests_total{code="200",path="sums"}')
        steady(seen, for_s=6)
        assert ledger.metric('requests_total{code="200",path="sums"}') >= looked + 3 * len(running), "those that run are looked at all the same"
