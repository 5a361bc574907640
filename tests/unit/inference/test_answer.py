"""Scores become labels."""

from typing import Any

import numpy as np
import pytest

from slipway_testing.inference import Adding, Stage, asked, given, tensor


async def said(scores: Any, dtype: str = "FP32", **step: Any) -> tuple[list[Any], list[Any]]:
    """Labels and scores that are answered for a model's scores."""
    array = np.array(scores, np.float32 if dtype == "FP32" else np.int64)
    stage = Stage(Adding(outputs={"y": array}), outputs=[tensor("y", dtype, *array.shape[1:])], answer={"output": "y"} | step)
    got = await stage.ask(asked(given(shape=[len(array), 4], data=[0] * 4 * len(array))))
    assert [output["name"] for output in got.json["outputs"]] == ["y_labels", "y_scores"]
    return got.output("y_labels"), got.output("y_scores")


@pytest.mark.parametrize(
    ("scores", "step", "labels", "best"),
    [
        ([[0.25, 0.75, 0.5]], {"topK": 2}, [1, 2], [0.75, 0.5]),
        ([[0.25, 0.75, 0.5]], {"labels": ["a", "b", "c"]}, ["b", "c", "a"], [0.75, 0.5, 0.25]),
        ([[0.25, 0.75], [0.5, 0.25]], {"labels": ["a", "b"], "topK": 1}, ["b", "a"], [0.75, 0.5]),
        ([[0.25, 0.75, 0.5]], {"labels": ["a", "b", "c"], "threshold": "0.5"}, ["b", "c", ""], [0.75, 0.5, 0.25]),
        ([[0.25, 0.75, 0.5]], {"threshold": "0.6"}, [1, -1, -1], [0.75, 0.5, 0.25]),
        ([[0.5, 0.5, 0.5]], {}, [0, 1, 2], [0.5, 0.5, 0.5]),
        ([[np.nan, 0.25, 0.5]], {"topK": 3, "threshold": "0"}, [2, 1, -1], [0.5, 0.25, None]),
        ([[0.5], [0.25]], {"labels": ["no", "yes"]}, ["yes", "no"], [0.5, 0.25]),
        ([[0.5], [0.25]], {"threshold": "0.25"}, [1, 1], [0.5, 0.25]),
        ([[0.25, 0.5]], {"topK": 9}, [1, 0], [0.5, 0.25]),
    ],
)
async def test_labels_and_scores(scores: Any, step: dict[str, Any], labels: list[Any], best: list[Any]) -> None:
    assert await said(scores, **step) == (labels, best)


async def test_whole_numbers_are_scores_too() -> None:
    assert await said([[3, 9, 5]], "INT64", topK=1) == ([1], [9])


async def test_the_scores_themselves_are_there_for_who_asks() -> None:
    stage = Stage(answer={"output": "y"})
    names = [{"name": name} for name in ("y", "y_labels")]
    assert [output["name"] for output in (await stage.ask(asked(outputs=names))).json["outputs"]] == ["y", "y_labels"]


async def test_a_model_that_gives_other_scores_than_there_are_labels_for() -> None:
    stage = Stage(
        Adding(outputs={"y": np.zeros((1, 3), np.float32)}), outputs=[tensor("y", "FP32", -1)], answer={"output": "y", "labels": ["a", "b"]}
    )
    got = await stage.ask(asked())
    assert (got.status, got.json["reason"], got.json["input"]) == (500, "answer", "y")
    assert got.json["error"] == "labels cannot be made of output y: it has 3 scores, and there are 2 labels"
