"""Feast's features as Slipway serves them: the online store to name in feature_store.yaml."""

from slipway_feast.online_store import PackedRedisOnlineStore, PackedRedisOnlineStoreConfig

__all__ = ["PackedRedisOnlineStore", "PackedRedisOnlineStoreConfig"]
