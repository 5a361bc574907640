"""The shop of examples/features, in a folder of a test's own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import redis
from feast import FeatureStore

from slipway_feast import views
from slipway_features import keys
from slipway_features.blob import Reader
from slipway_testing.golden import REPOSITORY

NOW = datetime.now(UTC).replace(microsecond=0)


class Shop:
    """A feature repository: its files, its store, and the Redis of its rows."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.client = redis.Redis.from_url(url)
        self.environment = os.environ | {
            "SHOP_REDIS": url,
            "PYTHONPATH": str(REPOSITORY / "components"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        shutil.copytree(REPOSITORY / "examples/features", folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
        (folder / "data").mkdir()
        file = folder / "feature_store.yaml"
        file.write_text(file.read_text().replace("${SHOP_REDIS}", url))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder, as a user types it."""
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def apply(self) -> None:
        """What ``feast apply`` does, with some rows in the offline store."""
        self.history([stats(1, hours=2, ctr=0.25), stats(1, hours=1, ctr=0.5), stats(2, hours=1, ctr=0.1)])
        frame([pair(1, "apple", hours=5), pair(2, "pear", hours=5)]).to_parquet(self.folder / "data/user_item.parquet")
        namespace: dict[str, Any] = {}
        exec(compile((self.folder / "shop.py").read_text(), "shop.py", "exec"), namespace)  # noqa: S102
        self.defined = {name: namespace[name] for name in ("user", "item", "user_stats", "user_item", "ranker")}
        self.store().apply(list(self.defined.values()))

    def history(self, rows: Sequence[Mapping[str, object]]) -> None:
        """The offline store's rows of user_stats."""
        frame(rows).to_parquet(self.folder / "data/user_stats.parquet")

    def store(self) -> FeatureStore:
        """As a new process sees it."""
        return FeatureStore(repo_path=str(self.folder))

    def materialize(self) -> None:
        """All that there is."""
        self.store().materialize(NOW - timedelta(days=30), NOW + timedelta(days=1))

    def write(self, *rows: Mapping[str, object]) -> None:
        """To the online store, without the offline one."""
        self.store().write_to_online_store("user_stats", df=frame(rows))

    def online(self, users: Sequence[int], feature: str = "ctr") -> list[object]:
        """What Feast serves."""
        entities = [{"user_id": user} for user in users]
        found: list[object] = self.store().get_online_features(features=[f"user_stats:{feature}"], entity_rows=entities).to_dict()[feature]
        return found

    def read(self, users: Sequence[int], columns: Sequence[str] = ("ctr",)) -> tuple[list[list[float]], list[int]]:
        """What the transformer reads: values and statuses."""
        reader = Reader(views.schema(self.store().get_feature_view("user_stats")), columns)
        blobs: Any = self.client.mget([keys.row_key("shop", "user_stats", {"user_id": user}) for user in users])
        values, statuses = reader.rows(blobs, views.microseconds(datetime.now(UTC)))
        return values.tolist(), statuses.tolist()


def stats(user: int, *, hours: float = 1, ctr: object = 0.5, created_hours: float | None = None) -> dict[str, object]:
    """A row of user_stats, so many hours ago."""
    return {
        "user_id": user,
        "event_timestamp": NOW - timedelta(hours=hours),
        "ctr": ctr,
        "clicks": 7,
        "country": "de",
        "created": NOW - timedelta(hours=hours if created_hours is None else created_hours),
    }


def pair(user: int, item: str, *, hours: float) -> dict[str, object]:
    """A row of user_item."""
    return {"user_id": user, "item_id": item, "event_timestamp": NOW - timedelta(hours=hours), "affinity": 0.75, "taste": [0.5, -1.0]}


def frame(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """With the types that the views say."""
    made = pd.DataFrame(list(rows))
    return made.astype({name: "float32" for name in ("ctr", "affinity") if name in made})
