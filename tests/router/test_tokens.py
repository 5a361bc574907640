"""Bearer tokens, from files as a mounted Secret has them."""

import time
from pathlib import Path

import pytest

from router.harness import Router, table


@pytest.fixture
def guarded(router: Router) -> Router:
    """As kubelet lays a Secret out: names that lead into a folder of one moment."""
    tokens = Path(router.settings.tokens)
    moment = tokens / "..2026_11_25"
    moment.mkdir()
    (tokens / "..data").symlink_to(moment)
    for name, token in {"first": "one-token\n", "second": "another", "empty": "\n"}.items():
        (moment / name).write_text(token)
        (tokens / name).symlink_to(f"..data/{name}")
    router.serve(table(tokens=True), table(model="open"), pods={"ranker-old": [router.pod()]})
    return router


@pytest.mark.parametrize("given", ["Bearer one-token", "bearer another", "Bearer   one-token"])
def test_a_token_opens(guarded: Router, given: str) -> None:
    assert guarded.ask(x_user_id="u", authorization=given).status == 200


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", "Bearer one-toke", "Bearer one-token2", "Basic one-token", "one-token", "Bearer one token", "Bearer ONE-TOKEN"],
)
def test_anything_else_does_not(guarded: Router, given: str | None) -> None:
    answer = guarded.ask(x_user_id="u") if given is None else guarded.ask(x_user_id="u", authorization=given)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json == {"error": "ranker needs a token: send the header authorization: Bearer <token>"}


def test_a_pod_never_sees_a_token(guarded: Router) -> None:
    guarded.ask(x_user_id="u", authorization="Bearer one-token")
    assert "authorization" not in guarded.pods[0].seen[0].headers


def test_metadata_needs_one_and_health_and_other_models_do_not(guarded: Router) -> None:
    statuses = [guarded.ask("GET", path, host="ranker").status for path in ("/v2/models/ranker", "/v2/health/ready", "/v2/health/live")]
    assert statuses == [401, 200, 200]
    assert guarded.ask(path="/v2/models/open/infer", x_user_id="u").status == 200


def test_without_a_token_there_is_no_way_in(router: Router) -> None:
    router.serve(table(tokens=True), pods={"ranker-old": [router.pod()]})
    assert router.ask(x_user_id="u", authorization="Bearer ").status == 401


def test_changed_tokens_are_read_within_seconds(guarded: Router) -> None:
    assert guarded.ask(x_user_id="u", authorization="Bearer new").status == 401
    moment = Path(guarded.settings.tokens) / "..2026_11_25"
    (moment / "first").write_text("new")
    end = time.monotonic() + 8
    while guarded.ask(x_user_id="u", authorization="Bearer new").status != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert guarded.ask(x_user_id="u", authorization="Bearer one-token").status == 401


def test_tokens_are_not_in_the_log(guarded: Router) -> None:
    guarded.ask(x_user_id="u", authorization="Bearer wrong-secret")
    guarded.ask(x_user_id="u", authorization="Bearer one-token")
    assert "secret" not in guarded.log
    assert "one-token" not in guarded.log
