"""Texts that come from clients: tokens, units, messages."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest

Module = Callable[[str], Any]


@pytest.mark.parametrize(
    ("given", "expected", "equal"),
    [
        (b"secret", b"secret", True),
        (b"secreT", b"secret", False),
        (b"secre", b"secret", False),
        (b"secrets", b"secret", False),
        (b"aa", b"a", False),
        (b"a", b"aa", False),
        (b"x", b"secret", False),
    ],
)
def test_tokens_are_equal_only_as_a_whole(module: Module, given: bytes, expected: bytes, equal: bool) -> None:
    assert module("tokens").equal(given, expected) is equal


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        (b"u1", "u1"),
        ("Zoë".encode(), "Zoë"),
        ("\U0001f600".encode(), "\U0001f600"),
        (b"Zo\xeb", "Zoë"),
        (b"\xff\xfe", "ÿþ"),
        (b"\xc0\xaf", "À¯"),
        (b"\xed\xa0\x80", "í\xa0\x80"),
        (b"\xf4\x90\x80\x80", "ô\x90\x80\x80"),
        (b"\xe2\x82", "â\x82"),
    ],
)
def test_units_are_told_as_text(module: Module, unit: bytes, told: str) -> None:
    assert module("exposures").text(unit).decode() == told


def test_every_pair_of_bytes_is_told_as_text(module: Module) -> None:
    told = module("exposures").text
    for first in range(256):
        for second in range(256):
            told(bytes([first, second])).decode()


@pytest.mark.parametrize("seconds", [0, 1795945000, 1795945000.123, 1795945000.999, 951782400.5, 4102444799.999])
def test_moments(module: Module, seconds: float) -> None:
    expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert module("exposures").moment(seconds).decode() == expected


def test_a_grpc_message_is_percent_encoded(module: Module) -> None:
    message = "100 % of »ranker«\nis gone"
    encoded = module("answers").grpc_message(message.encode()).decode()
    assert encoded.isascii()
    assert encoded.isprintable()
    assert unquote(encoded) == message
