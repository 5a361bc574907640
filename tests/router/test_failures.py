"""Pods that fail: one retry, a rest for the pod, a fallback, a limit."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from router.harness import BODY, Answer, Load, Reply, Router, split, table
from slipway_testing.kube import eventually

NOBODY = "127.9.9.9"
"""An address that refuses every connection."""


def failing(status: int) -> Any:
    return lambda _: Reply(status=status, body=b'{"error":"the pod says so"}')


def what(router: Router) -> dict[str, int]:
    return {row[5]: row[6] for row in router.taken()["totals"]}


@pytest.mark.parametrize("status", [0, 502, 503])
def test_a_request_that_one_pod_fails_is_asked_of_another(router: Router, status: int) -> None:
    bad, good = router.pod(failing(status)), router.pod()
    router.serve(table(), pods={"ranker-old": [bad, good]})
    answers = [router.ask(x_user_id="u", body=b"the body") for _ in range(12)]
    assert {answer.status for answer in answers} == {200}
    assert {seen.body for seen in good.seen} == {b"the body"}
    counted = what(router)
    assert counted["none" if status == 0 else "5xx"] == bad.count == counted["retried"]
    assert counted["2xx"] + bad.count == 12


def test_a_pod_that_refuses_connections_is_left_alone(router: Router) -> None:
    good = router.pod()
    router.serve(table(), pods={"ranker-old": [NOBODY, good]})
    assert {router.ask(x_user_id="u").status for _ in range(100)} == {200}
    counted = what(router)
    assert counted == {"2xx": 99, "none": 1, "retried": 1}


def test_a_pod_that_fails_five_times_in_a_row_is_left_alone_and_tried_again_later(router: Router) -> None:
    bad, good = router.pod(failing(503)), router.pod()
    router.serve(table(), pods={"ranker-old": [bad, good]})
    for _ in range(100):
        router.ask(x_user_id="u")
    assert bad.count == 5
    bad.behaviour = lambda _: Reply()
    time.sleep(3.1)
    assert {router.ask(x_user_id="u").status for _ in range(40)} == {200}
    assert bad.count > 10


def test_where_all_pods_fail_all_are_asked(router: Router) -> None:
    first, second = router.pod(failing(503)), router.pod(failing(503))
    router.serve(table(), pods={"ranker-old": [first, second]})
    answers = [router.ask(x_user_id="u") for _ in range(20)]
    assert {(answer.status, answer.body) for answer in answers} == {(503, b'{"error":"the pod says so"}')}
    assert first.count + second.count == 40


@pytest.mark.parametrize("status", [500, 504, 400, 404, 422, 429])
def test_what_another_pod_would_not_do_better_is_passed_on(router: Router, status: int) -> None:
    first, second = router.pod(failing(status)), router.pod(failing(status))
    router.serve(table(), pods={"ranker-old": [first, second]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.body, answer.revision, first.count + second.count) == (status, b'{"error":"the pod says so"}', "ranker-old", 1)
    assert what(router) == {f"{status // 100}xx": 1}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_lone_pods_failure_is_passed_on(router: Router, status: int) -> None:
    pod = router.pod(failing(status))
    router.serve(table(), pods={"ranker-old": [pod]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.body, pod.count) == (status, b'{"error":"the pod says so"}', 1)
    assert what(router) == {"5xx": 1}


def test_a_lone_pod_that_cannot_be_asked(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [NOBODY]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.json) == (502, {"error": "ranker-old of ranker could not be asked: try again"})
    assert "x-slipway-revision" not in answer.headers
    assert what(router) == {"none": 1}


def test_a_pod_that_does_not_answer_in_time(router: Router) -> None:
    slow = router.pod(lambda _: Reply(after_s=3))
    router.serve(table(timeoutMilliseconds=200), pods={"ranker-old": [slow]})
    started = time.monotonic()
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.json) == (504, {"error": "ranker-old of ranker did not answer in time: try again, or raise timeoutMilliseconds"})
    assert 0.15 < time.monotonic() - started < 1
    assert what(router) == {"none": 1}


def test_a_timeout_is_asked_of_another_pod(router: Router) -> None:
    slow, good = router.pod(lambda _: Reply(after_s=3)), router.pod()
    router.serve(table(timeoutMilliseconds=200), pods={"ranker-old": [slow, good]})
    assert {router.ask(x_user_id="u").status for _ in range(8)} == {200}


def test_a_pod_that_cannot_be_reached_is_given_up_within_a_second(router: Router) -> None:
    """Its queue of connections is full, as nobody takes them: the packets of another are dropped."""
    with socket.socket() as full:
        full.bind((NOBODY, router.settings.pod_http_port))
        full.listen(0)
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex((NOBODY, router.settings.pod_http_port))
        router.serve(table(timeoutMilliseconds=60000), pods={"ranker-old": [NOBODY, router.pod()]})
        started = time.monotonic()
        assert {router.ask(x_user_id="u").status for _ in range(20)} == {200}
        assert 0.9 < time.monotonic() - started < 3
        for other in others:
            other.close()


def test_a_killed_pod_under_load_fails_nothing(router: Router) -> None:
    first, second = router.pod(lambda _: Reply(after_s=0.005)), router.pod(lambda _: Reply(after_s=0.005))
    router.serve(table(), pods={"ranker-old": [first, second]})
    with Load(router.http_port, clients=8) as load:
        for _ in range(3):
            load.until(200)
            first.kill()
            load.until(200)
            first.start()
            load.until(200)
    assert (load.failures, set(load.statuses)) == ([], {200})


def test_the_less_busy_of_two_pods_is_asked(router: Router) -> None:
    slow, quick = router.pod(lambda _: Reply(after_s=0.1)), router.pod(lambda _: Reply(after_s=0.001))
    router.serve(table(), pods={"ranker-old": [slow, quick]})
    with Load(router.http_port, clients=8) as load:
        load.until(500)
    assert quick.count > 5 * slow.count


def test_more_than_the_limit_is_told_to_come_again(router: Router) -> None:
    pod = router.pod(lambda _: Reply(after_s=0.5))
    router.serve(table(limits={"bodyBytes": 1000, "pendingPerPod": 3}), pods={"ranker-old": [pod]})
    answers = _at_once(router, 8)
    assert Counter(answer.status for answer in answers) == {200: 3, 503: 5}
    shed = next(answer for answer in answers if answer.status == 503)
    expected = {"error": "ranker-old of ranker has as many requests under way as it may: try again in a second"}
    assert (shed.headers["retry-after"], shed.json) == ("1", expected)
    taken = router.taken()
    assert {row[5]: row[6] for row in taken["totals"]} == {"2xx": 3, "shed": 5}
    assert taken["pending"] == {"ranker-old": 0}
    assert router.ask(x_user_id="u").status == 200


def test_the_limit_grows_with_the_pods_and_is_each_revisions_own(router: Router) -> None:
    pods = {"ranker-old": [router.pod(lambda _: Reply(after_s=0.4)) for _ in range(2)], "ranker-new": [router.pod(lambda _: Reply(after_s=0.4))]}
    router.serve(split(5000, limits={"bodyBytes": 1000, "pendingPerPod": 2}), pods=pods)
    answers = _at_once(router, 40)
    assert Counter(answer.revision for answer in answers if answer.status == 200) == {"ranker-old": 4, "ranker-new": 2}


def test_what_is_pending_is_told(router: Router) -> None:
    pod = router.pod(lambda _: Reply(after_s=0.5))
    router.serve(table(), pods={"ranker-old": [pod]})
    thread = threading.Thread(target=_at_once, args=(router, 3))
    thread.start()
    time.sleep(0.25)
    assert router.taken()["pending"] == {"ranker-old": 3}
    thread.join()
    assert router.taken()["pending"] == {"ranker-old": 0}


def test_clients_that_leave_are_not_counted_as_failures_and_hold_nothing(router: Router) -> None:
    pod = router.pod(lambda _: Reply(after_s=1))
    router.serve(table(), pods={"ranker-old": [pod]})
    assert router.raw(b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\nx-user-id: u\r\nContent-Length: 2\r\n\r\n{}", timeout_s=0.1) == b""
    time.sleep(0.2)
    taken = router.taken()
    assert [row[5:] for row in taken["totals"]] == [["gone", 1]]
    assert [cell[6] for cell in taken["cells"]] == [0, 0]
    assert taken["pending"] == {"ranker-old": 0}


RESPONSE = {"response": {"status": 203, "contentType": "text/plain", "body": "the default"}}


def _default(answer: Answer) -> bool:
    return (answer.status, answer.body, answer.headers["content-type"], answer.headers["x-slipway-fallback"]) == (
        203,
        b"the default",
        "text/plain",
        "response",
    )


@pytest.mark.parametrize("status", [0, 500, 502, 503, 504])
def test_a_fixed_answer_instead_of_a_failure(router: Router, status: int) -> None:
    pod = router.pod(failing(status))
    router.serve(table(fallback=RESPONSE), pods={"ranker-old": [pod]})
    answer = router.ask(x_user_id="u")
    assert _default(answer), answer
    assert "x-slipway-revision" not in answer.headers
    taken = router.taken()
    assert {row[5]: row[6] for row in taken["totals"]} == {"5xx" if status else "none": 1, "fallback": 1}
    assert [cell[6] for cell in taken["cells"]] == [1, 1]


def test_a_fixed_answer_where_no_pod_is(router: Router) -> None:
    router.serve(table(fallback=RESPONSE), pods={"ranker-old": []})
    assert _default(router.ask(x_user_id="u"))
    assert what(router) == {"noPods": 1, "fallback": 1}


def test_a_fixed_answer_after_a_timeout(router: Router) -> None:
    router.serve(table(fallback=RESPONSE, timeoutMilliseconds=100), pods={"ranker-old": [router.pod(lambda _: Reply(after_s=2))]})
    assert _default(router.ask(x_user_id="u"))


def test_a_retry_comes_before_the_fixed_answer(router: Router) -> None:
    bad, good = router.pod(failing(503)), router.pod()
    router.serve(table(fallback=RESPONSE), pods={"ranker-old": [bad, good]})
    assert {router.ask(x_user_id="u").status for _ in range(10)} == {200}
    assert bad.count > 0


def test_answers_of_4xx_do_not_fall_back(router: Router) -> None:
    for fallback in (RESPONSE, {"revision": "ranker-before"}):
        router.serve(table(fallback=fallback), pods={"ranker-old": [router.pod(failing(422))], "ranker-before": [router.pod()]})
        answer = router.ask(x_user_id="u")
        assert (answer.status, answer.body, "x-slipway-fallback" in answer.headers) == (422, b'{"error":"the pod says so"}', False)


@pytest.mark.parametrize("status", [0, 500, 502, 503, 504])
@pytest.mark.parametrize("pods", [1, 2])
def test_the_fallback_revision_instead_of_a_failure(router: Router, status: int, pods: int) -> None:
    failed = [router.pod(failing(status)) for _ in range(pods)]
    before = router.pod(lambda seen: Reply(body=seen.body))
    router.serve(table(fallback={"revision": "ranker-before"}), pods={"ranker-old": failed, "ranker-before": [before]})
    answer = router.ask(x_user_id="u", body=BODY)
    told = [answer.headers[name] for name in ("x-slipway-revision", "x-slipway-role", "x-slipway-fallback")]
    assert (answer.status, answer.body, told) == (200, BODY, ["ranker-before", "Fallback", "revision"])
    assert sum(pod.count for pod in failed) == (2 if pods == 2 and status in (0, 502, 503) else 1)
    taken = router.taken()
    retried = {"retried": 1} if pods == 2 and status in (0, 502, 503) else {}
    assert {row[5]: row[6] for row in taken["totals"]} == {"5xx" if status else "none": 1, "fallback": 1, **retried}
    assert {row[2] for row in taken["totals"]} == {"ranker-old"}
    assert [cell[6] for cell in taken["cells"]] == [1, 1]
    assert taken["pending"] == {"ranker-old": 0, "ranker-before": 0}


def test_the_fallback_revision_where_no_pod_is(router: Router) -> None:
    router.serve(table(fallback={"revision": "ranker-before"}), pods={"ranker-before": [router.pod()]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.revision, answer.headers["x-slipway-fallback"]) == (200, "ranker-before", "revision")
    taken = router.taken()
    assert ({row[5]: row[6] for row in taken["totals"]}, taken["cells"]) == ({"noPods": 1, "fallback": 1}, [])


def test_a_fallback_revision_that_fails_too(router: Router) -> None:
    router.serve(table(fallback={"revision": "ranker-before"}), pods={"ranker-old": [NOBODY], "ranker-before": [router.pod(failing(500))]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.json) == (502, {"error": "ranker-before of ranker could not be asked: try again"})


def test_a_fallback_revision_without_pods_is_none(router: Router) -> None:
    router.serve(table(fallback={"revision": "ranker-before"}), pods={"ranker-old": [router.pod(failing(500))]})
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.body) == (500, b'{"error":"the pod says so"}')


@pytest.mark.parametrize("workers", [1, 2])
def test_dead_workers_leave_nothing_pending(folder: Path, workers: int) -> None:
    with Router(folder, workers=workers) as router:
        pod = router.pod(lambda _: Reply(after_s=2))
        router.serve(table(limits={"bodyBytes": 1000, "pendingPerPod": 2}), pods={"ranker-old": [pod]})
        thread = threading.Thread(target=_at_once, args=(router, 2))
        thread.start()
        time.sleep(0.3)
        for worker in router.workers:
            os.kill(worker, signal.SIGKILL)
        thread.join()
        pod.behaviour = lambda _: Reply()
        assert [answer.status for answer in _at_once(router, 2)] == [200, 200]
        assert router.taken()["pending"] == {"ranker-old": 0}


def test_two_workers_have_one_limit(folder: Path) -> None:
    with Router(folder, workers=2) as router:
        router.serve(table(limits={"bodyBytes": 1000, "pendingPerPod": 3}), pods={"ranker-old": [router.pod(lambda _: Reply(after_s=0.5))]})
        assert Counter(answer.status for answer in _at_once(router, 12)) == {200: 3, 503: 9}
        counted: Counter[str] = Counter()

        def all_are() -> bool:
            """A worker counts a moment after it has answered, and the other may be asked before."""
            counted.update(what(router))
            return counted == {"2xx": 3, "shed": 9}

        eventually(all_are)


def _at_once(router: Router, count: int) -> list[Answer]:
    """So many requests at the same moment, each of another unit."""
    answers: list[Answer] = []

    def ask(number: int) -> None:
        with contextlib.suppress(OSError):
            answers.append(router.ask(x_user_id=f"user-{number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_the_limit_holds_while_tables_change(router: Router) -> None:
    pod = router.pod(lambda _: Reply(after_s=0.6))
    limits = {"bodyBytes": 1000, "pendingPerPod": 3}
    router.serve(table(limits=limits), pods={"ranker-old": [pod]})
    first: list[Answer] = []
    thread = threading.Thread(target=lambda: first.extend(_at_once(router, 3)))
    thread.start()
    time.sleep(0.2)
    router.serve(table(limits=limits, epoch=8), pods={"ranker-old": [pod]})
    assert router.taken()["pending"] == {"ranker-old": 3}
    assert router.ask(x_user_id="u").status == 503
    thread.join()
    assert [answer.status for answer in first] == [200, 200, 200]
