from collections.abc import Callable
from typing import Any

import pytest

Module = Callable[[str], Any]


@pytest.mark.parametrize("ends", [[10000], [9000, 10000], [8000, 9000, 10000], [1, 2, 9999, 10000], list(range(100, 10001, 100))])
def test_a_hash_belongs_to_the_run_that_it_is_below(lua: Any, module: Module, ends: list[int]) -> None:
    routes, thresholds = module("routes"), [end * 0xFFFFFFFF // 10000 for end in ends]
    slots = lua.table_from({b"thresholds": lua.table_from(thresholds), b"owners": lua.table_from(range(1, len(ends) + 1))})
    near = sorted({min(max(threshold + step, 0), 0xFFFFFFFF) for threshold in [0, *thresholds] for step in (-1, 0, 1)})
    expected = [next((run for run, threshold in enumerate(thresholds, 1) if hashed < threshold), len(ends)) for hashed in near]
    assert [int(routes.owner(slots, hashed)) for hashed in near] == expected
