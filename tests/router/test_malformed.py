"""Requests that are wrong: each is refused with a sentence, and nothing else happens."""

import contextlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router.harness import Load, Reply, Router, Seen, table
from slipway_testing import malformed

INFER = b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-user-id: u\r\ncontent-type: application/json\r\n"
VALID = INFER + b"content-length: 13\r\n\r\n" + b'{"inputs":[]}'
MUTATIONS = 1000


@pytest.fixture(scope="module")
def serving(lasting_folder: Path) -> Iterator[Router]:
    with Router(lasting_folder, client_timeout_s=1) as running:
        running.serve(table(), pods={"ranker-old": [running.pod(strict)]})
        yield running


def strict(seen: Seen) -> Reply:
    """As Triton: a body that is no request is answered 500."""
    try:
        parsed = json.loads(seen.body)
        good = isinstance(parsed, dict) and "inputs" in parsed
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        good = False
    return Reply() if good or seen.method in ("GET", "HEAD") else Reply(status=500, body=b'{"error":"no request"}')


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def error_of(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
    assert headers[b"content-type"] == b"application/json", head
    error = json.loads(body[: int(headers[b"content-length"])])["error"]
    assert isinstance(error, str)
    return error


NOTHING_HERE = "there is nothing at this path: use /v2/models/<model>/infer, or another path of the Open Inference Protocol"
UNREADABLE = "this is not an HTTP/1.1 request that can be read: send its length, and headers without control characters"
KINDS = "ranker takes application/json, or application/octet-stream with the header inference-header-content-length: set content-type to one of them"
TOO_LONG = "the request line or a header is too long: send shorter ones"


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, NOTHING_HERE),
        (VALID.replace(b"/infer", b"/predict"), 404, NOTHING_HERE),
        (VALID.replace(b"/v2/models/ranker/infer", b"/v2/repository/models/ranker/unload"), 404, NOTHING_HERE),
        (VALID.replace(b"/v2/models/ranker/infer", b"/_slipway/failed"), 404, "there is nothing at this path: use /v2/models/<model>/infer"),
        (VALID.replace(b"/v2/models/ranker/infer", b"/inference.GRPCInferenceService/ModelInfer"), 404, NOTHING_HERE),
        (VALID.replace(b"/v2/models", b"/v2/models/../../v2/repository"), 404, NOTHING_HERE),
        (VALID.replace(b"ranker/infer", b"sorter/infer"), 404, "no model sorter is served here: check the name of the ModelDeployment"),
        (VALID.replace(b"POST", b"PUT"), 405, "PUT is not allowed here: POST the request for ranker"),
        (VALID.replace(b"POST", b"TRACE"), 405, "this method is not allowed: use GET, or POST for inferences"),
        (VALID.replace(b"ranker/infer", b"ranker/ready"), 405, "POST is not allowed here: use GET"),
        (VALID.replace(b"application/json", b"text/csv"), 415, KINDS),
        (VALID.replace(b"application/json", b"application/x-www-form-urlencoded"), 415, KINDS),
        (VALID.replace(b"length: 13", b"length: 99999999"), 413, "ranker takes bodies of at most 1048576 bytes: send fewer rows at once"),
        (VALID.replace(b"length: 13", b"length: 99999999999"), 413, "the body is larger than any model takes: send fewer rows at once"),
        (VALID.replace(b"length: 13", b"length: -1"), 400, UNREADABLE),
        (VALID.replace(b"length: 13", b"length: many"), 400, UNREADABLE),
        (VALID.replace(b"content-length: 13", b"content-length: 13\r\ncontent-length: 14"), 400, UNREADABLE),
        (VALID.replace(b"content-length: 13", b"content-length: 13\r\ntransfer-encoding: chunked"), 400, UNREADABLE),
        (VALID.replace(b"content-length: 13", b"transfer-encoding: gzip"), 400, UNREADABLE),
        (VALID.replace(b"content-length: 13", b"transfer-encoding: chunked") + b"\r\nzz\r\n", 400, UNREADABLE),
        (VALID.replace(b"HTTP/1.1", b"HTTP/9.1"), 400, UNREADABLE),
        (VALID.replace(b"Host: x\r\n", b""), 400, UNREADABLE),
        (VALID.replace(b"Host: x", b"Host: x\r\nHost: y"), 400, UNREADABLE),
        (VALID.replace(b"Host: x", b"Host: a b/c"), 400, UNREADABLE),
        (VALID.replace(b"x-user-id: u", b"x-user-id: u\0v"), 400, UNREADABLE),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, UNREADABLE),
        (VALID.replace(b"/v2/", b"/v2/" + b"a" * 70000), 431, TOO_LONG),
        (VALID.replace(b"x-user-id: u", b"x-more: " + b"a" * 70000), 431, TOO_LONG),
        (VALID.replace(b"/infer", b"/%zz"), 400, UNREADABLE),
        (VALID.replace(b"/infer", b"/%00"), 400, UNREADABLE),
    ],
)
def test_what_is_wrong_is_told(serving: Router, request_: bytes, status: int, error: str) -> None:
    answer = serving.raw(request_)
    assert (status_of(answer), error_of(answer)) == (status, error), answer


def test_a_method_that_is_not_allowed_is_told_what_is(serving: Router) -> None:
    assert serving.ask("DELETE").headers["allow"] == "POST"
    assert serving.ask("POST", "/v2/models/ranker").headers["allow"] == "GET, HEAD"


def test_a_body_of_10_mb_is_refused_before_it_is_read(serving: Router) -> None:
    with socket.create_connection(("127.0.0.1", serving.http_port), timeout=1) as connection:
        connection.sendall(INFER + b"content-length: 10000000\r\n\r\n")
        assert status_of(connection.recv(65536)) == 413


