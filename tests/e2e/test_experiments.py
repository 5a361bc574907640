"""Experiments as users live them: real routers, a real ledger, and shoppers who ask the real endpoint and buy, or do not."""

import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway_box import clusters, layout, packages
from slipway_operator.cluster import resources
from slipway_statistics.experiment import Design, Joins, Metric, Observed, Step
from slipway_statistics.sums import Sums
from slipway_statistics.verdict import look
from slipway_testing import onnx_models, pages
from slipway_testing.box_experiments import ANALYSIS, PRIMARY, TARGET, apply, conversion, over, revision_of, routed, started, status, sums, verdict
from slipway_testing.kube import eventually
from slipway_testing.shoppers import Shoppers
from slipway_testing.stage import DOUBLED, Stage
from slipway_testing.users import Users


@pytest.fixture(scope="module")
def control(stage: Stage) -> str:
    """A revision that serves, and the files of those to come."""
    stage.store_all({f"model/{number}/model.onnx": onnx_models.doubled() for number in range(1, 9)})
    stage.apply(TARGET, uri="pvc://models/model/1", format="onnx", **DOUBLED)
    return stage.ready(TARGET)


def pods(stage: Stage, revision: str) -> set[str]:
    found = stage.kube.list(resources.PODS, namespace=stage.namespace)
    return {
        pod["metadata"]["name"] for pod in found if pod["metadata"]["name"].startswith(f"{revision}-") and "deletionTimestamp" not in pod["metadata"]
    }


def test_an_arm_that_sells_more_is_promoted_and_no_request_fails(stage: Stage, control: str) -> None:
    apply(stage, "better", arms={"v2": 2})
    started(stage, "better")
    winner = revision_of(stage, "better", "v2")
    with Shoppers(stage, TARGET, buys=conversion(winner, control=0.5, arm=0.6)) as shoppers:
        found = verdict(stage, "better", "Won")
        eventually(lambda: stage.live(TARGET)["status"]["revision"] == winner, within_s=60)
        seen = shoppers.total
        eventually(lambda: shoppers.total > seen + 200)
    assert shoppers.failures == []
    assert found["decision"] | {"at": "", "message": ""} == {"action": "Promote", "arm": "v2", "at": "", "message": "", "done": True}
    assert float(found["arms"][1]["metrics"][0]["lower"]) > 0
    behind = stage.condition(TARGET, "SpecBehind")
    assert (behind["status"], "pvc://models/model/2" in behind["message"]) == ("True", True)
    assert stage.live(TARGET)["spec"]["model"]["uri"] == "pvc://models/model/1"


def test_every_verdict_follows_from_what_the_ledger_kept_of_its_look(stage: Stage, control: str) -> None:
    """By the command line, through the API server, with nothing but a kubeconfig."""
    found = slipway("experiment", "replay", "better", "--namespace", stage.namespace)
    assert re.search(r"all \d+ verdicts are the same", found), found
    told = slipway("experiment", "status", "better", "--namespace", stage.namespace)
    assert "Won" in told
    page = slipway("experiment", "report", "better", "--namespace", stage.namespace, "-o", "-")
    assert "<svg" in page
    assert "v2" in page


