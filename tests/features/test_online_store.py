"""Feast with Slipway's online store: everything as Feast documents it, and rows as the transformer reads them."""

import logging
from datetime import timedelta

import pytest
from feast import FeatureView, Field
from feast.data_source import PushMode
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.types import Float32, Int64, String

from features.shop import NOW, Shop, frame, pair, stats
from slipway_feast import views
from slipway_feast.online_store import PackedRedisOnlineStore, SchemaChanged, Written
from slipway_features import keys
from slipway_features.schema import Schema

NAN = pytest.approx(float("nan"), nan_ok=True)
SCHEMA_KEY = b"slipway:schema:shop:user_stats"


def row_keys(shop: Shop) -> list[bytes]:
    return sorted(shop.client.scan_iter(match=b"slipway:row:*"))


def test_apply_writes_the_schema(shop: Shop) -> None:
    found = shop.client.get(SCHEMA_KEY)

    assert isinstance(found, bytes)
    assert Schema.parse(found) == Schema.of([("clicks", "int64"), ("country", "string"), ("ctr", "float32")], ttl_s=7 * 86400)


def test_materialize_writes_the_latest_row_of_each_entity(shop: Shop) -> None:
    shop.materialize()

    assert shop.online([1, 2, 3]) == [0.5, pytest.approx(0.1, rel=1e-7), None]
    assert shop.read([1, 3]) == ([[0.5], [NAN]], [0, 1])
    assert row_keys(shop) == [
        keys.row_key("shop", "user_item", {"user_id": 2, "item_id": "pear"}),
        keys.row_key("shop", "user_item", {"user_id": 1, "item_id": "apple"}),
        keys.row_key("shop", "user_stats", {"user_id": 1}),
        keys.row_key("shop", "user_stats", {"user_id": 2}),
    ]


def test_materialize_incremental_adds_what_is_new(shop: Shop) -> None:
    shop.store().materialize_incremental(NOW - timedelta(hours=1, minutes=30))
    before = shop.online([1, 2])
    shop.store().materialize_incremental(NOW)

    assert before == [0.25, None]
    assert shop.online([1, 2]) == [0.5, pytest.approx(0.1, rel=1e-7)]


def test_push_writes_at_once(shop: Shop) -> None:
    shop.store().push("user_stats_now", frame([stats(9, hours=0, ctr=0.75)]), to=PushMode.ONLINE)

    assert shop.online([9]) == [0.75]


def test_a_service_is_read_with_all_its_views_and_join_keys(shop: Shop) -> None:
    shop.materialize()
    store = shop.store()

    answer = store.get_online_features(
        features=store.get_feature_service("ranker"),
        entity_rows=[{"user_id": 1, "item_id": "apple"}, {"user_id": 1, "item_id": "pear"}, {"user_id": 1, "item_id": "apple"}],
    ).to_dict()

    assert answer == {
        "user_id": [1, 1, 1],
        "item_id": ["apple", "pear", "apple"],
        "ctr": [0.5, 0.5, 0.5],
        "clicks": [7, 7, 7],
        "country": ["de", "de", "de"],
        "affinity": [0.75, None, 0.75],
        "taste": [[0.5, -1.0], None, [0.5, -1.0]],
    }


def test_the_event_time_is_told(shop: Shop) -> None:
    shop.materialize()

    answer = shop.store().get_online_features(features=["user_stats:ctr"], entity_rows=[{"user_id": 1}]).to_dict(include_event_timestamps=True)

    assert answer["ctr__ts"] == [int((NOW - timedelta(hours=1)).timestamp())]


def test_a_null_is_served_as_null(shop: Shop) -> None:
    shop.write(stats(1, ctr=None), stats(2))

    assert shop.online([1, 2]) == [None, 0.5]
    assert shop.read([1, 2], ["clicks", "ctr"]) == ([[7, NAN], [7, 0.5]], [0, 0])


def test_the_columns_of_a_written_frame_may_come_in_any_order(shop: Shop) -> None:
    shop.write(dict(reversed(stats(1).items())))

    assert shop.online([1]) == [0.5]