def test_a_body_of_10_mb_in_chunks_is_refused(serving: Router) -> None:
    chunks = b"".join(b"100000\r\n" + b"x" * 0x100000 + b"\r\n" for _ in range(10)) + b"0\r\n\r\n"
    answer = serving.raw(INFER + b"transfer-encoding: chunked\r\n\r\n" + chunks)
    assert (status_of(answer), error_of(answer)) == (413, "ranker takes bodies of at most 1048576 bytes: send fewer rows at once")


def test_a_truncated_body_never_reaches_a_pod(serving: Router) -> None:
    before = serving.pods[0].count
    started = time.monotonic()
    for finish in (True, False):
        answer = serving.raw(INFER + b"content-length: 100\r\n\r\n" + b'{"inputs"', finish=finish)
        assert status_of(answer) in (0, 400, 408)
    assert time.monotonic() - started < 4
    assert serving.pods[0].count == before


def test_a_refused_body_is_not_taken_for_the_next_request(serving: Router) -> None:
    """Or a client could write a request of its own into another's connection."""
    before = serving.pods[0].count
    within = b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    for path in (b"/v2/models/sorter/infer", b"/nowhere"):
        outer = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(within) + within
        answer = serving.raw(outer + b"GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 404") == answer.count(b"HTTP/1.1 ") == 2
    assert serving.pods[0].count == before


def test_header_injection_reaches_neither_pod_nor_answer(serving: Router) -> None:
    """A line feed ends a header on the wire, so the attempt is another header, which is passed on as one; encoded, it is text."""
    answer = serving.ask(x_user_id="u%0d%0ax-slipway-revision: mine", x_request_id="a%0d%0aset-cookie: b")
    seen = serving.pods[0].seen[-1].headers
    assert (answer.status, answer.revision, "set-cookie" in answer.headers) == (200, "ranker-old", False)
    assert (seen["x-user-id"], answer.headers["x-request-id"]) == ("u%0d%0ax-slipway-revision: mine", "a%0d%0aset-cookie: b")


def answers(serving: Router, requests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """What each is answered; those that are cut short wait for the router's patience to end, so many are sent at once."""
    with ThreadPoolExecutor(48) as threads:
        return list(threads.map(lambda request_: (request_, serving.raw(request_, timeout_s=1.5)), requests))


def test_a_thousand_mutations_of_a_valid_request(serving: Router) -> None:
    """Whatever is still valid is answered; all else is refused with 4xx, or the connection closed where it cannot be told what was asked."""
    chance = random.Random(20261125)  # noqa: S311
    master, workers = serving.master, serving.workers
    found: Counter[int] = Counter()
    for request_, answer in answers(serving, [malformed.mutated(VALID, chance) for _ in range(MUTATIONS)]):
        status = status_of(answer)
        found[status] += 1
        assert status in (0, 200) or 400 <= status < 500, (request_, answer)
        assert status < 400 or error_of(answer), (request_, answer)
    assert found[200] > 50, found
    assert sum(count for status, count in found.items() if status >= 400) > 400, found
    assert found[0] < 100, found
    assert (serving.master, serving.workers) == (master, workers)
    assert serving.control("GET", "/healthz").json == {"underway": 0}
    assert serving.taken()["pending"] == {"ranker-old": 0}
    assert [line for line in serving.log.splitlines() if "[error]" in line and "lua" in line] == []
    assert "exited on signal" not in serving.log
    assert serving.ask(x_user_id="u").status == 200


def memory(worker: int) -> int:
    """KiB that a process holds for itself."""
    for line in Path(f"/proc/{worker}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1])
    raise AssertionError


def test_malformed_requests_leak_nothing(serving: Router) -> None:
    chance = random.Random(7)  # noqa: S311
    worker = serving.workers[0]

    def open_files() -> int:
        return len(list(Path(f"/proc/{worker}/fd").iterdir()))

    answers(serving, [malformed.mutated(VALID, chance) for _ in range(500)])
    before, files = memory(worker), open_files()
    answers(serving, [malformed.mutated(VALID, chance) for _ in range(1000)])
    assert memory(worker) - before < 4096
    end = time.monotonic() + 10
    while open_files() > files + 4:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_slow_clients_are_let_go_and_others_are_served(serving: Router) -> None:
    """Two hundred that send a byte now and then, of a header or of a body."""
    slow = []
    for number in range(200):
        connection = socket.create_connection(("127.0.0.1", serving.http_port), timeout=10)
        connection.sendall(INFER if number % 2 else INFER + b"content-length: 1000\r\n\r\n{")
        slow.append(connection)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.5):
            for number in range(1, 200, 2):
                with contextlib.suppress(OSError):
                    slow[number].sendall(b"a")

    thread = threading.Thread(target=drip)
    thread.start()
    started = time.monotonic()
    with Load(serving.http_port, clients=2) as load:
        load.until(300)
        assert load.slowest_s < 1
        for connection in slow:
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass
            connection.close()
    assert time.monotonic() - started < 6
    stop.set()
    thread.join()
    assert (load.failures, set(load.statuses)) == ([], {200})


def test_a_full_disk_for_logs_stops_nobody(folder: Path) -> None:
    with Router(folder, error_log="/dev/full info") as router:
        (folder / "error.log").write_text("")
        router.serve(table(), pods={"ranker-old": ["127.9.9.9", router.pod()]})
        assert {router.ask(x_user_id="u").status for _ in range(50)} == {200}
        assert router.ask(path="/nowhere").status == 404
        assert router.taken()["totals"]
