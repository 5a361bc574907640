"""Rows of features from a real Redis: there, away, slow, wiped, and of another schema."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from inference.conftest import Start
from inference.harness import Answer, Model, ask, many
from slipway_features import keys
from slipway_features.blob import Writer
from slipway_features.schema import Schema
from slipway_testing.redis_server import RedisServer

USERS = Schema.of([("age", "int64"), ("ctr", "float32")], ttl_s=3600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), password="s3cret") as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisServer]:
    """With the rows of users 0 to 99."""
    if redis_away(server):
        server.start()
    fill(server)
    yield server
    if redis_away(server):
        server.start()


def redis_away(server: RedisServer) -> bool:
    """Whether a test has stopped it."""
    try:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
    except redis.ConnectionError:
        return True
    return False


def fill(server: RedisServer, schema: Schema = USERS, **more: object) -> None:
    """User n is 20 + n years old and has a ctr of n / 2."""
    with redis.Redis.from_url(server.url) as client:
        client.set(keys.schema_key("shop", "users"), schema.json())
        writer = Writer(schema)
        for user in range(100):
            row = writer.row({"age": 20 + user, "ctr": user / 2} | more, time.time_ns() // 1000)
            client.set(keys.row_key("shop", "users", {"user": user}), row)


def featured(server: RedisServer, **changes: Any) -> dict[str, Any]:
    """A model of ctr, age and two numbers that clients send."""
    return {
        "request": [{"name": "user", "dtype": "INT64", "shape": [1]}, {"name": "x2", "dtype": "FP32", "shape": [2]}],
        "features": {
            "redis": server.url,
            "project": "shop",
            "into": "x",
            "columns": [{"view": "users", "feature": "ctr"}, {"view": "users", "feature": "age"}, {"input": "x2"}],
            "entities": [{"view": "users", "keys": [{"name": "user", "input": "user"}]}],
            "timeoutMilliseconds": 1000,
        }
        | changes,
    }


def of(*users: int) -> bytes:
    """A request for users, with two ones."""
    return json.dumps(
        {
            "inputs": [
                {"name": "user", "datatype": "INT64", "shape": [len(users), 1], "data": users},
                {"name": "x2", "datatype": "FP32", "shape": [len(users), 2], "data": [1] * 2 * len(users)},
            ]
        }
    ).encode()


def expected(*users: int) -> list[float]:
    """ctr + age + 2, which is what the model makes of it."""
    return [user / 2 + 20 + user + 2 for user in users]


def test_rows_of_many_requests_at_once(start: Start, store: RedisServer) -> None:
    transformer = start(featured(store))
    asked = [[(first * 7 + step) % 100 for step in range(5)] for first in range(40)]
    answers = asyncio.run(many(transformer.port, [of(*users) for users in asked]))
    assert [each.output() for each in answers] == [expected(*users) for users in asked]
    assert transformer.get("/v2/health/ready").status == 200


@pytest.mark.parametrize(("on_missing", "said"), [("Default", [expected(1)[0], 7 + 7 + 2]), ("Null", [expected(1)[0], None]), ("Reject", 422)])
def test_a_user_whom_nobody_knows(start: Start, store: RedisServer, on_missing: str, said: object) -> None:
    assert outcome(start(featured(store, onMissing=on_missing, default="7")).infer(of(1, 555))) == said


@pytest.mark.parametrize(("on_missing", "said"), [("Default", [2.0]), ("Null", [None]), ("Reject", 422)])
def test_rows_of_a_schema_before(start: Start, store: RedisServer, on_missing: str, said: object) -> None:
    transformer = start(featured(store, onMissing=on_missing))
    with redis.Redis.from_url(store.url) as client:
        later = Schema.of([("age", "int64"), ("ctr", "float32"), ("more", "bool")], ttl_s=3600)
        client.set(keys.schema_key("shop", "users"), later.json())
    assert outcome(transformer.infer(of(1))) == said
    assert transformer.metric('missing_rows_total{reason="stale",view="users"}') == 1


@pytest.mark.parametrize(("on_unavailable", "said"), [("Fail", 503), ("Default", [2.0])])
def test_a_store_that_goes_away_and_comes_back(start: Start, store: RedisServer, on_unavailable: str, said: object) -> None:
    transformer = start(featured(store, onUnavailable=on_unavailable))
    assert transformer.infer(of(3)).output() == expected(3)
    store.stop()
    assert outcome(transformer.infer(of(3))) == said
    assert transformer.get("/v2/health/ready").status == (503 if on_unavailable == "Fail" else 200)
    store.start()
    fill(store)
    assert transformer.infer(of(3)).output() == expected(3)
    assert "s3cret" not in transformer.log


@pytest.mark.parametrize(("on_unavailable", "said"), [("Fail", 503), ("Default", [2.0])])
def test_a_store_that_is_away_from_the_beginning(start: Start, store: RedisServer, on_unavailable: str, said: object) -> None:
    store.stop()
    transformer = start(featured(store, onUnavailable=on_unavailable))
    assert outcome(transformer.infer(of(3))) == said
    store.start()
    fill(store)
    assert transformer.infer(of(3)).output() == expected(3)


@pytest.mark.parametrize(("on_unavailable", "said"), [("Fail", 503), ("Default", [2.0])])
@pytest.mark.parametrize("known", [True, False], ids=["schemas-known", "schemas-unknown"])
def test_a_store_that_hangs(start: Start, store: RedisServer, on_unavailable: str, said: object, known: bool) -> None:
    transformer = start(featured(store, onUnavailable=on_unavailable, timeoutMilliseconds=100))
    if known:
        assert transformer.infer(of(3)).output() == expected(3)
    with store.hanging():
        begun = time.monotonic()
        answers = asyncio.run(many(transformer.port, [of(3)] * 40))
        took = time.monotonic() - begun
    assert [outcome(each) for each in answers] == [said] * 40
    assert took < 2  # all of them together waited for one time, not each after another: that would be 4 s
    until = time.monotonic() + 5
    while outcome(transformer.infer(of(3))) != expected(3) and time.monotonic() < until:
        time.sleep(0.05)
    assert transformer.infer(of(3)).output() == expected(3)


def test_a_store_that_was_wiped_has_no_rows(start: Start, store: RedisServer) -> None:
    transformer = start(featured(store))
    assert transformer.infer(of(3)).output() == expected(3)
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    assert transformer.infer(of(3)).output() == [2.0]
    assert transformer.metric('missing_rows_total{reason="missing",view="users"}') == 1


def test_a_store_without_the_view_says_what_to_do(start: Start, store: RedisServer) -> None:
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    said = start(featured(store)).infer(of(3))
    assert (said.status, said.said["error"]) == (503, "the online store is not there: it has no view users of project shop: run feast apply")


def test_the_operator_learns_what_a_transformer_waits_for(start: Start, store: RedisServer, model: Model) -> None:
    model.index = b'[{"name": "ranker", "version": "1", "state": "READY"}]'
    transformer = start(featured(store))
    known = ask(transformer.port, "/v2/repository/index").said
    assert known == json.loads(model.index)
    store.stop()
    missing = {"name": "online store", "state": "STORE_UNAVAILABLE", "reason": "it cannot be connected to: Connection refused"}
    assert ask(transformer.port, "/v2/repository/index").said == [*known, missing]


def test_no_connection_to_the_store_is_lost(start: Start, store: RedisServer) -> None:
    transformer = start(featured(store, timeoutMilliseconds=50, onUnavailable="Default"))
    for _ in range(3):
        with store.hanging():
            asyncio.run(many(transformer.port, [of(1)] * 60))
    with redis.Redis.from_url(store.url) as client:
        assert len(client.client_list()) <= 34
    assert transformer.infer(of(3)).output() == expected(3)


def outcome(answer: Answer) -> object:
    """The data of a good answer, or the status."""
    return answer.output() if answer.status == 200 else answer.status


@pytest.mark.parametrize(("password", "said"), [("s3cret", expected(2)), ("another", 503), ("", 503)])
def test_a_password_comes_by_the_environment(start: Start, store: RedisServer, password: str, said: object) -> None:
    transformer = start(featured(store, redis=f"redis://127.0.0.1:{store.port}/0"), redis_password=password)
    assert outcome(transformer.infer(of(2))) == said
    assert not password or password not in transformer.log
