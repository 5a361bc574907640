"""Samples for the shadow: they reach the agent, and no user waits for them."""

import json
import threading
import time
from typing import Any

from router.harness import Load, Reply, Router, agent, table

SHADOW = {"shadow": {"revision": "ranker-next", "percent": "100"}}


def parsed(sample: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    line, _, bodies = sample.partition(b"\n")
    described = json.loads(line)
    cut = described["requestBytes"]
    assert len(bodies) == cut + described["answerBytes"]
    return described, bodies[:cut], bodies[cut:]


def received(samples: list[bytes], count: int) -> list[bytes]:
    end = time.monotonic() + 5
    while len(samples) < count and time.monotonic() < end:
        time.sleep(0.01)
    return samples


def test_a_sample_is_the_request_and_the_answer(router: Router) -> None:
    samples: list[bytes] = []
    with agent(router.folder, samples):
        router.serve(
            table(**SHADOW),
            pods={"ranker-old": [router.pod(lambda seen: Reply(body=seen.body[::-1], headers={"inference-header-content-length": "5"}))]},
        )
        body = bytes(range(256)) + b"\n"
        router.ask(body=body, x_user_id="u", x_request_id="r1", content_type="application/octet-stream", inference_header_content_length="7")
        [sample] = received(samples, 1)
    described, request, answer = parsed(sample)
    assert 0 < described.pop("seconds") < 1
    assert described == {
        "model": "ranker",
        "epoch": 7,
        "revision": "ranker-old",
        "shadow": "ranker-next",
        "requestId": "r1",
        "path": "/v2/models/ranker/infer",
        "contentType": "application/octet-stream",
        "inferenceHeaderLength": 7,
        "status": 200,
        "answerContentType": "application/json",
        "answerInferenceHeaderLength": 5,
        "requestBytes": 257,
        "answerBytes": 257,
    }
    assert (request, answer) == (body, body[::-1])


def test_so_many_percent_are_sampled(router: Router) -> None:
    samples: list[bytes] = []
    with agent(router.folder, samples):
        router.serve(table(shadow={"revision": "x", "percent": "20"}), pods={"ranker-old": [router.pod()]})
        for _ in range(300):
            router.ask(x_user_id="u")
        router.ask("GET", "/v2/models/ranker")
        received(samples, 300)
    assert 25 < len(samples) < 110
    assert {parsed(sample)[0]["inferenceHeaderLength"] for sample in samples} == {None}


def test_an_agent_that_stands_still_delays_nobody(router: Router) -> None:
    samples: list[bytes] = []
    hold = threading.Event()
    with agent(router.folder, samples, hold=hold):
        router.serve(table(**SHADOW), pods={"ranker-old": [router.pod()]})
        with Load(router.http_port, clients=2) as load:
            load.until(300)
        hold.set()
    assert (load.failures, set(load.statuses)) == ([], {200})
    assert load.slowest_s < 0.5
    totals = {row[5]: row[6] for row in router.taken()["totals"]}
    assert totals["notShadowed"] > 200


def test_without_an_agent_all_is_well(router: Router) -> None:
    router.serve(table(**SHADOW), pods={"ranker-old": [router.pod()]})
    assert {router.ask(x_user_id="u").status for _ in range(100)} == {200}


def test_bodies_that_are_too_large_are_counted_and_not_handed_over(router: Router) -> None:
    samples: list[bytes] = []
    with agent(router.folder, samples):
        router.serve(
            table(**SHADOW, limits={"bodyBytes": 1 << 26, "pendingPerPod": 9}),
            pods={"ranker-old": [router.pod(lambda seen: Reply(body=seen.body * 2))]},
        )
        assert len(router.ask(body=b"x" * 700_000, x_user_id="u").body) == 1_400_000
        assert len(router.ask(body=b"x" * 2_000_000, x_user_id="u").body) == 4_000_000
        router.ask(body=b"x", x_user_id="u")
        received(samples, 1)
    assert [parsed(sample)[0]["requestBytes"] for sample in samples] == [1]
    assert {row[5]: row[6] for row in router.taken()["totals"]} == {"2xx": 3, "notShadowed": 2}