@pytest.mark.parametrize(
    ("rows", "stays"),
    [
        ([stats(1, hours=2, ctr=2), stats(1, hours=1, ctr=1)], 1),
        ([stats(1, hours=1, ctr=1), stats(1, hours=2, ctr=2)], 1),
        ([stats(1, created_hours=3, ctr=3), stats(1, created_hours=2, ctr=2)], 2),
        ([stats(1, created_hours=2, ctr=2), stats(1, created_hours=3, ctr=3)], 2),
        ([stats(1, hours=2, created_hours=0, ctr=2), stats(1, hours=1, created_hours=3, ctr=1)], 1),
        ([stats(1, ctr=1), stats(1, ctr=2)], 2),
        ([stats(1, hours=-1e6, ctr=1), stats(1, hours=0, ctr=2)], 1),
    ],
    ids=[
        "a later event is written",
        "an older event is not",
        "a later creation is written",
        "an older creation is not",
        "events come before creations",
        "of equal ones the last is written",
        "a century ahead",
    ],
)
def test_the_latest_row_stays_whatever_the_order_of_writing(shop: Shop, rows: list[dict[str, object]], stays: float) -> None:
    for row in rows:
        shop.write(row)

    assert shop.online([1]) == [stays]


def test_the_latest_of_one_batch_stays_as_well(shop: Shop) -> None:
    shop.write(stats(1, hours=1, ctr=1), stats(1, hours=2, ctr=2))

    assert shop.online([1]) == [1]


def test_times_before_1970_are_in_order(shop: Shop) -> None:
    shop.defined["user_stats"].ttl = timedelta(0)
    shop.store().apply([shop.defined["user_stats"]])
    century = 24 * 365 * 100

    shop.write(stats(1, hours=century, ctr=1))
    shop.write(stats(1, hours=century + 1, ctr=2))

    assert shop.online([1]) == [1]
    shop.write(stats(1, hours=0, ctr=3))
    shop.write(stats(1, hours=century, ctr=4))

    assert shop.online([1]) == [3]


def test_times_on_both_sides_of_a_half_of_32_bits_are_in_order(shop: Shop) -> None:
    middle_us = (views.microseconds(NOW) >> 32 << 32) - 2**31
    before, after = (stats(1, ctr=ctr) | {"event_timestamp": views.moment(middle_us + ctr)} for ctr in (-1, 1))

    shop.write(before)
    shop.write(after)
    shop.write(before)

    assert shop.online([1]) == [1]


def test_a_row_older_than_the_ttl_is_missing(shop: Shop) -> None:
    shop.write(stats(1, hours=7 * 24 + 1), stats(2, hours=7 * 24 - 1))

    assert shop.online([1, 2]) == [None, 0.5]
    assert shop.read([1, 2])[1] == [1, 0]


def test_a_row_that_redis_still_holds_after_its_ttl_is_missing(shop: Shop) -> None:
    shop.write(stats(1, hours=2))
    shop.client.persist(keys.row_key("shop", "user_stats", {"user_id": 1}))
    shop.defined["user_stats"].ttl = timedelta(hours=1)
    shop.store().apply([shop.defined["user_stats"]])

    assert shop.online([1]) == [None]
    assert shop.read([1])[1] == [3]


def test_redis_drops_a_row_a_moment_after_its_ttl(shop: Shop) -> None:
    shop.write(stats(1))

    expires: int = shop.client.pexpiretime(keys.row_key("shop", "user_stats", {"user_id": 1}).decode())

    assert expires == (NOW + timedelta(days=7, hours=-1)).timestamp() * 1000 + 1


def test_a_row_of_a_view_without_ttl_stays(shop: Shop) -> None:
    shop.store().write_to_online_store("user_item", df=frame([pair(1, "plum", hours=24 * 3650)]))

    assert shop.client.pexpiretime(keys.row_key("shop", "user_item", {"user_id": 1, "item_id": "plum"}).decode()) == -1


def change_schema(shop: Shop) -> None:
    """clicks goes, which stands before ctr: a row read by the wrong schema would show."""
    old = shop.defined["user_stats"]
    shop.defined["user_stats"] = FeatureView(
        name="user_stats",
        entities=[shop.defined["user"]],
        ttl=old.ttl,
        schema=[Field(name="ctr", dtype=Float32), Field(name="country", dtype=String)],
        source=old.stream_source,
    )
    shop.store().apply([shop.defined["user_stats"]])


