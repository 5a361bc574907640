"""Asking a ledger for looks: by its own address, or through the service proxy of the API server.

The service proxy keeps the header Authorization for itself, so the ledger's token goes in one of its own. That token is of an account that has no
pods and may do nothing but read from the ledger; the API server makes it for whoever may ask for it, and it ends by itself.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import aiohttp
import yarl

from slipway_operator import errors
from slipway_operator.cli.experiment import looks
from slipway_operator.cli.experiment.looks import Recorded, Unanswerable
from slipway_operator.cluster import credentials

NAMESPACE: Final = "slipway-system"
ACCOUNT: Final = "slipway-ledger-reader"
AUDIENCE: Final = "slipway-ledger"
PROXY: Final = f"/api/v1/namespaces/{NAMESPACE}/services/http:slipway-ledger:8080/proxy"
TOKEN_REQUEST: Final = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
TOKEN_HEADER: Final = "X-Slipway-Authorization"  # noqa: S105
TOKEN_LIFETIME_S: Final = 600
"""The least that an API server gives out."""

_TIMEOUT_S: Final = 30.0
_TRIES: Final = 4
_LONGEST_WAIT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class _Way:
    """To one server. Secrets stay out of ``repr``."""

    address: str
    """``http://host:port``, and a path before that of a request."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secure: ssl.SSLContext | bool = True
    proxy_url: str | None = field(default=None, repr=False)


async def direct(address: str, *, token_file: str | None, namespace: str, name: str) -> tuple[Recorded, ...]:
    """All looks of an experiment, from a ledger at ``http://host:port``.

    Args:
        address: of the ledger.
        token_file: holds a token with the role reader.
        namespace: of the experiment.
        name: the ledger's name of it (``plan.ledger_name``).

    Raises:
        Unanswerable: it has none, refuses, or does not answer.

    """
    if not address.startswith(("http://", "https://")):
        raise Unanswerable(f"{address} is no address of a ledger; it should begin with http:// or https://")
    headers = {"Authorization": f"Bearer {_token(token_file)}"} if token_file else {}
    return await _looks(_Way(address=address.rstrip("/"), headers=headers), namespace=namespace, name=name)


async def through(found: credentials.Credentials, *, namespace: str, name: str) -> tuple[Recorded, ...]:
    """The same from the ledger of a cluster, through its API server.

    Raises:
        Unanswerable: as ``direct``.
        errors.ApiError: the API server gives no token for the ledger.

    """
    secure = await asyncio.to_thread(found.ssl_context) if found.server.startswith("https:") else True
    server = _Way(address=found.server, headers=credentials.Bearer(found).headers(), secure=secure, proxy_url=found.proxy_url)
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": TOKEN_LIFETIME_S},
    }
    async with _session(server) as session:
        status, answer = await _ask(session, server, TOKEN_REQUEST, body=asked)
    if status == 404:
        account = f"{NAMESPACE}/{ACCOUNT}"
        raise Unanswerable(f"the cluster has no ServiceAccount {account}: install Slipway's ledger, or ask one by its address with --ledger URL")
    if status >= 300:
        raise errors.from_answer(request=f"create a token of ServiceAccount {NAMESPACE}/{ACCOUNT}", status=status, body=answer)
    token = answer["status"]["token"]
    way = _Way(
        address=found.server + PROXY,
        headers=dict(server.headers) | {TOKEN_HEADER: f"Bearer {token}"},
        secure=secure,
        proxy_url=found.proxy_url,
    )
    return await _looks(way, namespace=namespace, name=name)


async def _looks(way: _Way, *, namespace: str, name: str) -> tuple[Recorded, ...]:
    """A hundred at a time, until there are no more."""
    path = f"/v1/experiments/{quote(namespace, safe='')}/{quote(name, safe='')}/looks"
    found: list[Recorded] = []
    with looks.nothing_collected():
        async with _session(way) as session:
            while True:
                after = found[-1].sequence if found else 0
                status, answer = await _ask(session, way, f"{path}?after={after}")
                if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("looks"), list):
                    _refused(way, status, answer, experiment=f"{namespace}/{name}")
                page = [looks.parse(one, where=f"a look of {namespace}/{name}") for one in answer["looks"]]
                found += page
                if not page or page[-1].sequence >= answer.get("last", 0):
                    return looks.checked(found, where=f"the ledger's {namespace}/{name}")


def _session(way: _Way) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=way.secure)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), proxy=way.proxy_url, headers=way.headers)


async def _ask(session: aiohttp.ClientSession, way: _Way, path: str, *, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    """Status and answer, an object where it is one; busy ledgers are waited for a bounded number of times."""
    method, url = "GET" if body is None else "POST", yarl.URL(way.address + path, encoded=True)
    for left in range(_TRIES - 1, -1, -1):
        try:
            async with session.request(method, url, json=body, allow_redirects=False) as response:
                status, text, wait = response.status, await response.text(errors="replace"), response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = errors.clean(f"{way.address} does not answer: {str(error) or type(error).__name__}")
            raise Unanswerable(f"{said}; see that the address is right and the ledger runs, or use --looks FILE") from error
        if status not in (429, 503) or not left or not wait.isdigit() or int(wait) > _LONGEST_WAIT_S:
            break
        await asyncio.sleep(int(wait))
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def _refused(way: _Way, status: int, answer: Any, *, experiment: str) -> NoReturn:
    """Say what the ledger said, and what helps."""
    said = (answer.get("error") or answer.get("message") if isinstance(answer, dict) else None) or str(answer)[:200]
    advice = {
        401: "give a token that the ledger knows: --token-file FILE",
        403: "the token needs the role reader in that namespace (docs/spec/ledger.md, who may do what)",
        404: "it has not begun, or its data went after the retention; see that name, namespace and uid are right",
    }.get(status, "try again; the ledger's log says more")
    raise Unanswerable(errors.clean(f"{experiment}: {way.address} answers {status}: {said}; {advice}"))


def _token(token_file: str) -> str:
    try:
        token = Path(token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unanswerable(f"cannot read a token from {token_file} ({error}); give the file of a token with the role reader") from error
    if not token or len(token.split()) != 1:
        raise Unanswerable(f"{token_file} holds no token; give the file of a token with the role reader")
    return token
