"""Writes data/*.parquet and entities.csv: two days of what users did, and offers of the hour after it with what came of them. Usage: make_data.py"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

USERS, ITEMS = 50, ["apple", "pear", "plum"]
SHOWN = 2000


def main() -> int:
    data = Path(__file__).parent / "data"
    data.mkdir(exist_ok=True)
    random = np.random.default_rng(7)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    hours = [end - timedelta(hours=back) for back in range(48, -1, -12)]
    stats = pd.DataFrame([{"user_id": user, "event_timestamp": hour} for hour in hours for user in range(USERS)])
    stats["ctr"] = random.random(len(stats)).astype(np.float32)
    stats["clicks"] = random.integers(0, 1000, len(stats))
    stats["country"] = random.choice(["de", "fr", "pl"], len(stats))
    stats["created"] = stats["event_timestamp"] + timedelta(minutes=1)
    stats.to_parquet(data / "user_stats.parquet")

    pairs = pd.DataFrame([{"user_id": user, "item_id": item} for user in range(USERS) for item in ITEMS])
    pairs["event_timestamp"] = end - timedelta(days=1)
    pairs["affinity"] = random.normal(size=len(pairs)).astype(np.float32)
    pairs["taste"] = list(random.normal(size=(len(pairs), 4)).astype(np.float32))
    pairs.to_parquet(data / "user_item.parquet")

    shown = pd.DataFrame({"user_id": random.integers(0, USERS, SHOWN), "price": random.uniform(1, 100, SHOWN).astype(np.float32)})
    shown["event_timestamp"] = end + pd.to_timedelta(random.integers(2, 60, SHOWN), unit="min")
    latest = stats[stats["event_timestamp"] == end].set_index("user_id")["ctr"]
    liking = 8 * latest.loc[shown["user_id"]].to_numpy() - shown["price"] / 10 - 3
    shown["clicked"] = (random.random(SHOWN) < 1 / (1 + np.exp(-liking))).astype(np.int64)
    shown.to_parquet(data / "shown.parquet")

    pairs[["user_id", "item_id"]].to_csv("entities.csv" if len(sys.argv) == 1 else sys.argv[1], index=False)
    print(f"{len(stats)} rows of user_stats, {len(pairs)} of user_item")
    return 0


if __name__ == "__main__":
    sys.exit(main())
