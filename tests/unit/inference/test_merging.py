"""Requests of one moment travel together, and none pays for another."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from slipway_inference.merging import Merger
from slipway_inference.protocol.datatypes import Tensors
from slipway_inference.refusals import Refused
from slipway_testing.inference import Adding


def merger(model: Adding, *, most: int = 4, calls: int = 2, connections: int = 8) -> Merger:
    """Of batches of four."""
    return Merger(model, max_batch_size=most, calls=calls, connections=connections)


def rows(*values: float, width: int = 2) -> Tensors:
    """A row of equal numbers for each value."""
    return {"x": np.repeat(np.array(values, np.float32)[:, None], width, axis=1)}


async def infer(one: Merger, *values: float, width: int = 2, trace: bytes = b"") -> list[float]:
    """The sums of rows."""
    found = await one.infer(rows(*values, width=width), rows=len(values), outputs=["y"], trace=trace)
    summed: list[float] = found["y"].ravel().tolist()
    return summed


def sizes(model: Adding) -> list[int]:
    """Rows of each call."""
    return [len(call["x"]) for call in model.calls]


async def test_requests_of_one_turn_are_one_call_and_each_gets_its_own() -> None:
    model = Adding()
    one = merger(model)
    assert await asyncio.gather(*(infer(one, value) for value in (1, 2, 3))) == [[2.0], [4.0], [6.0]]
    assert sizes(model) == [3]


async def test_a_request_alone_is_sent_at_once() -> None:
    model = Adding(open=asyncio.Event())
    task = asyncio.create_task(infer(merger(model), 1))
    for _ in range(4):
        await asyncio.sleep(0)
    assert sizes(model) == [1]
    task.cancel()


async def test_no_batch_has_more_rows_than_the_model_takes() -> None:
    model = Adding()
    one = merger(model)
    counts = [3, 3, 2, 1, 4, 9, 1]
    found = await asyncio.gather(*(infer(one, *range(count)) for count in counts))
    assert found == [[2.0 * value for value in range(count)] for count in counts]
    assert (max(sizes(model)), sum(sizes(model))) == (4, sum(counts))


async def test_requests_wait_while_calls_are_under_way_and_then_travel_together() -> None:
    model = Adding(open=asyncio.Event())
    one = merger(model, calls=1)
    first = asyncio.create_task(infer(one, 1))
    await settled()
    others = [asyncio.create_task(infer(one, value)) for value in (2, 3)]
    await settled()
    assert sizes(model) == [1]
    assert model.open
    model.open.set()
    assert list(await asyncio.gather(first, *others)) == [[2.0], [4.0], [6.0]]
    assert sizes(model) == [1, 2]


async def test_a_full_batch_waits_for_no_call() -> None:
    model = Adding(open=asyncio.Event())
    one = merger(model, calls=1, connections=2)
    tasks = [asyncio.create_task(infer(one, *range(4))) for _ in range(3)]
    await settled()
    assert sizes(model) == [4, 4]
    assert model.open
    model.open.set()
    await asyncio.gather(*tasks)


async def test_rows_of_other_sizes_travel_apart() -> None:
    model = Adding()
    one = merger(model)
    assert list(await asyncio.gather(infer(one, 1, width=2), infer(one, 1, width=3), infer(one, 2, width=2))) == [[2.0], [3.0], [4.0]]
    assert [call["x"].shape for call in model.calls] == [(2, 2), (1, 3)]


async def test_one_request_that_fails_does_not_fail_its_neighbours() -> None:
    model = Adding(poison=13)
    one = merger(model)
    found: Sequence[object] = await asyncio.gather(*(infer(one, value) for value in (1, 13, 3)), return_exceptions=True)
    assert (found[0], found[2]) == ([2.0], [6.0])
    assert isinstance(found[1], Refused)
    assert sizes(model) == [3, 1, 1, 1]


@pytest.mark.parametrize("status", [503, 504])
async def test_nobody_asks_again_where_nobody_is_there(status: int) -> None:
    model = Adding(failure=Refused("gone", status=status, reason="unavailable"))
    one = merger(model)
    found = await asyncio.gather(infer(one, 1), infer(one, 2), return_exceptions=True)
    assert ([type(each) for each in found], len(model.calls)) == ([Refused, Refused], 1)


async def test_who_is_cancelled_cancels_nobody_else() -> None:
    model = Adding(open=asyncio.Event())
    one = merger(model)
    tasks = [asyncio.create_task(infer(one, value)) for value in (1, 2, 3)]
    await settled()
    tasks[0].cancel()
    await settled()
    assert model.open
    model.open.set()
    assert list(await asyncio.gather(*tasks[1:])) == [[4.0], [6.0]]


async def test_who_is_cancelled_while_waiting_is_not_sent() -> None:
    model = Adding(open=asyncio.Event())
    one = merger(model, calls=1)
    first = asyncio.create_task(infer(one, 1))
    await settled()
    waiting = [asyncio.create_task(infer(one, value)) for value in (2, 3)]
    await settled()
    waiting[0].cancel()
    await settled()
    assert model.open
    model.open.set()
    assert list(await asyncio.gather(first, waiting[1])) == [[2.0], [6.0]]
    assert [call["x"][:, 0].tolist() for call in model.calls] == [[1], [3]]


@pytest.mark.parametrize("outputs", [{}, {"y": np.zeros((1, 1), np.float32)}, {"y": np.float32(1)}])
async def test_an_answer_of_other_rows_is_told(outputs: Tensors) -> None:
    with pytest.raises(Refused, match="the model's answer cannot be used: its output y"):
        await infer(merger(Adding(outputs=outputs)), 1, 2)


async def test_a_fault_is_given_to_all_that_wait() -> None:
    class Broken(Adding):
        async def infer(self, *_: object) -> Tensors:
            raise ZeroDivisionError

    one = merger(Broken())
    assert [type(each) for each in await asyncio.gather(infer(one, 1), infer(one, 2), return_exceptions=True)] == [ZeroDivisionError] * 2


async def settled() -> None:
    """Whatever can go on has done so."""
    for _ in range(10):
        await asyncio.sleep(0)
