"""Who may do what: bearer tokens and service accounts from a file that is read again when it changes.

A line is ``role token [namespace]`` or ``role account namespace/name [namespace]``; what follows # is for people. A token and an account may stand on
several lines. Without a namespace at its end a line holds in all of them; one whose account has a ``*`` holds for each account that it fits in the
account's own namespace, and nowhere else.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from slipway_ledger.refusals import Refused
from slipway_ledger.reviews import Account, Reviews
from slipway_service import logs

ROLES = ("router", "application", "reader", "admin")
"""Write exposures; write outcomes and labels; read; everything."""
LEAST_TOKEN = 16
ANY = "*"
_ACCOUNT = "account"
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?|\*")
_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class NoTokens(Exception):
    """The file of tokens does not hold what it should; the message says which line and what is wrong, and no token."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a line allows."""

    role: str
    namespace: str | None
    """None: all of them."""


Grants: TypeAlias = tuple[Grant, ...]
"""What somebody may do."""


@dataclass(frozen=True, kw_only=True)
class AccountLine:
    """A line that names service accounts."""

    role: str
    account: Account
    """With ``*`` for any namespace or any name."""
    namespace: str | None
    """None: all, or the account's own where it has a ``*``."""

    def grant(self, account: Account) -> Grant | None:
        """What it allows an account; None: it does not fit."""
        if self.account.namespace not in (ANY, account.namespace) or self.account.name not in (ANY, account.name):
            return None
        own = ANY in (self.account.namespace, self.account.name)
        return Grant(role=self.role, namespace=account.namespace if own else self.namespace)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What a file says."""

    tokens: Mapping[bytes, Grants] = field(repr=False)
    """By the hash of the token."""
    accounts: tuple[AccountLine, ...]

    def of(self, account: Account) -> Grants:
        """What an account may do."""
        return tuple(grant for line in self.accounts if (grant := line.grant(account)) is not None)


def parse(text: str) -> Lines:
    """NoTokens: a line is none."""
    tokens: dict[bytes, Grants] = {}
    accounts: list[AccountLine] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) < 2 or words[0] not in ROLES:
            raise _wrong(number)
        if words[1] == _ACCOUNT:
            accounts.append(_account_line(number, words[0], words[2:]))
            continue
        if len(words) > 3:
            raise _wrong(number)
        if len(words[1]) < LEAST_TOKEN:
            raise NoTokens(f"line {number} of the tokens has a token of {len(words[1])} characters: it should have at least {LEAST_TOKEN}")
        hashed = _hash(words[1])
        tokens[hashed] = (*tokens.get(hashed, ()), Grant(role=words[0], namespace=words[2] if len(words) == 3 else None))
    if not tokens and not accounts:
        raise NoTokens("there are no tokens: nobody could do anything")
    return Lines(tokens=tokens, accounts=tuple(accounts))


def _wrong(number: int) -> NoTokens:
    return NoTokens(
        f"line {number} of the tokens should be `role token [namespace]` or `role account namespace/name [namespace]`, "
        f"the role one of {', '.join(ROLES)}"
    )


def _account_line(number: int, role: str, words: list[str]) -> AccountLine:
    if not 1 <= len(words) <= 2:
        raise _wrong(number)
    namespace, _, name = words[0].partition("/")
    if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise NoTokens(f"line {number} of the tokens should name the account as `namespace/name`, with * for any of the two")
    if len(words) == 2 and ANY in (namespace, name):
        raise NoTokens(f"line {number} of the tokens has a * and a namespace: whom a * fits may do it in the own namespace only")
    return AccountLine(role=role, account=Account(namespace=namespace, name=name), namespace=words[1] if len(words) == 2 else None)


def allow(grants: Grants, *, roles: tuple[str, ...], namespace: str | None = None) -> None:
    """Refused (403): none of them is one of the roles (in the namespace)."""
    if all(grant.namespace not in (None, namespace) for grant in _fitting(grants, roles)):
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        raise Refused(f"this token may not do that {where}", status=403, reason="namespace")


def namespaces(grants: Grants, *, roles: tuple[str, ...]) -> frozenset[str] | None:
    """The namespaces in which they have one of the roles; None: all. Refused (403): in none."""
    fitting = _fitting(grants, roles)
    if any(grant.namespace is None for grant in fitting):
        return None
    return frozenset(grant.namespace for grant in fitting if grant.namespace)


def _fitting(grants: Grants, roles: tuple[str, ...]) -> Grants:
    fitting = tuple(grant for grant in grants if grant.role == "admin" or grant.role in roles)
    if not fitting:
        raise Refused(f"this token may not do that: it takes the role {' or '.join((*roles, 'admin'))}", status=403, reason="role")
    return fitting


class Tokens:
    """The lines of a file. One that is spoiled while the ledger runs changes nothing, and is logged."""

    def __init__(self, path: Path, reviews: Reviews | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._reviews = reviews
        self._clock = clock
        self._next = clock() + _EVERY_S
        self._stamp = self._stamped()
        self._lines = self._read()
        self._seldom = logs.Seldom(_log)

    async def grants(self, header: str | None) -> Grants:
        """What the token of an Authorization header may do. Refused: there is none, or it is not known (401); nobody can say whose it is (503)."""
        self._refresh()
        kind, _, token = (header or "").partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise Refused("send a token: Authorization: Bearer ...", status=401, reason="token")
        known = self._lines.tokens.get(_hash(token))
        if known is not None:
            return known
        account = await self._reviews.account(token) if self._lines.accounts and self._reviews is not None else None
        if account is None:
            raise Refused("this token is not known, or not any more", status=401, reason="token")
        return self._lines.of(account)

    def _refresh(self) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            self._lines = self._read()
            self._stamp = stamp
            _log.info("the tokens were read again")
        except NoTokens as error:
            self._seldom.warning("the tokens stay as they were: %s", error)

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> Lines:
        try:
            lines = parse(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise NoTokens(f"the tokens cannot be read from {self._path}: {error}") from None
        if lines.accounts and self._reviews is None:
            raise NoTokens("the tokens name service accounts, and this is no pod: say in SLIPWAY_KUBE_SERVER which API server knows them")
        return lines


def _hash(token: str) -> bytes:
    """So that the time a comparison takes says nothing about a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
