"""Asking a Triton server about its models, over its HTTP endpoint on the pod's address."""

from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import aiohttp

TIMEOUT_S: Final = 2.0
"""For one question: a server that is loading a model answers in milliseconds, one that does not answer has nothing to say."""


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """One line of Triton's repository index."""

    name: str
    state: str
    """READY, LOADING, UNLOADING or UNAVAILABLE; empty for a model that was never tried. STORE_UNAVAILABLE is a transformer's word."""

    reason: str


Repository: TypeAlias = tuple[ModelState, ...]
"""What one server knows of."""


class Triton:
    """Questions to Triton servers. Use as ``async with Triton() as triton``."""

    def __init__(self, *, port: int = 8080) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Pods come and go at the same addresses: a connection kept from one would reach another.
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def repository(self, address: str) -> Repository | None:
        """The models of the server at ``address`` and why one is not ready; None when it does not answer yet."""
        answer = await self._ask("POST", address, "/v2/repository/index")
        if answer is None or answer[0] != 200 or not isinstance(answer[1], list):
            return None
        return tuple(
            ModelState(name=str(model.get("name", "")), state=str(model.get("state", "")), reason=str(model.get("reason", "")))
            for model in answer[1]
            if isinstance(model, dict)
        )

    async def _ask(self, method: str, address: str, path: str) -> tuple[int, Any] | None:
        if self._session is None:
            raise RuntimeError("Triton is used outside its async with block")
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.request(method, f"http://{host}:{self._port}{path}") as response:
                is_json = response.content_type == "application/json" and response.status == 200
                return response.status, await response.json() if is_json else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
