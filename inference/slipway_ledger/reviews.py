"""Whose token it is: service accounts, as the API server knows them.

What it said is kept for a while, so that it is asked about a token once a minute and not at each request.
"""

import asyncio
import base64
import binascii
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_service import logs

AUDIENCE = "slipway-ledger"
"""Whom a token has to be made for: one that leaks from here is good for nothing else, and one made for something else is good for nothing here."""
NO_S = 5.0
"""How long a no is kept: a token whose account was made a moment ago is not locked out for long."""
MOST_KEPT = 10_000
"""Of yes and no each; beyond, the oldest goes."""
MOST_UNDER_WAY = 32
"""Reviews at once: fewer than requests, so that an API server that hangs leaves room for those whose tokens are known."""
LONGEST_TOKEN = 8_192
_PREFIX = "system:serviceaccount:"
_log = logging.getLogger(__name__)


class Unreviewed(Exception):
    """Nobody said whether a token is good; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A service account."""

    namespace: str
    name: str


Review = Callable[[str], Awaitable[Account | None]]
"""Asks about a token: whose it is; None: it is not good. Raises Unreviewed."""


class Kept:
    """Answers by the hash of their token, each until its time is over, and no more than so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[bytes, tuple[float, Account | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def keep(self, key: bytes, account: Account | None, *, until: float) -> None:
        """Keep an answer."""
        self._found[key] = (until, account)
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def get(self, key: bytes, *, now: float) -> tuple[Account | None] | None:
        """An answer, in a tuple of one; None: none is kept, or not any more."""
        until, account = self._found.get(key, (float("-inf"), None))
        if until > now:
            return (account,)
        self._found.pop(key, None)
        return None


class Reviews:
    """Answers of the API server. Those who ask about the same token at once share one review."""

    def __init__(
        self,
        review: Review,
        counts: Meters,
        *,
        yes_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._review = review
        self._meters = counts
        self._yes_s = yes_s
        self._clock = clock
        self._yes, self._no = Kept(MOST_KEPT), Kept(MOST_KEPT)
        self._under_way: dict[bytes, asyncio.Task[Account | None]] = {}
        self._seldom = logs.Seldom(_log)

    async def account(self, token: str) -> Account | None:
        """Whose token it is; None: nobody's. Refused (503): nobody can say now."""
        expires = expiry(token)
        if expires is None:
            return None
        now, key = self._clock(), hashlib.sha256(token.encode()).digest()
        found = self._yes.get(key, now=now) or self._no.get(key, now=now)
        if found is not None:
            return found[0]
        if expires <= now:  # the API server would say so too
            return None
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise _away(f"{MOST_UNDER_WAY} tokens are under review")
            task = self._under_way[key] = asyncio.create_task(self._reviewed(token, key, expires))
        try:
            return await asyncio.shield(task)
        except Unreviewed as error:
            self._seldom.warning("tokens cannot be reviewed: %s", error)
            raise _away("the API server does not say whose token this is") from None

    async def _reviewed(self, token: str, key: bytes, expires: float) -> Account | None:
        result = "failed"
        try:
            account = await self._review(token)
            result = "no" if account is None else "yes"
            if account is None:
                self._no.keep(key, None, until=self._clock() + NO_S)
            else:
                self._yes.keep(key, account, until=min(self._clock() + self._yes_s, expires))
            return account
        finally:
            self._meters.reviews[result] += 1
            del self._under_way[key]


def _away(sentence: str) -> Refused:
    return Refused(f"{sentence}: try again in a second", status=503, reason="review", retry_after_s=1)


def expiry(token: str) -> float | None:
    """When a token says that it expires, in seconds since 1970; None: it is no token of an account's. True only of a token that was reviewed."""
    parts = token.split(".")
    if len(token) > LONGEST_TOKEN or len(parts) != 3 or not token.isascii():
        return None
    claims = _decoded(parts[1])
    if not isinstance(claims, dict) or not isinstance(_decoded(parts[0]), dict):
        return None
    found = claims.get("exp")
    return float(found) if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else None


def _decoded(part: str) -> Any:
    """A part of a JSON Web Token (RFC 7515: base64url without padding); None: it is none."""
    try:
        return json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def question(token: str) -> dict[str, Any]:
    """A TokenReview that asks about a token."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": [AUDIENCE]}}


def answer(body: bytes) -> Account | None:
    """What a TokenReview said: whose token it is; None: it is not good, not for us, or no service account's. Unreviewed: it is no TokenReview."""
    try:
        status = json.loads(body)["status"]
        yes, audiences, user = status.get("authenticated", False), status.get("audiences") or (), (status.get("user") or {}).get("username", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unreviewed("the API server's answer is no TokenReview") from None
    # A server that knows nothing of audiences answers without any: then the token may be anybody's for anything.
    if yes is not True or AUDIENCE not in audiences or not str(user).startswith(_PREFIX):
        return None
    namespace, _, name = str(user).removeprefix(_PREFIX).partition(":")
    return Account(namespace=namespace, name=name) if namespace and name else None
