"""Single requests to the ledger: straight to its address, as the operator makes them, or through the API server's service proxy, as people do."""

import io
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import aiohttp
import yarl

from slipway_operator.errors import LedgerError

MOST_LOOKS: Final = 100
"""Of one answer. The ledger gives fewer where they are long."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """To one server. Secrets stay out of ``repr``."""

    address: str
    """``http://host:port``, and a path before that of a request; no slash at the end."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: Path | None = None
    """Of a bearer token; read at each request, since the kubelet writes a new one from time to time."""

    secure: ssl.SSLContext | bool = True
    proxy_url: str | None = field(default=None, repr=False)
    timeout_s: float = 5.0
    """Of a whole request."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, whatever it says."""

    status: int
    text: str
    wait_s: float | None
    """``Retry-After``, where it has whole seconds."""

    @property
    def body(self) -> Any:
        """Its JSON; an empty object where it is none."""
        try:
            return json.loads(self.text) if self.text.strip() else {}
        except ValueError:
            return {}

    @property
    def said(self) -> str:
        """Why it refuses, in the words of the ledger, of the API server, or of somebody between."""
        body = self.body
        told = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
        return str(told or self.text[:200] or "no reason")


class Requests:
    """Requests on one session. Use as ``async with Requests(way) as requests``."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._way.secure),
            timeout=aiohttp.ClientTimeout(total=self._way.timeout_s),
            headers=self._way.headers,
            proxy=self._way.proxy_url,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def ask(self, method: str, path: str, *, body: Any = None) -> Answer:
        """One request with a path that is quoted already.

        Raises:
            LedgerError: there is no answer, or the file of the token cannot be read.

        """
        if self._session is None:
            raise RuntimeError("Ledger is used outside its async with block")
        # aiohttp takes a mebibyte and more from a file only, piece by piece.
        data = io.BytesIO(json.dumps(body, separators=(",", ":"), allow_nan=False).encode()) if body is not None else None
        headers = {"Content-Type": "application/json"} | self._authorization()
        url = yarl.URL(self._way.address + path, encoded=True)
        try:
            async with self._session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                wait = response.headers.get("Retry-After", "")
                text = await response.text(errors="replace")
                return Answer(status=response.status, text=text, wait_s=float(wait) if wait.isdigit() else None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LedgerError(f"The ledger at {self._way.address} does not answer: {str(error) or type(error).__name__}.") from error

    def _authorization(self) -> dict[str, str]:
        if self._way.token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._way.token_file.read_text().strip()}"}
        except OSError as error:
            raise LedgerError(f"The token for the ledger cannot be read: {error}.") from error


def path(namespace: str, name: str) -> str:
    """Of an experiment."""
    return f"/v1/experiments/{quote(namespace, safe='')}/{quote(name, safe='')}"


def looks_path(namespace: str, name: str, *, after: int) -> str:
    """Of the looks after one."""
    return f"{path(namespace, name)}/looks?{urlencode({'after': after, 'limit': MOST_LOOKS})}"
