"""The alerts' rules, held against what the operator really tells Prometheus. tests/e2e has them judged by Prometheus itself."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from slipway_testing import promql
from slipway_testing.exported import HONOURED, Exported, everything
from slipway_testing.golden import REPOSITORY

COMPONENT = REPOSITORY / "kustomize/components/prometheus"
GROUPS: Mapping[str, list[dict[str, Any]]] = {
    group["name"]: group["rules"] for group in yaml.safe_load((COMPONENT / "alerts.yaml").read_text())["spec"]["groups"]
}
ALERTS = [rule for rules in GROUPS.values() for rule in rules]
EACH_ALERT = pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
TIERS = {"page", "chat", "digest"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return everything(tmp_path_factory.mktemp("agent"))


def query(rule: Mapping[str, Any], exported: Exported) -> promql.Query:
    return promql.parse(rule["expr"], {metric: set(values) for metric, values in exported.items()})


@EACH_ALERT
def test_every_metric_is_exported_with_the_labels_asked_for(rule: Mapping[str, Any], exported: Exported) -> None:
    assert query(rule, exported).selectors


@EACH_ALERT
def test_every_matcher_takes_a_value_that_there_is(rule: Mapping[str, Any], exported: Exported) -> None:
    for selector in query(rule, exported).selectors:
        for matcher in selector.matchers:
            there_are = exported[selector.metric][matcher.label]
            for alternative in matcher.value.split("|"):
                alike = replace(matcher, value=alternative, operator="=~" if "~" in matcher.operator else "=")
                assert any(map(alike.takes, there_are)), f"{selector.metric} has no {matcher.label} {alternative}"


@EACH_ALERT
def test_what_is_said_names_labels_of_the_answer(rule: Mapping[str, Any], exported: Exported) -> None:
    named = set(re.findall(r"\{\{ \$labels\.(\w+) \}\}", "".join(rule["annotations"].values())))

    assert named <= (query(rule, exported).labels or set())


@EACH_ALERT
def test_an_alert_has_a_tier_a_sentence_and_a_place_to_read_on(rule: Mapping[str, Any]) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in TIERS
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook"].startswith("docs/guides/")


@pytest.mark.parametrize("rule", GROUPS["slipway-experiments"], ids=lambda rule: rule["alert"])
def test_an_alert_on_an_experiment_names_no_pod_and_says_what_to_do(rule: Mapping[str, Any], exported: Exported) -> None:
    # Another pod may lead in the next moment, and it is the same trouble.
    assert (query(rule, exported).labels or frozenset()) <= {"namespace", "experiment", "model", "arm"}
    assert rule["annotations"]["description"].endswith(".")


def test_each_alert_is_there_once() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)


def test_the_operators_monitor_leaves_the_namespace_of_an_experiment_as_it_is() -> None:
    monitors = {each["metadata"]["name"]: each["spec"] for each in yaml.safe_load_all((COMPONENT / "monitors.yaml").read_text())}
    honouring = {name for name, spec in monitors.items() if any(endpoint.get("honorLabels") for endpoint in spec["podMetricsEndpoints"])}

    assert honouring == ({"slipway-operator"} if HONOURED else set())


def test_the_page_of_alerts_has_each_with_its_tier() -> None:
    page = (REPOSITORY / "docs/guides/install.md").read_text()
    rows = dict(re.findall(r"^\| `(Slipway\w+)` \| (\w+) \|", page, re.MULTILINE))

    assert rows == {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}
