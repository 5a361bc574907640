"""What the reader of queries takes, and what it finds wrong."""

import pytest

from slipway_testing import promql
from slipway_testing.promql import Matcher, Selector, Token, Wrong

METRICS = {
    "asked_total": {"model", "revision", "outcome"},
    "took_seconds_bucket": {"model", "le"},
    "waiting": {"model", "pod"},
}


def test_functions_labels_and_keywords_are_no_metrics() -> None:
    query = promql.parse('sum by (model) (rate(asked_total{outcome=~"5xx|none", model!="a"}[5m])) / on (model) max by (model) (waiting)', METRICS)

    assert query.selectors == (
        Selector("asked_total", (Matcher("outcome", "=~", "5xx|none"), Matcher("model", "!=", "a")), "5m"),
        Selector("waiting", (), ""),
    )


def test_a_query_falls_into_pieces() -> None:
    assert list(promql.tokens('up{a!~"} \\""}[$__rate_interval]>=0.5')) == [
        Token("name", "up"),
        Token("sign", "{"),
        Token("name", "a"),
        Token("sign", "!~"),
        Token("text", '"} \\""'),
        Token("sign", "}"),
        Token("range", "[$__rate_interval]"),
        Token("sign", ">="),
        Token("number", "0.5"),
        Token("end", ""),
    ]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1 + 2 * 3", None),
        ("waiting", {"model", "pod"}),
        ("waiting > 5", {"model", "pod"}),
        ("2 * waiting", {"model", "pod"}),
        ("sum(waiting)", set()),
        ("sum by (model) (waiting) or count by (model) (waiting) * 0", {"model"}),
        ("rate(asked_total[5m])", {"model", "revision", "outcome"}),
        ("histogram_quantile(0.5, sum by (model, le) (rate(took_seconds_bucket[5m])))", {"model"}),
        ("sum by (model, pod) (waiting) / on (model) group_left sum by (model) (waiting)", {"model", "pod"}),
        ("waiting unless on (model) asked_total", {"model", "pod"}),
        ("waiting and on (model) waiting > 5 or waiting", {"model", "pod"}),
        ("time() - waiting > 2 * waiting + 60", {"model", "pod"}),
        ("(sum(waiting) or vector(0)) == 0", set()),
    ],
)
def test_the_labels_of_an_answer(text: str, labels: set[str] | None) -> None:
    assert promql.parse(text, METRICS).labels == labels


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("waitin", "no metric waitin"),
        ("rte(asked_total[5m])", "rte is no function"),
        ('waiting{modl="a"}', "no label modl"),
        ("waiting{model=a}", "no matcher"),
        ("sum by (revision) (waiting)", "no label revision"),
        ("sum by (pod) (sum by (model) (waiting))", "no label pod"),
        ("rate(waiting[5m])", "waiting, which is no counter"),
        ("rate(asked_total)", "without a range"),
        ("asked_total[5m]", "with a range"),
        ("histogram_quantile(0.5, sum by (model) (rate(took_seconds_bucket[5m])))", "no label le"),
        ("histogram_quantile(95, rate(took_seconds_bucket[5m]))", "the quantile is '95'"),
        ("sum by (model) (waiting) / sum by (pod) (waiting)", "between labels model and pod"),
        ("waiting / on (model) sum by (model) (waiting)", "meets several series"),
        ("sum by (model) (waiting) / on (pod) sum by (pod) (waiting)", "no label pod"),
        ("waiting and on (outcome) asked_total", "no label outcome"),
        ("waiting unless on (pod) asked_total", "no label pod"),
        ("waiting unless asked_total", "between labels"),
        ("waiting or 0", "or with a number"),
        ("vector(waiting)", "made of a number"),
        ("time(waiting)", "'waiting' where"),
        ("sum(waiting", "the end"),
        ("sum(waiting))", r"'\)' where"),
        ("waiting +", "the end"),
        ("by (model)", "'by' where"),
        ("waiting ; waiting", "nothing that is known"),
        ("waiting waiting", "'waiting' where"),
    ],
)
def test_what_cannot_be_is_told(text: str, told: str) -> None:
    with pytest.raises(Wrong, match=told):
        promql.parse(text, METRICS)


@pytest.mark.parametrize(
    ("matcher", "taken"),
    [
        (Matcher("a", "=", "x"), {"x"}),
        (Matcher("a", "!=", "x"), {"xy", ""}),
        (Matcher("a", "=~", "x|y"), {"x"}),
        (Matcher("a", "=~", "x.*"), {"x", "xy"}),
        (Matcher("a", "!~", "x.*"), {""}),
    ],
)
def test_a_matcher_takes_whole_values(matcher: Matcher, taken: set[str]) -> None:
    assert {value for value in ("x", "xy", "") if matcher.takes(value)} == taken
