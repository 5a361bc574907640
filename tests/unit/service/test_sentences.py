"""What others wrote, in sentences."""

from slipway_service import sentences


def test_what_is_short_is_quoted_whole() -> None:
    assert (sentences.quoted("x" * 60), sentences.quoted("a\n'b")) == (repr("x" * 60), '"a\\n\'b"')


def test_what_is_long_is_cut() -> None:
    assert sentences.quoted("x" * 61) == "'" + "x" * 60 + "…'"
    assert sentences.shortened("abcdef", most=5) == "abcde…"
