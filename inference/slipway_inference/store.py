"""Redis, as far as reading goes: many keys at once, within a time."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

CONNECTIONS = 32


class Unavailable(Exception):
    """The store did not answer in time, or not with rows. The message has no address: it may hold a password."""


class Store:
    """Use ``get``; ``close`` at the end."""

    def __init__(self, address: str, *, timeout_s: float, password: str = "") -> None:
        self._timeout_s = timeout_s
        # One retry: a kept connection of a store that was restarted is stale, and reading again is safe.
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        # redis-py's own times only end what outlives ours. Of a password in the address and another, that in the address counts.
        pool = BlockingConnectionPool.from_url(
            address,
            password=password or None,
            max_connections=CONNECTIONS,
            timeout=2 * timeout_s,
            socket_timeout=2 * timeout_s,
            socket_connect_timeout=2 * timeout_s,
            retry=retry,
        )
        self._redis: Redis = Redis(connection_pool=pool)

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is at these keys, in their order, with one MGET. Unavailable."""
        try:
            return cast("list[bytes | None]", await self._in_time(self._redis.mget(keys)))
        except TimeoutError:
            raise Unavailable(f"it took longer than {self._timeout_s * 1000:g} ms") from None
        except (RedisError, OSError) as error:
            raise Unavailable(type(error).__name__) from None

    async def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(await self._in_time(self._redis.ping()))
        except (RedisError, OSError, TimeoutError):
            return False

    async def _in_time(self, asked: Awaitable[Any]) -> Any:
        """Its result. TimeoutError: it is cancelled and left alone, for redis-py now and then swallows a cancellation and tries again."""
        asking = asyncio.ensure_future(asked)
        try:
            done, _ = await asyncio.wait((asking,), timeout=self._timeout_s)
        finally:
            if not asking.done():
                asking.add_done_callback(_given_up)
                asking.cancel()
        if not done:
            raise TimeoutError
        return asking.result()

    async def close(self) -> None:
        """Close what is kept."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


def _given_up(asked: "asyncio.Future[Any]") -> None:
    """Look at its error, which asyncio would otherwise log as never looked at."""
    if not asked.cancelled():
        asked.exception()