def test_rows_of_an_old_schema_are_missing_until_they_are_materialized_anew(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.materialize()

    change_schema(shop)
    stale = shop.online([1, 2])

    assert stale == [None, None]
    assert shop.read([1, 2])[1] == [2, 2]
    told = [record.message for record in caplog.records if record.name == "slipway_feast.online_store" and record.levelno == logging.WARNING]
    assert told == [
        "The schema of view user_stats has changed: its rows count as missing until feast materialize has written them anew.",
        "2 of 2 rows of view user_stats are of another schema and count as missing; feast materialize writes them anew.",
    ]

    shop.materialize()

    assert shop.online([1]) == [0.5]
    assert shop.read([1]) == ([[0.5]], [0])


def test_the_order_of_features_is_no_part_of_the_schema(shop: Shop) -> None:
    """Feast takes a view with its features in another order for the same, and leaves the one in its registry."""
    shop.materialize()
    old = shop.defined["user_stats"]
    fields = [Field(name="country", dtype=String), Field(name="ctr", dtype=Float32), Field(name="clicks", dtype=Int64)]
    shop.store().apply([FeatureView(name="user_stats", entities=[shop.defined["user"]], ttl=old.ttl, schema=fields, source=old.stream_source)])

    assert shop.online([1]) == [0.5]
    shop.write(stats(1, hours=0, ctr=0.75))
    assert shop.online([1]) == [0.75]


def test_an_older_event_of_the_new_schema_replaces_a_row_of_the_old_one(shop: Shop) -> None:
    shop.write(stats(1, hours=0, ctr=1))
    change_schema(shop)

    shop.write(stats(1, hours=5, ctr=2))

    assert shop.online([1]) == [2]


def test_who_knows_the_old_schema_only_may_not_write(shop: Shop) -> None:
    pusher = shop.store()
    view = pusher.get_feature_view("user_stats")
    change_schema(shop)
    shop.write(stats(1))

    with pytest.raises(SchemaChanged, match="View user_stats of project shop has another schema by now"):
        pusher._get_provider().ingest_df(view, frame([stats(1, ctr=9)]))

    assert shop.online([1]) == [0.5]


def test_a_long_write_ends_where_the_schema_changes(shop: Shop) -> None:
    store = shop.store()
    rows: list[Written] = [(EntityKey(join_keys=["user_id"], entity_values=[views.proto(user, "int64")]), {}, NOW, None) for user in range(1200)]

    with pytest.raises(SchemaChanged):
        PackedRedisOnlineStore().online_write_batch(store.config, store.get_feature_view("user_stats"), rows, lambda _: change_schema(shop))

    assert len(row_keys(shop)) == 500


def test_a_removed_view_leaves_nothing(shop: Shop) -> None:
    shop.materialize()
    shop.client.set(b"slipway:row:shop:user_stats2:i1:1", b"of another view")

    shop.store().apply([shop.defined["ranker"].__class__(name="ranker", features=[shop.defined["user_item"]])])
    shop.store().apply([], objects_to_delete=[shop.defined["user_stats"]], partial=False)

    assert shop.client.get(SCHEMA_KEY) is None
    assert [key for key in row_keys(shop) if b"user_stats" in key] == [b"slipway:row:shop:user_stats2:i1:1"]
    assert len(row_keys(shop)) == 3


def test_teardown_leaves_nothing(shop: Shop) -> None:
    shop.materialize()

    shop.store().teardown()

    assert shop.client.keys() == []


def test_two_projects_share_a_redis(shop: Shop, server: object) -> None:
    shop.materialize()
    shop.client.set(b"slipway:row:shop2:user_stats:i1:1", b"of another project")

    shop.store().teardown()

    assert shop.client.keys() == [b"slipway:row:shop2:user_stats:i1:1"]


def test_many_rows_are_written_and_dropped_in_batches(shop: Shop) -> None:
    shop.write(*(stats(user, ctr=user) for user in range(1201)))

    assert len(row_keys(shop)) == 1201
    assert shop.online([0, 499, 500, 1200]) == [0, 499, 500, 1200]
    shop.store().teardown()
    assert shop.client.keys() == []


def test_a_damaged_row_is_missing(shop: Shop) -> None:
    shop.write(stats(1), stats(2))
    key = keys.row_key("shop", "user_stats", {"user_id": 1})
    whole = shop.client.get(key)
    assert isinstance(whole, bytes)
    shop.client.set(key, whole[:-1])

    assert shop.online([1, 2]) == [None, 0.5]


def test_the_script_holds_under_many_writers(shop: Shop) -> None:
    """Three pushers write the same users in different orders, at once."""
    import threading

    def push(seed: int) -> None:
        for step in range(12):
            hour = (step * (2 * seed + 1)) % 12
            shop.write(*(stats(user, hours=hour, ctr=hour) for user in range(5)))

    pushers = [threading.Thread(target=push, args=(seed,)) for seed in (0, 2, 5)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()

    assert shop.online(range(5)) == [0] * 5
