import json
from pathlib import Path

import pytest

from bench.operator import figures


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [(range(1, 11), 0.5, 5), (range(1, 11), 0.99, 10), (range(1, 201), 0.99, 198), ([7.0], 0.5, 7), ([3, 1, 2], 0.5, 2)],
)
def test_a_quantile_is_the_value_that_so_many_do_not_exceed(values: list[float], share: float, expected: float) -> None:
    assert figures.quantile(values, share) == expected


def test_a_figure_is_judged_as_it_is_shown() -> None:
    rows = [
        figures.at_most("writes", 0, "", limit=0),
        figures.at_most("ratio", 1.5004, "x", limit=1.5),
        figures.at_most("ratio", 1.5006, "x", limit=1.5),
        figures.below("ratio", 0.9999, "x", limit=1),
        figures.stated("time", 31.26, "s"),
    ]
    assert [(row.value, row.ok) for row in rows] == [(0, True), (1.5, True), (1.501, False), (1.0, False), (31.3, True)]


def test_the_table_shows_what_was_missed() -> None:
    rows = [figures.at_most("first passes / bare script", 1.6, "x", limit=1.5), figures.stated("time", 12, "s")]
    assert figures.table(rows).splitlines() == [
        "what                        value  goal",
        "first passes / bare script  1.6 x  <= 1.5  MISSED",
        "time                        12 s",
    ]


def test_programs_get_a_list(tmp_path: Path) -> None:
    figures.write(tmp_path / "deep" / "operator.json", [figures.at_most("writes", 3, "", limit=0), figures.stated("time", 12, "s")])
    assert json.loads((tmp_path / "deep" / "operator.json").read_text()) == [
        {"name": "writes", "value": 3, "unit": "", "goal": "<= 0", "ok": False},
        {"name": "time", "value": 12, "unit": "s", "goal": None, "ok": True},
    ]
