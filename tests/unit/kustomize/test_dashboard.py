"""The dashboard's queries, held against what the operator, routers and transformers really tell Prometheus."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from slipway_operator.render import router
from slipway_testing import promql
from slipway_testing.exported import MODEL_LABEL, OUTCOMES, Exported, everything
from slipway_testing.golden import REPOSITORY

COMPONENTS = REPOSITORY / "kustomize/components"
DASHBOARD: Mapping[str, Any] = json.loads((COMPONENTS / "grafana/slipway.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EACH_PANEL = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
MONITORS = {monitor["metadata"]["name"]: monitor["spec"] for monitor in yaml.safe_load_all((COMPONENTS / "prometheus/monitors.yaml").read_text())}
UNITS = {"cps", "none", "percentunit", "reqps", "s"}
"""As Grafana calls them: another one is right when Grafana has it."""
NARROWED: Mapping[str, Mapping[str, str]] = {
    "slipway_experiment_looks_": {},
    "slipway_experiment_": {"namespace": "namespace", "model": "model"},
    "slipway_router_": {"namespace": "namespace", "model": "model"},
    "slipway_transformer_": {"namespace": "namespace", MODEL_LABEL: "model"},
}
"""By the beginning of a metric's name, the first that fits: the variable that each label is compared with."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return everything(tmp_path_factory.mktemp("agent"))


def labels(exported: Exported) -> Mapping[str, set[str]]:
    return {metric: set(values) for metric, values in exported.items()}


def narrowed(metric: str) -> Mapping[str, str]:
    return next((labels for beginning, labels in NARROWED.items() if metric.startswith(beginning)), {})


def monitor_of(metric: str) -> str:
    of = {"slipway_router_": "slipway-routers", "slipway_transformer_": "slipway-models"}
    return next((monitor for beginning, monitor in of.items() if metric.startswith(beginning)), "slipway-operator")


def queries(panel: Mapping[str, Any], exported: Exported) -> Iterator[promql.Query]:
    for target in panel["targets"]:
        yield promql.parse(target["expr"], labels(exported))


def test_what_is_exported_is_known_by_its_samples(exported: Exported) -> None:
    assert {"slipway_router_latency_seconds_bucket", "slipway_router_shadow_agreed_total", "rest_client_requests_total"} <= exported.keys()
    assert exported["slipway_router_requests_total"]["outcome"] == set(OUTCOMES)
    assert exported["slipway_router_table_refusals_total"]["model"] == {"ranker"}
    assert {"le", "model", "revision"} <= exported["slipway_router_latency_seconds_bucket"].keys()


@EACH_PANEL
def test_every_metric_is_exported_with_the_labels_asked_for(panel: Mapping[str, Any], exported: Exported) -> None:
    assert all(query.selectors for query in queries(panel, exported))


@EACH_PANEL
def test_every_matcher_takes_a_value_that_there_is(panel: Mapping[str, Any], exported: Exported) -> None:
    for selector in (selector for query in queries(panel, exported) for selector in query.selectors):
        for matcher in selector.matchers:
            if matcher.value.startswith("$"):
                variable = narrowed(selector.metric)[matcher.label]
                assert (matcher.operator, matcher.value) == ("=~", f"${variable}")
                assert variable in VARIABLES
            else:
                there_are = exported[selector.metric][matcher.label]
                for alternative in matcher.value.split("|"):
                    assert any(map(replace(matcher, value=alternative).takes, there_are)), f"{selector.metric} has no {matcher.label} {alternative}"


@EACH_PANEL
def test_the_variables_narrow_what_is_told_of_models(panel: Mapping[str, Any], exported: Exported) -> None:
    for selector in (selector for query in queries(panel, exported) for selector in query.selectors):
        chosen = {matcher.label for matcher in selector.matchers if matcher.value.startswith("$")}
        assert chosen == set(narrowed(selector.metric))


@EACH_PANEL
def test_a_legend_names_labels_of_the_answer(panel: Mapping[str, Any], exported: Exported) -> None:
    for target, query in zip(panel["targets"], queries(panel, exported), strict=True):
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= (query.labels or set())
        assert named or panel["type"] == "table"


@EACH_PANEL
def test_ranges_are_as_long_as_the_scrapes_need(panel: Mapping[str, Any], exported: Exported) -> None:
    selectors = [selector for query in queries(panel, exported) for selector in query.selectors]
    (monitor,) = {monitor_of(selector.metric) for selector in selectors}

    assert {selector.range for selector in selectors} <= {"", "$__rate_interval"}
    assert panel["interval"] == MONITORS[monitor]["podMetricsEndpoints"][0]["interval"]


@EACH_PANEL
def test_a_panel_says_what_it_shows(panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert re.fullmatch(r"[A-Z].*\.", panel["description"])
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@EACH_PANEL
def test_a_panel_asks_the_chosen_source(panel: Mapping[str, Any]) -> None:
    assert {json.dumps(asked["datasource"]) for asked in (panel, *panel["targets"])} == {'{"type": "prometheus", "uid": "${datasource}"}'}


def test_nothing_lies_on_anything_else() -> None:
    cells: list[tuple[int, int]] = []
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells += itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))

    assert len(cells) == len(set(cells))


def test_names_are_there_once() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in PANELS:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_grafana_10_reads_it_and_knows_it_again() -> None:
    assert (DASHBOARD["uid"], DASHBOARD["schemaVersion"]) == ("slipway", 38)
    assert "id" not in DASHBOARD


def test_variables_are_taken_from_metrics_that_there_are(exported: Exported) -> None:
    assert (VARIABLES["datasource"]["type"], VARIABLES["datasource"]["query"]) == ("datasource", "prometheus")
    for name in ("namespace", "model"):
        asked = VARIABLES[name]["query"]["query"]
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", asked)
        assert found, asked
        assert found[2] == name
        assert name in (promql.parse(found[1], labels(exported)).labels or set())


def test_the_monitor_of_routers_finds_them() -> None:
    template = router.deployment(router.Router(name=router.SHARED, namespace="shop", owner={}, image="router", replicas=2))["spec"]["template"]
    monitor = MONITORS["slipway-routers"]
    ports = {port["name"]: port["containerPort"] for container in template["spec"]["containers"] for port in container["ports"]}

    assert [(each["operator"], each["key"] in template["metadata"]["labels"]) for each in monitor["selector"]["matchExpressions"]] == [
        ("Exists", True)
    ]
    assert [ports[endpoint["port"]] for endpoint in monitor["podMetricsEndpoints"]] == [router.AGENT_PORT]


def test_the_component_brings_it_where_grafana_looks() -> None:
    (generator,) = yaml.safe_load((COMPONENTS / "grafana/kustomization.yaml").read_text())["configMapGenerator"]

    assert generator["files"] == ["slipway.json"]
    assert generator["options"]["disableNameSuffixHash"] is True
    assert generator["options"]["labels"]["grafana_dashboard"] == "1"