def slipway(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(layout.REPOSITORY / "operator"), "KUBECONFIG": str(clusters.chosen().kubeconfig())}
    done = subprocess.run([sys.executable, "-m", "slipway_operator.cli", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_writing_the_winner_to_the_spec_restarts_nothing(stage: Stage, control: str) -> None:
    winner = stage.live(TARGET)["status"]["revision"]
    before = pods(stage, winner)
    stage.apply(TARGET, uri="pvc://models/model/2", format="onnx", **DOUBLED)
    eventually(lambda: stage.condition(TARGET, "SpecBehind")["status"] == "False", within_s=30)
    assert stage.ready(TARGET) == winner
    assert pods(stage, winner) == before


def test_two_arms_that_are_alike_run_their_course_and_nothing_is_decided_for_either(stage: Stage, control: str) -> None:
    serving = stage.live(TARGET)["status"]["revision"]
    apply(
        stage,
        "alike",
        arms={"v3": 3},
        metrics=[PRIMARY | {"minimumEffect": {"relativePercent": "1"}}],
        analysis=ANALYSIS | {"maxDurationSeconds": 25},
    )
    started(stage, "alike")
    with Shoppers(stage, TARGET, buys=lambda revision: 0.5) as shoppers:
        eventually(lambda: "decision" in status(stage, "alike"), within_s=60, every_s=0.25)
        found = verdict(stage, "alike", "Inconclusive")
        eventually(lambda: status(stage, "alike")["decision"]["done"], within_s=20)
    assert shoppers.failures == []
    assert (found["decision"]["action"], found["sampleRatio"]["summary"]) == ("KeepControl", "OK")
    assert stage.live(TARGET)["status"]["revision"] == serving
    assert "exposures" not in routed(stage)


@pytest.mark.parametrize(("name", "number", "rate"), [("half", 4, 0.25), ("dead", 5, 0.0)])
def test_a_harmful_arm_loses_its_units_after_about_as_many_as_a_simulation_says(
    stage: Stage, control: str, name: str, number: int, rate: float
) -> None:
    apply(stage, name, arms={"worse": number})
    started(stage, name)
    worse = revision_of(stage, name, "worse")
    with Shoppers(stage, TARGET, buys=conversion(worse, control=0.5, arm=rate), clients=2, pause_s=0.06) as shoppers:
        found = verdict(stage, name, "RolledBack", "Harmful")
        eventually(lambda: status(stage, name)["decision"]["done"], within_s=20)
        seen = shoppers.answered[worse]
        before = shoppers.total
        eventually(lambda: shoppers.total > before + 50)
    assert shoppers.failures == []
    assert shoppers.answered[worse] <= seen + 2, "a request or two that were under way"
    assert found["decision"]["action"] == "RollBack"
    expected = simulated(control=0.5, arm=rate)
    assert seen <= 2 * expected + 150, f"{seen} units met it, {expected} in the simulation; 150 are ten seconds of telling, looking and acting"


def simulated(*, control: float, arm: float, runs: int = 200) -> float:
    """Median of the units of an arm at which harm is called, with a look after every 25 of each."""
    chance = random.Random(8)  # noqa: S311
    primary = Metric(name="bought", kind="Proportion", role="Primary", planned_units_per_arm=1600, minimum_effect=0.05)
    design = Design(arms=("control", "arm"), metrics=(primary,))

    def stopped_after() -> int:
        seen = {"control": [0, 0], "arm": [0, 0]}
        for looked in range(1, 400):
            for name, rate in (("control", control), ("arm", arm)):
                seen[name][0] += 25
                seen[name][1] += sum(chance.random() < rate for _ in range(25))
            found = {name: {"1": of(units, bought)} for name, (units, bought) in seen.items()}
            observed = Observed(
                elapsed_s=looked,
                steps=(Step(name="1", slots={"control": 5000, "arm": 5000}, units={name: units for name, (units, _) in seen.items()}),),
                closed={"bought": found},
                open={"bought": found},
                joins=Joins(units=50 * looked, in_two_arms=0),
            )
            if look(design, observed).verdict == "Harmful":
                return 25 * looked
        return 10_000

    return statistics.median(stopped_after() for _ in range(runs))


def of(units: int, bought: int) -> Sums:
    return Sums(units=units, totals=(bought, 0), products=(bought, 0, 0))


def test_without_outcomes_nothing_moves(stage: Stage, control: str) -> None:
    apply(stage, "silent", arms={"v6": 6}, ramp=[{"percent": 10, "holdSeconds": 1}, {"percent": 50}])
    started(stage, "silent")
    with Shoppers(stage, TARGET, buys=None) as shoppers:
        eventually(lambda: status(stage, "silent").get("units", 0) > 1500, within_s=60)
        found = status(stage, "silent")
    assert shoppers.failures == []
    assert (found["verdict"], found["traffic"]["step"], found["traffic"]["percent"]) == ("InsufficientData", 1, 10)
    assert "decision" not in found
    over(stage, "silent")


def test_on_a_ramp_nobody_changes_arm_and_a_season_that_changes_deceives_only_who_throws_units_together(stage: Stage, control: str) -> None:
    """Arms that are alike, on a ramp, while everybody begins to buy four times as often: they have most of their units in the high season."""
    serving = stage.live(TARGET)["status"]["revision"]
    ramp = [{"percent": 2, "holdSeconds": 2}, {"percent": 20, "holdSeconds": 2}, {"percent": 50}]
    apply(stage, "ramp", arms={"a": 6, "b": 7}, ramp=ramp, analysis=ANALYSIS | {"minDurationSeconds": 600})
    started(stage, "ramp")
    revisions = {arm: revision_of(stage, "ramp", arm) for arm in ("a", "b")}
    season = {"rate": 0.2}
    with (
        Users(stage, TARGET, users=3000, clients=3, pause_s=0.004) as users,
        Shoppers(stage, TARGET, buys=lambda _: season["rate"], clients=3, delay_s=1.0) as shoppers,
    ):
        eventually(lambda: status(stage, "ramp")["traffic"]["step"] == 3, within_s=120, every_s=0.25)
        season["rate"] = 0.8
        asked, shopped = users.total, shoppers.total
        eventually(lambda: users.total > asked + 6000 and shoppers.total > shopped + 3000, within_s=90)
    time.sleep(4)  # the last exposures, and the last windows
    found, told = status(stage, "ramp"), sums(stage, "ramp")
    assert (users.failures, users.errors, shoppers.failures) == ([], {}, [])
    for user, seen in users.revisions.items():
        assert len(set(seen) & set(revisions.values())) <= 1, f"{user} met {seen}"
        assert seen in ([serving], seen[-1:], [serving, seen[-1]]), f"{user} went from an arm back to control: {seen}"
    assert any(len(seen) > 1 for seen in users.revisions.values()), "somebody who waited got an arm"
    assert [(each["step"], sum(group["slots"] for group in each["slots"])) for each in found["strata"]] == [(1, 5200), (2, 7000), (3, 10_000)]
    assert (found["sampleRatio"]["summary"], told["counts"]["notCounted"] > 0) == ("OK", True)
    bought = {arm: added_up(told, arm, "open")[1] for arm in revisions}
    assert bought == {arm: shoppers.bought[revision] for arm, revision in revisions.items()}, (
        "whenever it is told, it counts for the arm that was met"
    )
    for arm in found["arms"][1:]:
        units, closed = added_up(told, arm["name"], "closed")
        control_units, control_closed = added_up(told, "control", "closed")
        stratified = arm["metrics"][0]
        assert closed / units - control_closed / control_units > 0.1, "thrown together, an arm that is alike looks far better"
        assert float(stratified["lower"]) < 0 < float(stratified["upper"])
        assert abs(float(stratified["estimate"])) < 0.1
    over(stage, "ramp")


def added_up(told: dict[str, Any], arm: str, phase: str) -> tuple[int, int]:
    """Units and purchases of an arm, all strata thrown together."""
    groups = [entry[phase] for entry in told["metrics"][0]["sums"] if entry["arm"] == arm]
    return sum(int(group["units"]) for group in groups), sum(int(group["totals"][0]) for group in groups)


@pytest.fixture
def reader(stage: Stage, tmp_path: Path) -> Callable[[str], str]:
    """Types a block of a page, with a kubeconfig whose namespace is the stage's; what it printed."""
    packages.need("curl", usual_s=5)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(clusters.chosen().kubeconfig().read_bytes())
    kubectl = (*stage.kubectl, f"--kubeconfig={kubeconfig}")
    subprocess.run([*kubectl, "config", "set-context", "--current", f"--namespace={stage.namespace}"], check=True, capture_output=True)
    (tmp_path / "bin").mkdir()
    pages.write_tools(tmp_path / "bin", kubectl=kubectl, namespace=stage.namespace)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig)}

    def types(block: str) -> str:
        asked = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return types


