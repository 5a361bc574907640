"""Redis gone, wiped, or of somebody else: clear errors, and missing rows rather than wrong ones."""

import time
from pathlib import Path

import pytest

from features.shop import Shop, frame, stats
from slipway_feast.online_store import StoreUnavailable
from slipway_features import keys
from slipway_testing.redis_server import RedisServer


def test_without_redis_feast_says_what_and_where_and_no_password(shop: Shop, server: RedisServer) -> None:
    server.stop()

    for attempt in (lambda: shop.online([1]), lambda: shop.write(stats(1)), shop.materialize, lambda: shop.store().teardown()):
        with pytest.raises(StoreUnavailable) as told:
            attempt()
        assert str(told.value).startswith(f"Redis at 127.0.0.1:{server.port} does not answer, so features can be neither read nor written: ")
        assert "s3cret" not in str(told.value)


def test_redis_that_comes_back_is_used_again(shop: Shop, server: RedisServer) -> None:
    shop.write(stats(1))
    store = shop.store()
    server.stop()
    with pytest.raises(StoreUnavailable):
        shop.online([1])
    server.start()

    assert shop.online([1]) == [None]
    store.write_to_online_store("user_stats", df=frame([stats(1)]))
    assert shop.online([1]) == [0.5]


def test_a_redis_that_hangs_is_given_up(shop: Shop, server: RedisServer) -> None:
    file = shop.folder / "feature_store.yaml"
    file.write_text(file.read_text() + "  timeout_s: 0.2\n")
    shop.client.client_pause(20_000)

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Timeout"):
        shop.online([1])

    assert time.monotonic() - begun < 15


def test_after_a_wipe_rows_are_missing_and_materialize_brings_schema_and_rows_back(shop: Shop, server: RedisServer) -> None:
    shop.materialize()
    shop.client.flushall()

    assert shop.online([1, 2]) == [None, None]
    assert shop.read([1])[1] == [1]

    shop.materialize()

    assert shop.online([1]) == [0.5]
    assert shop.client.exists(keys.schema_key("shop", "user_stats"))


def test_a_schema_that_somebody_overwrote_is_written_by_the_next_apply(shop: Shop) -> None:
    shop.client.set(keys.schema_key("shop", "user_stats"), b"nonsense")

    with pytest.raises(ValueError, match="View user_stats of project shop has another schema"):
        shop.write(stats(1))
    shop.store().apply([shop.defined["user_stats"]])
    shop.write(stats(1))

    assert shop.online([1]) == [0.5]


def test_another_url_is_told_at_once(shop: Shop) -> None:
    file = Path(shop.folder) / "feature_store.yaml"
    file.write_text(file.read_text().replace("redis://", "http://"))

    with pytest.raises(ValueError, match="redis://, rediss://, unix://"):
        shop.online([1])
