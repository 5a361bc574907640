"""Who may do what: lines of the tokens file, and what they allow."""

from pathlib import Path

import pytest

from slipway_ledger import tokens
from slipway_ledger.meters import Meters
from slipway_ledger.refusals import Refused
from slipway_ledger.reviews import Account, Reviews
from slipway_ledger.tokens import Grant, NoTokens, Tokens

LONG = "a-token-of-some-length"


class Clock:
    """Seconds that a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def test_tokens_have_roles_and_namespaces(tmp_path: Path) -> None:
    file = written(tmp_path / "tokens", f"# who may\nrouter {LONG} shop  # routers of the shop\nreader {LONG} other\nadmin {LONG}-2\n")
    found = Tokens(file)
    shop, admin = await found.grants(f"Bearer {LONG}"), await found.grants(f"bearer {LONG}-2")

    assert tokens.namespaces(shop, roles=("router",)) == frozenset(("shop",))
    assert tokens.namespaces(admin, roles=("router",)) is None
    tokens.allow(shop, roles=("router",), namespace="shop")
    with pytest.raises(Refused, match="in namespace other") as refused:
        tokens.allow(shop, roles=("router",), namespace="other")
    assert (refused.value.status, refused.value.reason) == (403, "namespace")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("router", "line 1 of the tokens should be"),
        (f"\nowner {LONG}", "line 2 of the tokens should be"),
        (f"router {LONG} shop more", "line 1 of the tokens should be"),
        ("router short", "has a token of 5 characters"),
        ("# nobody\n", "there are no tokens"),
        ("router account", "line 1 of the tokens should be"),
        ("router account shop/a shop more", "line 1 of the tokens should be"),
        ("router account shop", "name the account as `namespace/name`"),
        ("router account shop/A", "name the account as `namespace/name`"),
        ("router account shop/a/b", "name the account as `namespace/name`"),
        ("router account sh*p/a", "name the account as `namespace/name`"),
        ("router account */a shop", "a \\* and a namespace"),
    ],
)
def test_a_line_that_is_none_is_told_without_its_token(text: str, told: str) -> None:
    with pytest.raises(NoTokens, match=told) as error:
        tokens.parse(text)
    assert LONG not in str(error.value)


@pytest.mark.parametrize(
    ("account", "allowed"),
    [
        ("slipway-system/slipway-operator", [("admin", None), ("application", "slipway-system")]),
        ("slipway-system/slipway-router", [("router", "slipway-system"), ("application", "slipway-system")]),
        ("shop/slipway-router", [("router", "shop"), ("application", "shop")]),
        ("shop/slipway-operator", [("application", "shop")]),
        ("bank/teller", [("reader", "shop"), ("reader", "bank"), ("application", "bank"), ("router", "bank")]),
        ("bank/clerk", [("application", "bank"), ("router", "bank")]),
    ],
)
def test_an_account_may_do_what_the_lines_that_fit_it_say(account: str, allowed: list[tuple[str, str | None]]) -> None:
    lines = tokens.parse(
        "admin account slipway-system/slipway-operator\nrouter account */slipway-router\nreader account bank/teller shop\n"
        "reader account bank/teller bank  # two lines\napplication account */*\nrouter account bank/*\n"
    )
    namespace, _, name = account.partition("/")

    assert lines.of(Account(namespace=namespace, name=name)) == tuple(Grant(role=role, namespace=where) for role, where in allowed)


async def test_an_account_that_no_line_fits_is_known_and_may_do_nothing(tmp_path: Path) -> None:
    file = written(tmp_path / "tokens", "reader account shop/a\n")

    async def somebody(_: str) -> Account | None:
        return Account(namespace="shop", name="b")

    reviews = Reviews(somebody, Meters(), yes_s=60)
    grants = await Tokens(file, reviews).grants(f"Bearer {TOKEN}")
    with pytest.raises(Refused, match="it takes the role reader or admin") as refused:
        tokens.namespaces(grants, roles=("reader",))
    assert (refused.value.status, refused.value.reason) == (403, "role")


async def test_nobody_is_asked_about_a_token_where_no_line_names_an_account(tmp_path: Path) -> None:
    file = written(tmp_path / "tokens", f"reader {LONG}\n")

    async def asked(_: str) -> Account | None:
        raise AssertionError

    with pytest.raises(Refused) as refused:
        await Tokens(file, Reviews(asked, Meters(), yes_s=60)).grants(f"Bearer {TOKEN}")
    assert (refused.value.status, refused.value.reason) == (401, "token")


def test_accounts_without_an_api_server_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(NoTokens, match="say in SLIPWAY_KUBE_SERVER which API server knows them"):
        Tokens(written(tmp_path / "tokens", "reader account shop/a\n"))


async def test_tokens_are_read_again_at_most_once_a_second_and_when_they_changed(tmp_path: Path) -> None:
    file, clock = written(tmp_path / "tokens", f"reader {LONG}\n"), Clock()
    found = Tokens(file, clock=clock)
    written(file, f"reader {LONG}-other\n")
    await found.grants(f"Bearer {LONG}")
    clock.now = 1.0
    with pytest.raises(Refused, match="not known, or not any more"):
        await found.grants(f"Bearer {LONG}")
    file.unlink()
    clock.now = 2.0
    await found.grants(f"Bearer {LONG}-other")


# {"alg":"RS256"} and {"exp":9007199254740991}: no signature, for nobody here looks at one
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjkwMDcxOTkyNTQ3NDA5OTF9.c2lnbmF0dXJl"
