"""The demo's features: defined, materialised and joined by Feast, and a model trained on them.

Standard library only; Feast and scikit-learn are asked in environments of their own.
"""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from slipway_box import environments
from slipway_box.errors import BoxError
from slipway_box.layout import REPOSITORY

HERE = Path(__file__).resolve().parent
DEFINITIONS = HERE.parent / "features"


def train(folder: Path, *, redis: str) -> Path:
    """Fill ``redis`` with features, and train on what they were; the model's file, in ``folder``. BoxError with what was said."""
    feast = environments.need("feast") / "bin"
    python = environments.need("examples") / "bin/python"
    shutil.copytree(DEFINITIONS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "components"), "PYTHONWARNINGS": "ignore", "SHOP_REDIS": redis}

    def run(*command: object) -> None:
        done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BoxError(f"{Path(str(command[0])).name} {command[1]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")

    run(feast / "python", "make_data.py")
    run(feast / "feast", "apply")
    run(feast / "feast", "materialize-incremental", f"{datetime.now(UTC):%FT%T}")
    run(feast / "python", HERE / "training_rows.py", folder, folder / "rows.npz")
    run(python, HERE / "train.py", folder)
    return folder / "model.onnx"
