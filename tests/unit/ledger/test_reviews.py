"""Whose token it is: how often the API server is asked, and what is made of its answers."""

import asyncio
import base64
import json
from typing import Any

import pytest

from slipway_ledger import reviews
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.reviews import Account, Kept, Reviews, Unreviewed

ADA = Account(namespace="shop", name="ada")
NOW = 1_000_000.0


def token(expires: Any = NOW + 3600, **claims: Any) -> str:
    """A JSON Web Token that nobody signed; ``expires`` None: it does not say when."""
    body = claims | ({} if expires is None else {"exp": int(expires) if isinstance(expires, float) else expires})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, body, "signed"))


class Server:
    """Says what a test says, when it says so; counts how often it was asked."""

    def __init__(self, says: Account | None = ADA) -> None:
        self.says = says
        self.away = False
        self.asked = 0
        self.now = NOW
        self.meters = Meters()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, _: str) -> Account | None:
        self.asked += 1
        await self.goes_on.wait()
        if self.away:
            raise Unreviewed("it is away")
        return self.says

    def reviews(self, yes_s: float = 60) -> Reviews:
        return Reviews(self, self.meters, yes_s=yes_s, clock=lambda: self.now)


async def test_a_yes_holds_for_a_minute() -> None:
    server = Server()
    found, asked = server.reviews(), token()
    for at, times in ((0, 1), (59.9, 1), (60, 2)):
        server.now = NOW + at
        assert await found.account(asked) == ADA
        assert server.asked == times
    server.says, server.now = None, NOW + 121
    assert await found.account(asked) is None
    assert server.meters.reviews == {"yes": 2, "no": 1}


async def test_a_yes_holds_no_longer_than_the_token() -> None:
    server = Server()
    found, asked = server.reviews(), token(NOW + 10)
    assert await found.account(asked) == ADA
    server.now = NOW + 10
    assert await found.account(asked) is None
    assert server.asked == 1


async def test_a_no_holds_for_five_seconds() -> None:
    server = Server(None)
    found, asked = server.reviews(), token()
    assert await found.account(asked) is None
    server.says, server.now = ADA, NOW + 4.9
    assert await found.account(asked) is None
    server.now = NOW + 5
    assert await found.account(asked) == ADA


async def test_who_asks_at_once_shares_a_review_and_others_have_their_own() -> None:
    server = Server()
    server.goes_on.clear()
    found = server.reviews()
    asking = [asyncio.create_task(found.account(token(sub=str(number % 2)))) for number in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who goes away takes nobody along
    await asyncio.sleep(0)
    server.goes_on.set()
    assert await asyncio.gather(*asking[1:]) == [ADA] * 19
    assert server.asked == 2


async def test_an_api_server_that_is_away_is_never_a_yes_and_is_asked_again() -> None:
    server = Server()
    found, asked = server.reviews(), token()
    assert await found.account(asked) == ADA
    server.away, server.now = True, NOW + 60
    for _ in range(2):
        with pytest.raises(Refused, match="does not say whose token this is") as refused:
            await found.account(asked)
        assert (refused.value.status, refused.value.reason, refused.value.retry_after_s) == (503, "review", 1)
    server.away = False
    assert await found.account(asked) == ADA
    assert server.meters.reviews == {"yes": 2, "failed": 2}


async def test_no_more_than_so_many_reviews_are_under_way() -> None:
    server = Server()
    server.goes_on.clear()
    found = server.reviews()
    asking = [asyncio.create_task(found.account(token(sub=str(number)))) for number in range(reviews.MOST_UNDER_WAY)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="32 tokens are under review") as refused:
        await found.account(token(sub="more"))
    assert (refused.value.status, refused.value.reason) == (503, "review")
    server.goes_on.set()
    await asyncio.gather(*asking)
    assert await found.account(token(sub="more")) == ADA


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    kept = Kept(2)
    for key in (b"a", b"b", b"c"):
        kept.keep(key, ADA, until=NOW)
    assert len(kept) == 2
    assert [kept.get(key, now=0) for key in (b"a", b"b", b"c")] == [None, (ADA,), (ADA,)]
    assert kept.get(b"b", now=NOW) is None
    assert len(kept) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "no-jwt",
        "a.b.c",
        token().rpartition(".")[0],
        token() + ".more",
        token(None),
        token("tomorrow"),
        token(True),
        token(-1),
        token(10**20),
        "é" + token(),
        token(more="x" * reviews.LONGEST_TOKEN),
        ".".join(["W10", "W10", "W10"]),  # []
        "." + base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".",
    ],
    ids=lambda text: text[:20],
)
async def test_nobody_is_asked_about_what_is_no_token_of_an_account(nonsense: str) -> None:
    server = Server()
    assert await server.reviews().account(nonsense) is None
    assert server.asked == 0


async def test_nobody_is_asked_about_a_token_that_says_that_it_has_expired() -> None:
    server = Server()
    assert await server.reviews().account(token(NOW)) is None
    assert server.asked == 0


def said(**changes: Any) -> dict[str, Any]:
    """The status of a good token of shop/ada."""
    return {"authenticated": True, "audiences": ["slipway-ledger"], "user": {"username": "system:serviceaccount:shop:ada"}} | changes


@pytest.mark.parametrize(
    ("status", "account"),
    [
        (said(), ADA),
        (said(audiences=["other", "slipway-ledger"]), ADA),
        (said(authenticated=False), None),
        ({"user": {}, "error": "the token has expired"}, None),
        (said(authenticated="false"), None),
        (said(audiences=None), None),
        (said(audiences=["https://kubernetes.default.svc"]), None),
        (said(user={"username": "jane"}), None),
        (said(user={"username": "system:serviceaccount:shop:"}), None),
        (said(user=None), None),
    ],
)
def test_an_answer_is_a_yes_only_for_an_account_and_for_this_audience(status: dict[str, Any], account: Account | None) -> None:
    assert reviews.answer(json.dumps({"kind": "TokenReview", "status": status}).encode()) == account


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"status": 1}', b'{"status": {"user": 1}}', b"\xff"])
def test_an_answer_that_is_no_review_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unreviewed):
        reviews.answer(body)


def test_a_question_names_the_audience() -> None:
    assert reviews.question("abc") == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": "abc", "audiences": ["slipway-ledger"]},
    }
