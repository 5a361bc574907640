import pytest

from slipway_operator.cli.experiment import figures, markup


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (figures.SHARE.difference(0.008, reach=0.006), "+0.80 points"),
        (figures.SHARE.difference(-0.12, reach=0.02), "\u221212.0 points"),
        (figures.SHARE.interval(-0.0012, 0.0145), "\u22120.12 to +1.45 points"),
        (figures.SHARE.value(0.1042, reach=0.003), "10.42 %"),
        (figures.PLAIN.interval(-3.4, 12.9), "\u22123.4 to +12.9"),
        (figures.PLAIN.difference(1234.4, reach=400), "+1,234"),
        (figures.PLAIN.difference(-0.0000001, reach=0.01), "0.000"),
        (figures.level(0.05), "95 %"),
        (figures.level(0.025), "97.5 %"),
        (figures.level(0.05 / 3), "98.3 %"),
        (figures.level(0.01 / 3), "99.67 %"),
        (figures.probability(1.0), "1"),
        (figures.probability(0.03141), "0.031"),
        (figures.probability(0.000123), "0.00012"),
        (figures.probability(0.0), "below 0.000001"),
        (figures.duration(1), "1 second"),
        (figures.duration(90), "90 seconds"),
        (figures.duration(7200), "2 hours"),
        (figures.duration(36 * 3600), "36 hours"),
        (figures.duration(2.5 * 86_400), "2.5 days"),
        (figures.duration_short(86_400), "1 d"),
        (figures.duration_short(1800), "30 min"),
        (figures.count(12_345.4), "12,345"),
        (figures.moment("2026-11-20T11:00:00.123456Z"), "2026-11-20 11:00:00 UTC"),
        (figures.moment("2026-11-20T11:00:00+02:00"), "2026-11-20 09:00:00 UTC"),
        (figures.moment("yesterday"), "yesterday"),
    ],
)
def test_figures(told: str, expected: str) -> None:
    assert told == expected


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = markup.tag("b", '1 < 2 & "3"', title='"<>')
    assert markup.tag("p", inner, " <i>", None, class_=None, tabindex="0") == (
        '<p tabindex="0"><b title="&quot;&lt;&gt;">1 &lt; 2 &amp; "3"</b> &lt;i&gt;</p>'
    )


def test_a_style_sheet_ends_where_it_should() -> None:
    with pytest.raises(ValueError, match="has no <"):
        markup.style("</style>")
