"""The alerts of the operator and of experiments, judged by Prometheus's own promtool over series as the operator exposes them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_box import packages
from slipway_box.layout import REPOSITORY

RULES = REPOSITORY / "kustomize/components/prometheus/alerts.yaml"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as a file of Prometheus's."""
    packages.need("prometheus", usual_s=30)
    written = tmp_path_factory.mktemp("rules") / "rules.yaml"
    written.write_text(yaml.safe_dump({"groups": yaml.safe_load(RULES.read_text())["spec"]["groups"]}))
    return written


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def judge(rules: Path, alert: str, *, series: dict[str, str], at: str, fires: list[dict[str, Any]], every: str = "1m") -> None:
    """Whether ``alert`` fires with these labels and no others after so long, with a sample and an evaluation ``every`` so often."""
    expected = [{"exp_labels": labels, "exp_annotations": annotations(alert, labels)} for labels in fires]
    case = {
        "interval": every,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
    }
    file = rules.with_name(f"{alert}.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": every, "tests": [case]}))
    promtool("test", "rules", str(file))


def annotations(alert: str, labels: dict[str, Any]) -> dict[str, str]:
    """What the alert says about these labels."""
    found: dict[str, str] = next(rule for rule in declared() if rule["alert"] == alert)["annotations"]
    said = dict(found)
    for name, value in labels.items():
        said = {what: text.replace("{{ $labels." + name + " }}", value) for what, text in said.items()}
    return said


