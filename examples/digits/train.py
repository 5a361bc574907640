"""Train a classifier on scikit-learn's handwritten digits and export it to ONNX.

Writes to the folder given:

* ``model.onnx``: input ``x`` FP32 [rows, 64] (pixels from 0 to 16), outputs ``label`` INT64 [rows] and ``probabilities`` FP32 [rows, 10]
* ``robust.onnx``: the same, trained on faint scans of the same images besides
* ``heldout.json``: the 360 images that training never saw, and what they show
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FAINTNESS = 2.0
"""Standard deviation of what a faint scan adds to each pixel."""

OPSET = 21
"""The newest that Triton 24.10 runs."""


def main() -> None:
    """Train, export, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the models and heldout.json")
    folder: Path = parser.parse_args().folder

    images, labels = load_digits(return_X_y=True)
    train_images, heldout_images, train_labels, heldout_labels = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(train_images, train_labels)

    faint = np.random.default_rng(0)
    scans = [np.clip(train_images + faint.normal(0, FAINTNESS, train_images.shape), 0, 16) for _ in range(4)]
    robust = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    robust.fit(np.concatenate([train_images, *scans]), np.tile(train_labels, 5))

    folder.mkdir(parents=True, exist_ok=True)
    for name, trained in (("model", classifier), ("robust", robust)):
        inputs = [("x", FloatTensorType([None, images.shape[1]]))]
        onnx.save(to_onnx(trained, initial_types=inputs, options={"zipmap": False}, target_opset=OPSET), folder / f"{name}.onnx")
    heldout = {"images": heldout_images.tolist(), "labels": heldout_labels.tolist()}
    (folder / "heldout.json").write_text(json.dumps(heldout))
    print(f"trained on {len(train_labels)} images, kept {len(heldout_labels)}; wrote {folder / 'model.onnx'}")


if __name__ == "__main__":
    main()
