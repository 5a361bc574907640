"""Requests of one moment become one call to the model.

A call goes out at the end of the turn of the event loop in which its first rows came: whatever else became ready in that turn is in it. While
``calls`` calls are under way, rows wait for one of them to end and then travel together. No timer: an idle transformer sends at once. Rows that
fill a batch wait for nothing but one of ``connections``.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from slipway_inference.model import Model
from slipway_inference.protocol.datatypes import Tensors
from slipway_inference.refusals import Refused

_ALONE = (503, 504)
"""Failures that asking again one by one would only make worse: nobody is there, or all of it takes too long."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    tensors: Tensors
    rows: int
    outputs: Collection[str]
    trace: bytes
    kind: tuple[tuple[int, ...], ...]
    """Sizes of a row in every input: only rows of a kind fit in one batch."""
    answer: "asyncio.Future[Tensors]"


class Merger:
    """In front of a model; ``infer`` as the model's."""

    def __init__(
        self, model: Model, *, max_batch_size: int, calls: int, connections: int, counted: Callable[[int, int], None] = lambda _requests, _rows: None
    ) -> None:
        self._model = model
        self._most = max_batch_size
        self._calls = calls
        self._connections = connections
        self._counted = counted
        """Told of every call: of how many requests, and with how many rows."""
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._planned = False
        self._under_way: set[asyncio.Task[None]] = set()

    async def infer(self, tensors: Tensors, *, rows: int, outputs: Collection[str], trace: bytes = b"") -> Tensors:
        """The model's outputs for these rows and no others. More rows than a batch has travel in several. Refused, as the model has it."""
        if rows <= self._most:
            return await self._submit(tensors, rows, outputs, trace)
        if not self._most:
            self._counted(1, rows)
            return await self._model.infer(tensors, outputs, trace)
        starts = range(0, rows, self._most)
        pieces = [{name: array[start : start + self._most] for name, array in tensors.items()} for start in starts]
        found = await asyncio.gather(
            *(self._submit(piece, min(self._most, rows - start), outputs, trace) for start, piece in zip(starts, pieces, strict=True)),
            return_exceptions=True,
        )
        good = [answer for answer in found if not isinstance(answer, BaseException)]
        if len(good) < len(found):
            raise next(answer for answer in found if isinstance(answer, BaseException))
        return {name: np.concatenate([answer[name] for answer in good]) for name in outputs}

    def _submit(self, tensors: Tensors, rows: int, outputs: Collection[str], trace: bytes) -> "asyncio.Future[Tensors]":
        loop = asyncio.get_running_loop()
        kind = tuple(tensors[name].shape[1:] for name in sorted(tensors))
        waiting = _Waiting(tensors, rows, outputs, trace, kind, loop.create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        self._plan()
        return waiting.answer

    def _plan(self) -> None:
        if self._waiting and not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._planned = False
        while self._waiting and len(self._under_way) < (self._connections if self._waiting_rows >= self._most else self._calls):
            batch = self._batch()
            if batch:
                task = asyncio.get_running_loop().create_task(self._call(batch))
                self._under_way.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._plan()

    def _batch(self) -> list[_Waiting]:
        """The longest waiting, and those of its kind that fit beside it. Those that nobody waits for any more are dropped."""
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        rows = 0
        while self._waiting and rows < self._most:
            each = self._waiting.popleft()
            if each.answer.done():
                self._waiting_rows -= each.rows
            elif not batch or (each.kind == batch[0].kind and rows + each.rows <= self._most):
                batch.append(each)
                rows += each.rows
            else:
                others.append(each)
        self._waiting.extendleft(reversed(others))
        self._waiting_rows -= rows
        return batch

    async def _call(self, batch: Sequence[_Waiting]) -> None:
        """Ask for a batch, and give each its own. Never raises: whatever goes wrong is an answer."""
        try:
            await self._ask(batch)
        except Refused as error:
            if len(batch) == 1 or error.status in _ALONE:
                _fail(batch, error)
            else:  # one of them is at fault, and the others must not suffer for it
                await asyncio.gather(*(self._call([one]) for one in batch))
        except BaseException as error:
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise

    async def _ask(self, batch: Sequence[_Waiting]) -> None:
        first = batch[0]
        outputs = first.outputs if len(batch) == 1 else list(dict.fromkeys(name for one in batch for name in one.outputs))
        tensors = first.tensors
        if len(batch) > 1:
            tensors = {name: np.concatenate([one.tensors[name] for one in batch]) for name in first.tensors}
        rows = sum(one.rows for one in batch)
        self._counted(len(batch), rows)
        found = await self._model.infer(tensors, outputs, next((one.trace for one in batch if one.trace), b""))
        for name in outputs:
            if name not in found or found[name].shape[:1] != (rows,):
                said = f"has the shape {list(found[name].shape)}" if name in found else "is missing"
                raise Refused(f"the model's answer cannot be used: its output {name} {said}, for {rows} rows", status=502, reason="model")
        start = 0
        for one in batch:
            if not one.answer.done():
                one.answer.set_result({name: found[name][start : start + one.rows] for name in one.outputs})
            start += one.rows


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