def declared() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["spec"]["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules(rules: Path) -> None:
    promtool("check", "rules", str(rules))


def test_every_alert_leads_to_a_section_of_a_page() -> None:
    missing = [rule["alert"] for rule in declared() if not leads_somewhere(rule["annotations"]["runbook"])]

    assert missing == []


def leads_somewhere(runbook: str) -> bool:
    page, _, anchor = runbook.partition("#")
    lines = (REPOSITORY / page).read_text().lower().splitlines()
    return anchor in {line.lstrip("#").strip().replace(" ", "-").replace("`", "") for line in lines if line.startswith("#")}


LEADING = 'leader_election_master_status{name="slipway-operator",pod="%s"}'


@pytest.mark.parametrize(
    ("series", "fires"),
    [
        ({LEADING % "a": "0x10", LEADING % "b": "0x10"}, True),
        ({}, True),
        ({LEADING % "a": "1x10", LEADING % "b": "0x10"}, False),
    ],
    ids=["nobody leads", "nobody is there", "one leads"],
)
def test_an_operator_without_leader_pages(rules: Path, series: dict[str, str], fires: bool) -> None:
    judge(rules, "SlipwayOperatorWithoutLeader", series=series, at="5m", fires=[{"severity": "page"}] if fires else [])


@pytest.mark.parametrize(("silence", "fires"), [("0+60x12", True), ("0 60 5 70 0 60 5 70 0 60 5 70", False)], ids=["for ever", "between bookmarks"])
def test_a_silent_watch_is_told(rules: Path, silence: str, fires: bool) -> None:
    labels = {"pod": "a", "resource": "pods", "severity": "chat"}

    judge(
        rules,
        "SlipwayOperatorWatchSilent",
        series={'slipway_watch_silence_seconds{pod="a",resource="pods"}': silence},
        at="9m",
        fires=[labels] if fires else [],
    )


STUCK = 'workqueue_longest_running_processor_seconds{pod="a",name="%s"}'


@pytest.mark.parametrize("name", ["modeldeployment", "experiment"])
@pytest.mark.parametrize(("age", "fires"), [("0+60x8", True), ("0 40 0 50 0 40 0 20 0", False)], ids=["one pass without end", "passes that end"])
def test_a_stuck_pass_is_told(rules: Path, age: str, fires: bool, name: str) -> None:
    labels = {"pod": "a", "name": name, "severity": "chat"}

    judge(
        rules,
        "SlipwayOperatorQueueStuck",
        series={STUCK % name: age},
        at="6m",
        fires=[labels] if fires else [],
    )


@pytest.mark.parametrize(("depth", "fires"), [("500x30", True), ("500x5 0x25", False)], ids=["for half an hour", "for a start-up"])
def test_a_deep_queue_is_told(rules: Path, depth: str, fires: bool) -> None:
    judge(
        rules,
        "SlipwayOperatorQueueDeep",
        series={'workqueue_depth{pod="a",name="modeldeployment"}': depth},
        at="20m",
        fires=[{"pod": "a", "severity": "chat"}] if fires else [],
    )


@pytest.mark.parametrize(("failed", "fires"), [("0+60x40", True), ("0+6x40", False)], ids=["most", "a few"])
def test_failing_passes_are_told(rules: Path, failed: str, fires: bool) -> None:
    series = {
        'controller_runtime_reconcile_errors_total{pod="a",controller="modeldeployment"}': failed,
        'controller_runtime_reconcile_total{pod="a",controller="modeldeployment",result="error"}': failed,
        'controller_runtime_reconcile_total{pod="a",controller="modeldeployment",result="success"}': "0+30x40",
    }

    judge(rules, "SlipwayOperatorErrors", series=series, at="35m", fires=[{"severity": "chat"}] if fires else [])


def test_a_fight_is_told_with_the_kind(rules: Path) -> None:
    series = {'slipway_applies_total{pod="a",kind="Service",result="fight"}': "0 0 1 1 1 1"}

    judge(rules, "SlipwayOperatorFight", series=series, at="5m", fires=[{"kind": "Service", "severity": "chat"}])


def named(**labels: str) -> dict[str, str]:
    """Labels of experiment shop/v8 on ModelDeployment shop/ranker, and these."""
    return {"namespace": "shop", "experiment": "v8", "model": "ranker"} | labels


def series(metric: str, **labels: str) -> str:
    """A series of that experiment, from the pod that leads."""
    pairs = ",".join(f'{name}="{value}"' for name, value in (named(pod="a") | labels).items())
    return f"slipway_experiment_{metric}{{{pairs}}}"


def told(rules: Path, alert: str, fires: bool, *, of: dict[str, str], at: str, severity: str, **labels: str) -> None:
    """Whether the alert fires about that experiment; those of the digest see a sample every four minutes."""
    every = "4m" if severity == "digest" else "1m"
    judge(rules, alert, series=of, at=at, fires=[named(severity=severity, **labels)] if fires else [], every=every)


HARMFUL, SHARE, STOPPED = (series(metric, arm="b") for metric in ("arm_harmful", "arm_share_ratio", "arm_stopped_timestamp_seconds"))
ROUTING = series("condition", condition="Admitted", status="False", reason="Routing")
UNRECORDED = series("condition", condition="Recorded", status="False", reason="LedgerUnavailable")
PROMOTED = series("decided_timestamp_seconds", action="Promote")


@pytest.mark.parametrize(
    ("of", "fires"),
    [
        ({HARMFUL: "0 1x15", SHARE: "0.5x16"}, True),
        ({HARMFUL: "0 1x15", SHARE: "0.5 0.5 0x14"}, False),
        ({HARMFUL: "0 1 1 0x13", SHARE: "0.5x16"}, False),
        ({HARMFUL: "0 1x15", SHARE: "0.5 _x15"}, False),
    ],
    ids=["held", "stopped", "taken back by the next look", "suspended"],
)
def test_a_harmful_arm_that_keeps_its_users_pages(rules: Path, of: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentHarmHeld", fires, of=of, at="10m", severity="page", arm="b")


@pytest.mark.parametrize(
    ("of", "fires"),
    [
        ({STOPPED: "_ 60x15", ROUTING: "_ 1x15"}, True),
        ({STOPPED: "_ 60x15", ROUTING: "_ 1 _x14"}, False),
        ({ROUTING: "_ 1x15"}, False),
        ({STOPPED: "_ 60x15", ROUTING: "_ 1x15", UNRECORDED: "_ 1x15"}, False),
        ({STOPPED: "_ 60x15", ROUTING: "_ 1x15", PROMOTED: "_ 60x15"}, False),
    ],
    ids=["a router stays behind", "routers follow", "nobody was stopped", "the ledger is away", "the other arm waits for its pods"],
)
def test_an_arm_that_routers_do_not_let_go_of_pages(rules: Path, of: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentStopNotFollowed", fires, of=of, at="10m", severity="page", arm="b")


LAST_LOOK, INTERVAL = series("last_look_timestamp_seconds"), series("look_interval_seconds")
NEXT_LAST_LOOK, NEXT_INTERVAL = series("last_look_timestamp_seconds", pod="b"), series("look_interval_seconds", pod="b")
NO_MORE = {LAST_LOOK: "0+60x10 600x50", INTERVAL: "30x60"}


@pytest.mark.parametrize(
    ("of", "at", "fires"),
    [
        (NO_MORE, "35m", True),
        (NO_MORE, "29m", False),
        ({LAST_LOOK: "0+60x10 600x12 1440+60x36", INTERVAL: "30x60"}, "35m", False),
        ({LAST_LOOK: "0+60x10 600x50", INTERVAL: "3600x60"}, "35m", False),
        ({LAST_LOOK: "0+60x10 _x50", INTERVAL: "30x60"}, "35m", False),
        ({LAST_LOOK: "0+60x10 600x12 _x38", INTERVAL: "30x23 _x38", NEXT_LAST_LOOK: "_x24 600x37", NEXT_INTERVAL: "_x24 30x37"}, "35m", True),
    ],
    ids=["no more looks", "not for long", "the ledger was on its way to another node", "looks are rare", "suspended", "nor by the next leader"],
)
def test_an_experiment_that_nobody_looks_at_pages(rules: Path, of: dict[str, str], at: str, fires: bool) -> None:
    told(rules, "SlipwayExperimentUnwatched", fires, of=of, at=at, severity="page")


LOOKS = 'slipway_experiment_looks_total{pod="a",result="%s"}'


@pytest.mark.parametrize(
    ("failed", "kept", "fires"),
    [("0x5 0+12x30", "0+2x5 10x30", True), ("0x5 0+1x30", "0+2x35", False), ("0x5 1x30", "0+2x5 10x30", False)],
    ids=["all fail", "some fail", "one failed and no more are due"],
)
def test_a_ledger_that_is_away_is_told_once_for_all_experiments(rules: Path, failed: str, kept: str, fires: bool) -> None:
    of = {LOOKS % "failed": failed, LOOKS % "kept": kept, LOOKS % "unchanged": "0x35"}
    judge(rules, "SlipwayExperimentLedgerAway", series=of, at="20m", fires=[{"severity": "chat"}] if fires else [])


@pytest.mark.parametrize(("at", "fires"), [("4m", False), ("20m", True), ("64m", True), ("66m", False)])
def test_an_arm_that_was_stopped_is_told_for_an_hour(rules: Path, at: str, fires: bool) -> None:
    told(rules, "SlipwayExperimentArmStopped", fires, of={STOPPED: "_x5 300x80"}, at=at, severity="chat", arm="b")


UNHEALTHY = series("verdict", verdict="Unhealthy")


@pytest.mark.parametrize(
    ("of", "fires"),
    [
        ({UNHEALTHY: "0 1x20"}, True),
        ({UNHEALTHY: "0 1 1 1 0x18"}, False),
        ({UNHEALTHY: "0 1x20", series("decided_timestamp_seconds", action="KeepControl"): "_ 60x20"}, False),
    ],
    ids=["to stay", "for a moment", "over"],
)
def test_data_that_cannot_be_believed_are_told(rules: Path, of: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentUnhealthy", fires, of=of, at="15m", severity="chat")


def false(condition: str, reason: str, **labels: str) -> str:
    return series("condition", condition=condition, status="False", reason=reason, **labels)


@pytest.mark.parametrize(
    ("of", "fires"),
    [
        ({false("Admitted", "TargetNotReady"): "1x200"}, True),
        ({false("Admitted", "TargetMissing"): "1x99 _x100", false("Admitted", "ImagePullFailed"): "_x100 1x100"}, True),
        ({false("Admitted", "Starting"): "1x8 _x190"}, False),
        ({false("Admitted", "Queued"): "1x200"}, False),
        ({false("Admitted", "Suspended"): "1x200"}, False),
    ],
    ids=["a target that is not ready", "one thing after the other", "it took half an hour", "queued", "suspended"],
)
def test_an_experiment_that_waits_for_half_a_day_is_in_the_digest(rules: Path, of: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentWaits", fires, of=of, at="13h", severity="digest")


QUEUED = false("Admitted", "Queued")


@pytest.mark.parametrize(
    ("ahead", "fires"),
    [
        ({false("Trusted", "SampleRatioMismatch", experiment="v7"): "1x200"}, True),
        ({false("Decided", "Held", experiment="v7"): "1x200"}, True),
        ({false("Admitted", "Suspended", experiment="v7"): "1x200", series("started_timestamp_seconds", experiment="v7"): "0x200"}, True),
        ({false("Admitted", "Suspended", experiment="v7"): "1x200"}, False),
        ({series("condition", experiment="v7", condition="Admitted", status="True", reason="Dividing"): "1x200"}, False),
        ({false("Trusted", "SampleRatioMismatch", experiment="v7", model="other"): "1x200"}, False),
        ({false("Admitted", "Queued", experiment="v7"): "1x200"}, False),
        ({false("Decided", "CommandRefused", experiment="v7"): "1x200"}, False),
    ],
    ids=["not to be believed", "held", "suspended amid it", "suspended before it began", "running", "of another model", "queued as well", "refused"],
)
def test_a_queue_behind_one_that_does_not_go_on_is_in_the_digest(rules: Path, ahead: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentQueueStuck", fires, of={QUEUED: "1x200"} | ahead, at="13h", severity="digest")


LACKS, BEGAN, WINDOW = series("verdict", verdict="InsufficientData"), series("started_timestamp_seconds"), series("window_seconds")


@pytest.mark.parametrize(
    ("of", "at", "fires"),
    [
        ({LACKS: "1x400"}, "26h", True),
        ({LACKS: "1x400"}, "25h", False),
        ({LACKS: "1x150 0x249"}, "26h", False),
        ({LACKS: "1x400", false("Admitted", "Suspended"): "1x400"}, "26h", False),
    ],
    ids=["a day after the first window", "in its first day", "it came", "suspended"],
)
def test_an_experiment_that_has_too_little_data_is_in_the_digest(rules: Path, of: dict[str, str], at: str, fires: bool) -> None:
    times = {BEGAN: "0x400", WINDOW: "600x400"}
    told(rules, "SlipwayExperimentInsufficientData", fires, of=of | times, at=at, severity="digest")


@pytest.mark.parametrize(
    ("of", "fires"),
    [
        ({false("Decided", "AwaitsApproval"): "1x20"}, True),
        ({false("Decided", "Held"): "1x20", series("verdict", verdict="Harmful"): "1x20"}, False),
        ({series("condition", condition="Decided", status="True", reason="ArmPromoted"): "1x20"}, False),
        ({false("Decided", "CommandRefused"): "1x20"}, False),
    ],
    ids=["consent", "harm, which pages", "decided", "an annotation that was refused"],
)
def test_an_experiment_that_waits_for_a_word_is_in_the_digest(rules: Path, of: dict[str, str], fires: bool) -> None:
    told(rules, "SlipwayExperimentAwaitsWord", fires, of=of, at="65m", severity="digest")
