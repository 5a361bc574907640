"""The rules in docs/guides/autoscaling.md make the metrics that autoscalers ask for, out of metrics that routers tell."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_operator.render import revision
from slipway_testing import promql
from slipway_testing.exported import everything
from slipway_testing.golden import REPOSITORY

PAGE = (REPOSITORY / "docs/guides/autoscaling.md").read_text()
RULES: list[Mapping[str, Any]] = next(
    block["rules"]["external"] for block in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)) if "rules" in block
)


def test_each_metric_that_autoscalers_ask_for_has_a_rule() -> None:
    assert [rule["name"]["as"] for rule in RULES] == [revision.PENDING_METRIC, revision.RATE_METRIC]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"]["as"])
def test_a_rule_asks_for_what_routers_tell_and_keeps_the_label_that_is_selected_by(rule: Mapping[str, Any], tmp_path: Path) -> None:
    told = {metric: set(labels) for metric, labels in everything(tmp_path).items()}
    series = rule["seriesQuery"].partition("{")[0]
    query = rule["metricsQuery"].replace("<<.Series>>", series).replace("<<.LabelMatchers>>", 'namespace="shop",revision="ranker-0a1b2c3d"')

    promql.parse(rule["seriesQuery"], told)
    assert promql.parse(query, told).labels == frozenset({"revision"})
