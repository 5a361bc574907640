"""How long a store is waited for."""

import asyncio
import time

import pytest

from slipway_inference.store import Store, Unavailable


@pytest.mark.asyncio
async def test_an_answer_that_cannot_be_cancelled_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("redis://127.0.0.1:9/0", timeout_s=0.05)
    tries = []

    async def stubborn(keys: object) -> list[bytes]:
        """As redis-py does when its own timeout ends in the same moment."""
        tries.append(keys)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)
        return [b"late"]

    monkeypatch.setattr(store._redis, "mget", stubborn)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="it took longer than 50 ms"):
        await store.get([b"key"])
    assert time.monotonic() - began < 0.3
    assert len(tries) == 1
    await store.close()
