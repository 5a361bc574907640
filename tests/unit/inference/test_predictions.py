"""The log of predictions: a sample as JSON lines, in files of bounded size, that never holds up an answer."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from slipway_inference import predictions
from slipway_inference.configuration import Log
from slipway_inference.predictions import Prediction, Predictions


def prediction(value: float = 1.0) -> Prediction:
    """One."""
    tensors = {"x": np.array([[value, np.nan]], np.float32)}
    text = np.empty((1, 1), object)
    text[0, 0] = b"a\xff"
    return Prediction(id="7", rows=1, request={"s": text}, inputs=tensors, outputs={"y": np.array([[value]])}, seconds=0.0015)


def log(file: Path, *, percent: str = "100", file_bytes: int = 10_000, files: int = 2) -> Predictions:
    """A log."""
    return Predictions(Log(percent, str(file)), file_bytes=file_bytes, files=files)


def test_a_line_has_the_request_what_the_model_got_and_what_it_said(tmp_path: Path) -> None:
    file = tmp_path / "made" / "predictions.jsonl"
    with log(file) as written:
        written.offer(prediction())
    found = json.loads(file.read_text())
    assert found.pop("time") > 1e9
    assert found == {
        "id": "7",
        "rows": 1,
        "seconds": 0.0015,
        "request": {"s": [["a\N{REPLACEMENT CHARACTER}"]]},
        "inputs": {"x": [[1.0, None]]},
        "outputs": {"y": [[1.0]]},
    }


def test_full_files_are_kept_as_many_as_they_may_be(tmp_path: Path) -> None:
    with log(tmp_path / "p", file_bytes=1) as written:
        for value in range(4):
            written.offer(prediction(value))
    assert sorted(os.listdir(tmp_path)) == ["p.1", "p.2"]
    assert [json.loads((tmp_path / name).read_text())["outputs"]["y"] for name in ("p.1", "p.2")] == [[[3.0]], [[2.0]]]


def test_what_does_not_fit_into_the_queue_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "QUEUE_BYTES", 3000)
    full = log(tmp_path / "p")
    for _ in range(5):
        full.offer(prediction())
    assert full.dropped == 3
    with full:
        pass
    assert full.written == 2


def test_a_full_disk_costs_predictions_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = tmp_path / "p"
    full.symlink_to("/dev/full")
    with log(full) as written:
        written.offer(prediction())
        written.offer(prediction())
    assert (written.written, written.dropped) == (0, 2)
    assert [record.getMessage() for record in caplog.records] == [f"a prediction could not be written to {full}: No space left on device"]


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with log(tmp_path / "p") as written:
        written.offer(prediction(1))
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:10]))
    with log(tmp_path / "p") as cut:
        cut.offer(prediction(2))
    monkeypatch.undo()
    with log(tmp_path / "p") as again:
        again.offer(prediction(3))
    assert cut.dropped == 1
    assert [json.loads(line)["outputs"]["y"] for line in (tmp_path / "p").read_text().splitlines()] == [[[1.0]], [[3.0]]]


@pytest.mark.parametrize(("percent", "share"), [("0", 0), ("25", 0.25), ("100", 1)])
def test_a_sample_is_drawn(percent: str, share: float) -> None:
    draws = iter(number / 1000 for number in range(1000))
    drawn = Predictions(Log(percent, "/nowhere"), file_bytes=1, files=1, draw=lambda: next(draws))
    assert sum(drawn.chosen() for _ in range(1000)) == 1000 * share
