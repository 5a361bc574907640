"""Trains a model of clicks on rows.npz; writes model.onnx: input ``x`` FP32 [rows, 3], outputs ``label`` INT64 and ``probabilities`` FP32 [rows, 2].

Usage: train.py FOLDER: where rows.npz is, and where model.onnx goes
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OPSET = 21
"""The newest that Triton 24.10 runs."""


def main(folder: Path) -> int:
    """Train and write."""
    rows = np.load(folder / "rows.npz")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows["x"], rows["clicked"])
    exported = to_onnx(model, initial_types=[("x", FloatTensorType([None, rows["x"].shape[1]]))], options={"zipmap": False}, target_opset=OPSET)
    onnx.save(exported, folder / "model.onnx")
    print(f"trained on {len(rows['x'])} rows; wrote {folder / 'model.onnx'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
