"""Train a classifier on scikit-learn's handwritten digits and export it to ONNX.

Writes to the folder given:

* ``model.onnx``: input ``x`` FP32 [rows, 64] (pixels from 0 to 16), outputs ``label`` INT64 [rows] and ``probabilities`` FP32 [rows, 10]
* ``heldout.json``: the 360 images that training never saw, and what they show
"""

import argparse
import json
from pathlib import Path

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OPSET = 21
"""The newest that Triton 24.10 runs."""


def main() -> None:
    """Train, export, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write model.onnx and heldout.json")
    folder: Path = parser.parse_args().folder

    images, labels = load_digits(return_X_y=True)
    train_images, heldout_images, train_labels, heldout_labels = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(train_images, train_labels)

    exported = to_onnx(
        classifier,
        initial_types=[("x", FloatTensorType([None, images.shape[1]]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(exported, folder / "model.onnx")
    heldout = {"images": heldout_images.tolist(), "labels": heldout_labels.tolist()}
    (folder / "heldout.json").write_text(json.dumps(heldout))
    print(f"trained on {len(train_labels)} images, kept {len(heldout_labels)}; wrote {folder / 'model.onnx'}")


if __name__ == "__main__":
    main()
