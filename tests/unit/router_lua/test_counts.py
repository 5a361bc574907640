import math
from collections.abc import Callable
from typing import Any

import pytest

Module = Callable[[str], Any]


@pytest.mark.parametrize(
    ("seconds", "bin_"), [(0.0, 0), (0.0004, 0), (0.0005, 0), (0.00052, 1), (0.001, 28), (0.1, 214), (1.0, 307), (70.0, 479), (3600.0, 479)]
)
def test_bins(module: Module, seconds: float, bin_: int) -> None:
    assert int(module("counts").bin(seconds)) == bin_


def test_bins_are_the_formula(module: Module) -> None:
    counts = module("counts")
    times = [0.0005 * 1.0173**step for step in range(700)]
    expected = [min(479, max(0, math.floor(math.log(t / 0.0005) / math.log(1.025)))) for t in times]
    assert [int(counts.bin(t)) for t in times] == expected
