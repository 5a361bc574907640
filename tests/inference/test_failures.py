"""The model away, slow and back; hooks that raise; the end under load; a full disk."""

import json
import threading
import time
from pathlib import Path

import pytest

from inference.conftest import Start
from inference.harness import Answer, Model, body, loaded


def test_a_model_that_is_killed_is_503_and_served_again_when_it_is_back(start: Start, model: Model) -> None:
    transformer = start()
    assert transformer.infer(body(1)).output() == [4.0]
    model.stop()
    gone = transformer.infer(body(1))
    assert (gone.status, gone.said["reason"], gone.headers["retry-after"]) == (503, "unavailable", "1")
    assert transformer.get("/v2/models/ranker/ready").status == 503
    assert transformer.get("/v2/health/live").status == 200
    model.start()
    assert transformer.infer(body(1)).output() == [4.0]
    assert transformer.get("/v2/models/ranker/ready").status == 200


def test_a_model_that_restarts_between_two_requests_costs_none(start: Start, model: Model) -> None:
    transformer = start()
    for number in range(5):
        assert transformer.infer(body(number)).output() == [4.0 * number]
        model.stop()
        model.start()
    assert transformer.metric('requests_total{code="503"}') == 0


def test_a_model_that_dies_with_requests_under_way(start: Start, model: Model) -> None:
    transformer = start()
    model.delay_s = 10
    found: list[Answer] = []
    threads = [threading.Thread(target=lambda: found.append(transformer.infer(body(1)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 5
    while len(model.calls) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    model.stop()
    for thread in threads:
        thread.join()
    assert [each.status for each in found] == [503] * 6


def test_a_model_that_is_too_slow_is_504_and_its_late_answer_is_nobodys(start: Start, model: Model) -> None:
    transformer = start(triton_timeout_seconds=0.3)
    model.delay_s = 1
    late = transformer.infer(body(1))
    assert (late.status, late.said["reason"]) == (504, "timeout")
    model.delay_s = 0
    assert [transformer.infer(body(number)).output() for number in (2, 3, 4)] == [[8.0], [12.0], [16.0]]


@pytest.mark.parametrize(("status", "said"), [(400, 400), (429, 429), (500, 502), (503, 503)])
def test_what_the_model_says_is_passed_on(start: Start, model: Model, status: int, said: int) -> None:
    transformer = start()
    model.status = status
    found = transformer.infer(body(1))
    assert found.status == said
    assert "said by the model" in found.said["error"]


HOOKS = """
class Ranker:
    def __init__(self, parameters):
        self.where = parameters["where"]
    def pre(self, tensors):
        if self.where == "pre" and (tensors["x"] == 13).any():
            raise RuntimeError("a secret of the user's")
        return {"x": tensors["x"] * 2}
    def post(self, tensors, inputs):
        if self.where == "post" and (inputs["x"] == 26).any():
            raise RuntimeError("a secret of the user's")
        return {"y": tensors["y"] + 1}
"""


@pytest.mark.parametrize(("where", "skipped"), [("pre", 53.0), ("post", 104.0)])
def test_hooks_that_raise(start: Start, tmp_path: Path, where: str, skipped: float) -> None:
    (tmp_path / "shop_hooks.py").write_text(HOOKS)
    hooks = {"class": "shop_hooks:Ranker", "parameters": {"where": where}}
    transformer = start({"hooks": hooks})
    assert transformer.infer(body(1)).output() == [9.0]
    failed = transformer.infer(body(13))
    assert (failed.status, failed.said["error"]) == (500, f"hook shop_hooks:Ranker.{where} failed: RuntimeError")
    assert transformer.metric(f'hook_failures_total{{hook="{where}"}}') == 1
    assert "a secret of the user's" in transformer.log
    transformer.end()
    assert start({"hooks": hooks | {"onError": "Skip"}}).infer(body(13)).output() == [skipped]


def test_a_hook_that_is_not_there_ends_the_program(start: Start) -> None:
    with pytest.raises(RuntimeError, match=r"hooks\.class shop_hooks:Nobody cannot be made: ModuleNotFoundError"):
        start({"hooks": {"class": "shop_hooks:Nobody"}})


def test_nothing_fails_when_it_is_asked_to_end_under_load(start: Start, model: Model) -> None:
    transformer = start(drain_seconds=1)
    model.delay_s = 0.02
    with loaded(transformer.port, clients=12) as found:
        time.sleep(1)
        transformer.ask_to_end()
        time.sleep(0.2)
        assert transformer.get("/v2/health/ready").status == 503
        assert transformer.wait() == 0
    assert [each for each in found if not isinstance(each, Answer) or each.status != 200] == []
    assert len(found) > 100
    assert sum(isinstance(each, Answer) and each.headers.get("connection") == "close" for each in found) == 12


def test_requests_under_way_are_answered_before_the_end(start: Start, model: Model) -> None:
    transformer = start(drain_seconds=0)
    model.delay_s = 1
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(transformer.infer(body(*range(8)))))
    thread.start()
    until = time.monotonic() + 5
    while not model.calls and time.monotonic() < until:
        time.sleep(0.01)
    assert transformer.end() == 0
    thread.join()
    assert found[0].output() == [4.0 * row for row in range(8)]


def test_requests_that_outlast_the_grace_are_given_up(start: Start, model: Model) -> None:
    transformer = start(drain_seconds=0, grace_seconds=0.5)
    model.delay_s = 30
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(transformer.infer(body(1))))
    thread.start()
    until = time.monotonic() + 5
    while not model.calls and time.monotonic() < until:
        time.sleep(0.01)
    begun = time.monotonic()
    assert transformer.end() == 0
    assert time.monotonic() - begun < 5
    thread.join()
    assert (found[0].status, found[0].said["reason"]) == (503, "unavailable")


def test_predictions_are_logged(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    transformer = start({"log": {"samplePercent": "100", "file": str(file)}})
    transformer.infer(body(1, 2, id="one"))
    transformer.end()
    line = json.loads(file.read_text())
    assert (line["id"], line["rows"], line["inputs"], line["outputs"]) == ("one", 2, {"x": [[1.0] * 4, [2.0] * 4]}, {"y": [[4.0], [8.0]]})


def test_a_full_disk_costs_no_request(start: Start, tmp_path: Path) -> None:
    full = tmp_path / "predictions.jsonl"
    full.symlink_to("/dev/full")
    transformer = start({"log": {"samplePercent": "100", "file": str(full)}})
    assert [transformer.infer(body(number)).output() for number in range(20)] == [[4.0 * number] for number in range(20)]
    until = time.monotonic() + 5
    while (dropped := transformer.metric("predictions_dropped_total")) < 20 and time.monotonic() < until:
        time.sleep(0.02)
    assert (dropped, transformer.log.count("No space left on device")) == (20, 1)
