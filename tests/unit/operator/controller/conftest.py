"""An event loop whose clock jumps: a test waits five minutes in no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class _NoWaiting(selectors.DefaultSelector):
    """Does not wait for its timeout but counts it as passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the test waits for something that will never happen")
        self.now += timeout
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _NoWaiting()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine on a loop whose clock starts at 0 and jumps to the next timer."""

    def _run(coroutine: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
            return runner.run(coroutine)

    return _run
