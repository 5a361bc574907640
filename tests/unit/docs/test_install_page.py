"""docs/guides/install.md names every setting with its default, and every metric."""

import dataclasses
import re
from typing import Any

from prometheus_client import CollectorRegistry

from slipway_operator.metrics import Metrics
from slipway_operator.reconcile.experiment import figures
from slipway_operator.settings import PREFIX, Settings
from slipway_testing.golden import REPOSITORY

PAGE = (REPOSITORY / "docs/guides/install.md").read_text()


def shown(field: "dataclasses.Field[Any]") -> str:
    """The default of a setting as the page has it; nothing where there is none."""
    if field.default in (dataclasses.MISSING, None):
        return ""
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def test_every_setting_has_a_row_with_its_default() -> None:
    rows = dict(re.findall(rf"^\| `({PREFIX}\w+)` \| ?(.*?) ?\|", PAGE, re.MULTILINE))

    assert rows == {PREFIX + field.name.upper(): shown(field) for field in dataclasses.fields(Settings)}


def test_series_of_an_experiment_have_the_labels_that_their_row_says() -> None:
    rows = dict(re.findall(r"^\| `(slipway_experiment_\w+)` \| ?(.*?) ?\|", PAGE, re.MULTILINE))

    for family in figures.FAMILIES:
        assert tuple(filter(None, rows[family.name].split(", "))) == family.labels


def test_every_metric_has_a_row() -> None:
    registry = CollectorRegistry()
    Metrics.on(registry)
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()} | {each.name for each in figures.FAMILIES}

    section = PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == names
