"""The log of looks: what went into each decision, exactly as it was, so that a decision can be made again from it."""

import itertools
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from slipway_ledger.account import Account
from slipway_ledger.book import Book
from slipway_ledger.refusals import Refused
from slipway_ledger.store.rows import Rows

MOST = 100
"""Of one answer."""
MOST_BYTES = 16 * 1024 * 1024
"""Of a look. The largest that an Experiment can have takes some 9 MB: 20 ratios with covariates, 6 arms, 98 strata. A look that does not fit decides
nothing, so no look of a valid object may be too long. Numbers are most of it, and deflated and made text again it would still be half as long."""
MOST_ANSWER_BYTES = MOST_BYTES
"""Of the looks of one answer, but for the first, which is always there."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A look: its number, and whatever else its writer keeps of it."""

    sequence: Annotated[int, Meta(ge=1, le=2**53)]
    body: str = ""
    """All of it, as it came."""


class _Numbered(msgspec.Struct, frozen=True):
    sequence: Annotated[int, Meta(ge=1, le=2**53)]


def parse(body: bytes) -> Look:
    """Read a look. Refused: it is no JSON object with a sequence, or too long."""
    if len(body) > MOST_BYTES:
        raise Refused(f"the look has {len(body)} bytes: it may have {MOST_BYTES}", status=413, reason="look")
    try:
        found = msgspec.json.decode(body, type=_Numbered)
        text = body.decode()
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"a look is a JSON object with its sequence, a whole number from 1 on: {error}", reason="look") from None
    if "\x00" in text:
        raise Refused("a look is text without zero bytes", reason="look")
    return Look(sequence=found.sequence, body=text)


def append(book: Book, rows: Rows, *, namespace: str, name: str, look: Look) -> bool:
    """Append a look; whether it is new: the same one may come again. Refused (409): its number has another look, or does not follow the last one."""
    account = book.find(namespace, name)
    last = rows.last_look(account)
    if look.sequence == last + 1:
        rows.add_look(account, look.sequence, look.body)
        return True
    if look.sequence > last + 1:
        raise Refused(f"the look {look.sequence} does not follow the last one, {last}: append {last + 1} next", status=409, reason="sequence")
    [(_, body)] = rows.looks(account, after=look.sequence - 1, most=1)
    if body != look.body:
        raise Refused(f"the look {look.sequence} is there already and says something else: append {last + 1} next", status=409, reason="sequence")
    return False


def following(book: Book, rows: Rows, *, namespace: str, name: str, after: int, most: int) -> dict[str, Any]:
    """Looks after one of a number, as they came: no more than asked for, and fewer where they are long."""
    account = book.find(namespace, name)
    return {"looks": [msgspec.Raw(body) for body in _bodies(rows, account, after=after, most=most)], "last": rows.last_look(account)}


def _bodies(rows: Rows, account: Account, *, after: int, most: int) -> list[bytes]:
    """As many as fit, and the first one in any case. One is read, then as many again as there are, so that few are read that do not fit."""
    found: list[bytes] = []
    left = MOST_ANSWER_BYTES
    while len(found) < most:
        more = min(max(1, len(found)), most - len(found))
        read = [body.encode() for _, body in rows.looks(account, after=after + len(found), most=more)]
        sizes = itertools.accumulate(map(len, read))
        fitting = [body for body, size in zip(read, sizes, strict=True) if size <= left or not found]
        found += fitting
        left -= sum(map(len, fitting))
        if len(fitting) < more:
            break
    return found