def typed(guide: str, *having: str) -> list[str]:
    """Of each of these texts, the block of a guide that has it: there is one."""
    found = pages.commands(layout.REPOSITORY / "docs/guides" / guide)
    chosen = [[block for block in found if text in block] for text in having]
    assert [len(blocks) for blocks in chosen] == [1] * len(having)
    return [blocks[0] for blocks in chosen]


def test_what_the_guide_and_the_runbook_type_works_as_it_stands(stage: Stage, control: str, reader: Callable[[str], str]) -> None:
    """On an experiment that is called as theirs: while it runs, when its arm is promoted, when that is undone, and when it is gone."""
    look, behind = typed("experiments.md", "slipway experiment report", "SpecBehind")
    questions, kept, routers = typed("experiments-runbook.md", "{.status.verdict}", "sums.json", "proxy/metrics")
    ledger, arms, undo, forget = typed("experiments-runbook.md", "logs slipway-ledger-0", "{range .status.revisions", "'discard 1'", "-X DELETE")
    before = stage.live(TARGET)["status"]["revision"]
    apply(stage, "ranker-v8", arms={"v8": 8}, analysis=ANALYSIS | {"minDurationSeconds": 300})
    started(stage, "ranker-v8")
    with Shoppers(stage, TARGET, buys=lambda _: 0.5, clients=2) as shoppers:
        verdict(stage, "ranker-v8", "Collecting")
        name, arm = status(stage, "ranker-v8")["ledgerName"], revision_of(stage, "ranker-v8", "v8")
        assert "ranker-v8.html: " in reader(look)
        assert re.match(r"Collecting MinDuration\n(.|\n)*^Ready True Running: ", reader(questions), re.MULTILINE)
        assert re.search(r"^stratum 1 v8 \d+$", reader(kept), re.MULTILINE)
        assert reader(routers).count("slipway_router_exposures_lost_total 0") == 2
        assert "slipway-ledger-0" in reader(ledger)
        assert f"{arm} Arm pvc://models/model/8\n" in reader(arms)
        reader("kubectl annotate xp ranker-v8 slipway.dev/experiment='promote v8' --overwrite")
        eventually(lambda: "write spec.model.uri: pvc://models/model/8 to" in reader(behind), within_s=30)
        eventually(lambda: stage.live(TARGET)["status"]["revision"] == arm, within_s=30)
        reader(undo)
        eventually(lambda: stage.live(TARGET)["status"]["revision"] == before, within_s=60)
    assert shoppers.failures == []
    over(stage, "ranker-v8")
    assert f'"{stage.namespace}/{name}"' in reader(forget.replace("shop/ranker-v7-0a1b2c3d", f"{stage.namespace}/{name}"))


