"""Who may do what: bearer tokens from a file that is read again when it changes.

A line is ``role token [namespace]``; what follows # is for people. A token may stand on several lines. Without a namespace it holds in all of them.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway_ledger import logs
from slipway_ledger.refusals import Refused

ROLES = ("router", "application", "reader", "admin")
"""Write exposures; write outcomes and labels; read; everything."""
LEAST_TOKEN = 16
_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class NoTokens(Exception):
    """The file of tokens does not hold what it should; the message says which line and what is wrong, and no token."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token allows."""

    role: str
    namespace: str | None
    """None: all of them."""


def parse(text: str) -> Mapping[bytes, tuple[Grant, ...]]:
    """Grants by the hash of their token. NoTokens: a line is none."""
    found: dict[bytes, tuple[Grant, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or words[0] not in ROLES:
            raise NoTokens(f"line {number} of the tokens should be `role token` or `role token namespace`, the role one of {', '.join(ROLES)}")
        if len(words[1]) < LEAST_TOKEN:
            raise NoTokens(f"line {number} of the tokens has a token of {len(words[1])} characters: it should have at least {LEAST_TOKEN}")
        hashed = _hash(words[1])
        found[hashed] = (*found.get(hashed, ()), Grant(role=words[0], namespace=words[2] if len(words) == 3 else None))
    if not found:
        raise NoTokens("there are no tokens: nobody could do anything")
    return found


class Tokens:
    """The grants of a file. A file that is spoiled while the ledger runs changes nothing, and is logged."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._next = clock() + _EVERY_S
        self._stamp = self._stamped()
        self._grants = self._read()
        self._seldom = logs.Seldom(_log)

    def allow(self, header: str | None, *, roles: tuple[str, ...], namespace: str | None = None) -> None:
        """Refused: 401 where the Authorization header holds no token of ours, 403 where its token has none of the roles (in the namespace)."""
        grants = self._of(header)
        fitting = [grant for grant in grants if grant.role == "admin" or grant.role in roles]
        if not fitting:
            raise Refused(f"this token may not do that: it takes the role {' or '.join((*roles, 'admin'))}", status=403, reason="role")
        if all(grant.namespace is not None and grant.namespace != namespace for grant in fitting):
            where = f"in namespace {namespace}" if namespace else "in all namespaces"
            raise Refused(f"this token may not do that {where}", status=403, reason="namespace")

    def namespaces(self, header: str | None, *, roles: tuple[str, ...]) -> frozenset[str] | None:
        """The namespaces in which the token has one of the roles; None: all. Refused: as ``allow``."""
        fitting = [grant for grant in self._of(header) if grant.role == "admin" or grant.role in roles]
        if not fitting:
            raise Refused(f"this token may not do that: it takes the role {' or '.join((*roles, 'admin'))}", status=403, reason="role")
        if any(grant.namespace is None for grant in fitting):
            return None
        return frozenset(grant.namespace for grant in fitting if grant.namespace)

    def _of(self, header: str | None) -> tuple[Grant, ...]:
        self._refresh()
        kind, _, token = (header or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Refused("send a token: Authorization: Bearer ...", status=401, reason="token")
        grants = self._grants.get(_hash(token.strip()))
        if grants is None:
            raise Refused("this token is not known, or not any more", status=401, reason="token")
        return grants

    def _refresh(self) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            self._grants = self._read()
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

    def _read(self) -> Mapping[bytes, tuple[Grant, ...]]:
        try:
            return parse(self._path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise NoTokens(f"the tokens cannot be read from {self._path}: {error}") from None


def _hash(token: str) -> bytes:
    """So that the time a comparison takes says nothing about a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
