"""The features of a shop: statistics of users by the hour, and of what a user did with an item."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Float32, Int64, String

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

stats_by_hour = FileSource(path="data/user_stats.parquet", timestamp_field="event_timestamp", created_timestamp_column="created")

user_stats = FeatureView(
    name="user_stats",
    entities=[user],
    ttl=timedelta(days=7),
    schema=[Field(name="ctr", dtype=Float32), Field(name="clicks", dtype=Int64), Field(name="country", dtype=String)],
    source=PushSource(name="user_stats_now", batch_source=stats_by_hour),
)

user_item = FeatureView(
    name="user_item",
    entities=[user, item],
    ttl=timedelta(0),
    schema=[Field(name="affinity", dtype=Float32), Field(name="taste", dtype=Array(Float32))],
    source=FileSource(path="data/user_item.parquet", timestamp_field="event_timestamp"),
)

ranker = FeatureService(name="ranker", features=[user_stats, user_item])