def test_suspending_and_deleting_give_all_units_back_and_who_waits_follows(stage: Stage, control: str) -> None:
    serving = stage.live(TARGET)["status"]["revision"]
    apply(stage, "first", arms={"v6": 6})
    started(stage, "first")
    apply(stage, "second", arms={"v7": 7})
    eventually(lambda: status(stage, "second").get("reason") == "Queued", within_s=20)
    with Shoppers(stage, TARGET, buys=lambda _: 0.5, clients=2) as shoppers:
        stage.run("patch", "experiment", "first", "--type=merge", "-p", '{"spec": {"suspend": true}}')
        eventually(lambda: "exposures" not in routed(stage), within_s=20)
        time.sleep(1)
        elsewhere = {revision: count for revision, count in shoppers.answered.items() if revision != serving}
        time.sleep(1)
        assert {revision: count for revision, count in shoppers.answered.items() if revision != serving} == elsewhere
        stage.run("patch", "experiment", "first", "--type=merge", "-p", '{"spec": {"suspend": false}}')
        eventually(lambda: routed(stage).get("exposures", {}).get("arms") == ["control", "v6"], within_s=20)
        stage.run("delete", "experiment", "first")
        eventually(lambda: routed(stage).get("exposures", {}).get("arms") == ["control", "v7"], within_s=60)
    assert shoppers.failures == []
    over(stage, "second")
