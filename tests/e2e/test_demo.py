"""`make demo`, twice."""

import subprocess
import sys

from slipway_box.layout import REPOSITORY


def test_the_demo_predicts_what_it_promises_and_can_be_run_again() -> None:
    for _ in range(2):
        done = subprocess.run([sys.executable, str(REPOSITORY / "examples/digits/demo.py")], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        assert "accuracy: 0.967 (348 of 360)" in done.stdout
        assert "digits   True    pvc://models/digits/1" in done.stdout
