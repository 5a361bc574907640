"""The operator's alerts, judged by Prometheus's own promtool over series as the operator exposes them."""

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


def judge(rules: Path, alert: str, *, series: dict[str, str], at: str, fires: list[dict[str, Any]]) -> None:
    """Whether ``alert`` fires with these labels and no others after so long, with a sample a minute."""
    expected = [{"exp_labels": labels, "exp_annotations": annotations(alert, labels)} for labels in fires]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
    }
    file = rules.with_name(f"{alert}.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", str(file))


def annotations(alert: str, labels: dict[str, Any]) -> dict[str, str]:
    """What the alert says about these labels."""
    found: dict[str, str] = next(rule for rule in declared() if rule["alert"] == alert)["annotations"]
    said = dict(found)
    for name, value in labels.items():
        said["summary"] = said["summary"].replace("{{ $labels." + name + " }}", value)
    return said


def declared() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["spec"]["groups"][0]["rules"]
    return rules


def test_prometheus_takes_the_rules(rules: Path) -> None:
    promtool("check", "rules", str(rules))


def test_every_alert_leads_to_a_section_of_the_troubleshooting_page() -> None:
    page = (REPOSITORY / "docs/guides/troubleshooting.md").read_text().lower()
    anchors = {line.lstrip("#").strip().replace(" ", "-").replace("`", "") for line in page.splitlines() if line.startswith("#")}

    missing = [rule["alert"] for rule in declared() if rule["annotations"]["runbook"].partition("#")[2] not in anchors]

    assert missing == []


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


@pytest.mark.parametrize(("age", "fires"), [("0+60x8", True), ("0 40 0 50 0 40 0 20 0", False)], ids=["one pass without end", "passes that end"])
def test_a_stuck_pass_is_told(rules: Path, age: str, fires: bool) -> None:
    labels = {"pod": "a", "name": "modeldeployment", "severity": "chat"}

    judge(
        rules,
        "SlipwayOperatorQueueStuck",
        series={'workqueue_longest_running_processor_seconds{pod="a",name="modeldeployment"}': age},
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
