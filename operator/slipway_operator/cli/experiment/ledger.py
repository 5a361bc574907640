"""Asking a ledger for looks: by its own address, or through the service proxy of the API server.

The service proxy keeps the header Authorization for itself, so the ledger's token goes in one of its own. That token is of an account that has no
pods and may do nothing but read from the ledger; the API server makes it for whoever may ask for it, and it ends by itself.
"""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any, Final, NoReturn

from slipway_operator import errors
from slipway_operator.cli.experiment import looks
from slipway_operator.cli.experiment.looks import Recorded, Unanswerable
from slipway_operator.cluster import credentials
from slipway_operator.cluster.ledger_requests import Answer, Requests, Way, looks_path

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
    return await _looks(Way(address=address.rstrip("/"), headers=headers, timeout_s=_TIMEOUT_S), namespace=namespace, name=name)


async def through(found: credentials.Credentials, *, namespace: str, name: str) -> tuple[Recorded, ...]:
    """The same from the ledger of a cluster, through its API server.

    Raises:
        Unanswerable: as ``direct``.
        errors.ApiError: the API server gives no token for the ledger.

    """
    secure = await asyncio.to_thread(found.ssl_context) if found.server.startswith("https:") else True
    headers = credentials.Bearer(found).headers()
    server = Way(address=found.server, headers=headers, secure=secure, proxy_url=found.proxy_url, timeout_s=_TIMEOUT_S)
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": TOKEN_LIFETIME_S},
    }
    async with Requests(server) as requests:
        answer = await _asked(requests, server, "POST", TOKEN_REQUEST, body=asked)
    if answer.status == 404:
        account = f"{NAMESPACE}/{ACCOUNT}"
        raise Unanswerable(f"the cluster has no ServiceAccount {account}: install Slipway's ledger, or ask one by its address with --ledger URL")
    if answer.status >= 300:
        raise errors.from_answer(request=f"create a token of ServiceAccount {NAMESPACE}/{ACCOUNT}", status=answer.status, body=answer.body)
    token = answer.body["status"]["token"]
    headers = dict(server.headers) | {TOKEN_HEADER: f"Bearer {token}"}
    return await _looks(dataclasses.replace(server, address=found.server + PROXY, headers=headers), namespace=namespace, name=name)


async def _looks(way: Way, *, namespace: str, name: str) -> tuple[Recorded, ...]:
    """As many at a time as the ledger gives, until there are no more."""
    found: list[Recorded] = []
    with looks.nothing_collected():
        async with Requests(way) as requests:
            while True:
                after = found[-1].sequence if found else 0
                answer = await _asked(requests, way, "GET", looks_path(namespace, name, after=after))
                told = answer.body
                if answer.status != 200 or not isinstance(told, dict) or not isinstance(told.get("looks"), list):
                    _refused(way, answer, experiment=f"{namespace}/{name}")
                page = [looks.parse(one, where=f"a look of {namespace}/{name}") for one in told["looks"]]
                found += page
                if not page or page[-1].sequence >= told.get("last", 0):
                    return looks.checked(found, where=f"the ledger's {namespace}/{name}")


async def _asked(requests: Requests, way: Way, method: str, path: str, *, body: Any = None) -> Answer:
    """What is answered; busy servers are waited for a bounded number of times."""
    for left in range(_TRIES - 1, -1, -1):
        try:
            answer = await requests.ask(method, path, body=body)
        except errors.LedgerError as error:
            said = errors.clean(f"{way.address} does not answer: {str(error.__cause__) or type(error.__cause__).__name__}")
            raise Unanswerable(f"{said}; see that the address is right and the ledger runs, or use --looks FILE") from error
        if answer.status not in (429, 503) or not left or answer.wait_s is None or answer.wait_s > _LONGEST_WAIT_S:
            return answer
        await asyncio.sleep(answer.wait_s)
    raise AssertionError("the last try is returned")


def _refused(way: Way, answer: Answer, *, experiment: str) -> NoReturn:
    """Say what the ledger said, and what helps."""
    if answer.status == 404:
        why = "it has not begun, or its data went after the retention; see that name, namespace and uid are right"
        raise Unanswerable(errors.clean(f"{experiment} has no looks in the ledger at {way.address}: {why}"))
    advice = {
        401: "give a token that the ledger knows: --token-file FILE",
        403: "the token needs the role reader in that namespace (docs/spec/ledger.md, who may do what)",
    }.get(answer.status, "try again; the ledger's log says more")
    raise Unanswerable(errors.clean(f"{experiment}: {way.address} answers {answer.status}: {answer.said}; {advice}"))


def _token(token_file: str) -> str:
    try:
        token = Path(token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unanswerable(f"cannot read a token from {token_file} ({error}); give the file of a token with the role reader") from error
    if not token or len(token.split()) != 1:
        raise Unanswerable(f"{token_file} holds no token; give the file of a token with the role reader")
    return token
