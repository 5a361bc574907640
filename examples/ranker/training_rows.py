"""Writes rows.npz: for each offer that was shown the features that were known then, its price, and whether it was clicked.

Usage: training_rows.py REPOSITORY ROWS: of Feast, with data/shown.parquet in it, and the file to write
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from feast import FeatureStore

FEATURES = ["user_stats:ctr", "user_stats:clicks"]
"""In the order of the columns in modeldeployment.yaml."""


def main(repository: Path, to: Path) -> int:
    """Ask Feast, and write."""
    shown = pd.read_parquet(repository / "data/shown.parquet")
    rows = FeatureStore(str(repository)).get_historical_features(shown, FEATURES).to_df().dropna()
    columns = [*(feature.partition(":")[2] for feature in FEATURES), "price"]
    np.savez(to, x=rows[columns].to_numpy(np.float32), clicked=rows["clicked"].to_numpy(np.int64))
    print(f"{len(rows)} rows of {', '.join(columns)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
