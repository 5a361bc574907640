"""`make demo`, and its first part again."""

import re
import subprocess
import sys

from slipway_box import clusters
from slipway_box.layout import REPOSITORY


def demo(*arguments: str) -> str:
    command = [sys.executable, str(REPOSITORY / "examples/digits/demo.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "accuracy: 0.967 (348 of 360)" in done.stdout
    assert "digits   True    pvc://models/digits/1" in done.stdout
    return done.stdout


def test_the_demo_predicts_and_rolls_out_what_it_promises_and_can_be_run_again() -> None:
    told = demo()

    good, bad = told.split("Rolling out ")[1:]
    assert "took over from" in good
    assert "failed: none" in good
    assert "was rolled back at" in bad
    assert "digits   False   pvc://models/digits/2" in bad
    answered = told.partition("which knows users by features")[2]
    assert re.search(r"user 7, price   5\.0  ->  200  clicked, 0\.\d+", answered)
    assert re.search(r"user 7, price  95\.0  ->  200  ignored, 0\.\d+", answered)
    assert '422  {"error": "input price: row 0, column 0 is -5.0: it should be at least 0"' in answered
    experiment = told.partition("An experiment,")[2]
    assert "Arm v4 won at look" in experiment
    assert "failed requests: none" in experiment
    assert re.search(r"experiment.slipway.dev/digits-v4 +digits +Won +\+\d", experiment)
    demo("--only-predictions")
    leave_room()


def leave_room() -> None:
    """The modules to come need nearly all of the node; what the documents show is the digits."""
    subprocess.run([*clusters.chosen().kubectl("delete", "mdep", "ranker", "--namespace=slipway-demo")], check=True)
