"""Whoever sends what it should not gets 4xx with the reason, is not counted, and fills no memory."""

import contextlib
import json
import os
import socket
import threading
from typing import Any

import pytest

from ledger.conftest import Start
from ledger.harness import (
    ADMIN,
    APPLICATION,
    CHECKOUT,
    READER,
    ROUTER,
    SHOP_ROUTER,
    TOKENS,
    Ledger,
    announce,
    at,
    definition,
    eventually,
    exposure,
    outcome,
)
from slipway_testing.loopback import Answer

NAMES = 1_000_000 if os.environ.get("LEDGER_NAMES") == "all" else 20_000
"""Distinct metric names that nobody registered."""


@pytest.fixture
def ledger(start: Start) -> Ledger:
    """Running, on SQLite."""
    running = start()
    assert running.register().status == 201
    return running


def refused(answer: Answer) -> tuple[int, str]:
    """Status and reason; AssertionError: there is no sentence."""
    assert len(answer.said["error"]) > 10
    return answer.status, answer.said["reason"]


@pytest.mark.parametrize("token", ["", "nobody-knows-this-token", ROUTER[:-1], "é"])
def test_without_a_good_token_nothing_is_done(ledger: Ledger, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode().decode("latin-1")} if token else {}
    assert refused(ledger.post("/v1/exposures", exposure("ada"), "", **headers)) == (401, "token")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/exposures", {ROUTER, SHOP_ROUTER, ADMIN}),
        ("POST", "/v1/outcomes", {APPLICATION, ADMIN}),
        ("POST", "/v1/labels", {APPLICATION, ADMIN}),
        ("GET", "/v1/experiments", {READER, ADMIN}),
        ("GET", f"{CHECKOUT}/sums", {READER, ADMIN}),
        ("GET", f"{CHECKOUT}/looks", {READER, ADMIN}),
        ("GET", CHECKOUT, {READER, ADMIN}),
        ("POST", f"{CHECKOUT}/looks", {ADMIN}),
        ("PUT", CHECKOUT, {ADMIN}),
        ("DELETE", "/v1/units/ada", {ADMIN}),
    ],
)
def test_a_token_may_do_what_its_role_says(ledger: Ledger, method: str, path: str, allowed: set[str]) -> None:
    send = {"GET": ledger.get, "DELETE": ledger.delete}
    found = set()
    for token in (ROUTER, SHOP_ROUTER, APPLICATION, READER, ADMIN):
        body: Any = definition() if method == "PUT" else {"sequence": 1} if path.endswith("looks") else []
        answer = send[method](path, token) if method in send else (ledger.put if method == "PUT" else ledger.post)(path, body, token)
        found |= {token} if answer.status < 400 else set()
        assert answer.status < 400 or refused(answer) == (403, "role")
    assert found == allowed


def test_a_token_of_a_namespace_holds_there_only(ledger: Ledger) -> None:
    ledger.register("/v1/experiments/other/checkout")

    answer = ledger.post("/v1/exposures", [exposure("ada"), exposure("ada") | {"experiment": "other/checkout"}], SHOP_ROUTER).said

    assert (answer["accepted"], [(no["index"], no["reason"]) for no in answer["refused"]]) == (1, [(1, "namespace")])


def test_tokens_are_read_again_when_they_change(ledger: Ledger) -> None:
    ledger.tokens.write_text("nonsense\n")
    told = "the tokens stay as they were: line 1 of the tokens should be"
    eventually(lambda: ledger.get(CHECKOUT).status == 200 and told in ledger.log)  # it looks when it is asked
    assert ledger.get(CHECKOUT).status == 200
    ledger.tokens.write_text(TOKENS.replace(READER, "another-token-0123456789"))
    eventually(lambda: [ledger.get(CHECKOUT, token).status for token in (READER, "another-token-0123456789")] == [401, 200])


def test_a_long_body_is_refused_before_it_is_read(ledger: Ledger) -> None:
    for path, token in (("/v1/exposures", ROUTER), ("/v1/outcomes", APPLICATION), ("/v1/labels", APPLICATION)):
        assert refused(announce(ledger.port, "POST", path, 10 * 1024 * 1024, token=token)) == (413, "body")


def test_a_long_body_without_a_length_is_refused_where_it_becomes_too_long(ledger: Ledger) -> None:
    before, sent = ledger.resident_mib, 0
    with socket.create_connection(("127.0.0.1", ledger.port)) as client:
        client.settimeout(10)
        head = f"POST /v1/exposures HTTP/1.1\r\nHost: ledger\r\nAuthorization: Bearer {ROUTER}\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(160):
                client.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
                sent += 65_536
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")
                    break
                client.settimeout(10)
    assert sent < 10 * 1024 * 1024
    assert ledger.resident_mib < before + 16


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (422, None)),
        (b"{", (422, None)),
        (b"[", (400, "json")),
        (b"[NaN]", (400, "json")),
        (b"\xff\xfe", (422, None)),
        (b"[" * 100_000, (400, "json")),
        (b"null", (422, None)),
        (b'{"value": Infinity}', (422, None)),
    ],
    ids=["nothing", "half an object", "half an array", "NaN", "no UTF-8", "deep", "null", "infinity"],
)
def test_what_is_no_json_is_refused(ledger: Ledger, body: bytes, expected: tuple[int, str | None]) -> None:
    answer = ledger.post("/v1/outcomes", body, APPLICATION)

    assert (answer.status, answer.said.get("reason")) == expected
    assert answer.said.get("accepted", 0) == 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "1e9999999", "1000000001", '"1"', "true", "[1]", "null"])
def test_values_are_finite_numbers(ledger: Ledger, value: str) -> None:
    body = json.dumps(outcome("ada", 4321)).replace("4321", value)
    ledger.expose(exposure("ada"))

    assert ledger.post("/v1/outcomes", body.encode(), APPLICATION).status == 422
    assert ledger.sums()["metrics"][0]["sums"][0]["open"]["totals"][0] == "0"


def test_a_million_names_are_refused_and_kept_nowhere(ledger: Ledger) -> None:
    ledger.expose(exposure("ada"))
    ledger.post("/v1/outcomes", [outcome("ada", metric=f"warm-{n}") for n in range(5000)], APPLICATION)
    before = ledger.resident_mib
    for start in range(0, NAMES, 5000):
        answer = ledger.post("/v1/outcomes", [outcome("ada", metric=f"name-{n}") for n in range(start, start + 5000)], APPLICATION)
        assert (answer.status, answer.said["accepted"], answer.said["refused"][-1]["reason"]) == (422, 0, "metric")

    assert ledger.resident_mib < before + 24
    assert ledger.sums()["counts"]["unknownMetric"] == str(NAMES + 5000)
    assert ledger.metric('events_total{kind="outcome",result="metric"}') == NAMES + 5000


def test_too_many_events_are_refused(ledger: Ledger) -> None:
    assert refused(ledger.post("/v1/exposures", b"[" + b",".join([b"1"] * 10_001) + b"]")) == (413, "events")


def test_a_queue_that_is_full_says_when_to_come_again(start: Start) -> None:
    ledger = start(waiting_events=1)
    ledger.register()
    answers: list[Answer] = []
    batch = [exposure(f"u-{n}") for n in range(2000)]
    threads = [threading.Thread(target=lambda: answers.append(ledger.post("/v1/exposures", batch))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    full = [answer for answer in answers if answer.status == 429]
    assert full
    assert {(refused(answer), answer.headers["retry-after"]) for answer in full} == {((429, "full"), "1")}
    assert {answer.status for answer in answers} == {200, 429}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "path")),
        ("GET", "/v1/experiments/shop", (404, "path")),
        ("GET", "/v1/experiments/shop/nothing", (404, "experiment")),
        ("GET", "/v1/experiments/shop/nothing/sums", (404, "experiment")),
        ("POST", CHECKOUT, (405, "method")),
        ("GET", f"{CHECKOUT}/sums?now=yesterday", (400, "query")),
        ("GET", f"{CHECKOUT}/sums?now=2026-11-29T12:00:00", (400, "query")),
        ("GET", f"{CHECKOUT}/sums?now=2999-01-01T00:00:00Z", (400, "query")),
        ("GET", f"{CHECKOUT}/sums?later=1", (400, "query")),
        ("GET", "/v1/experiments?namespace=shop", (400, "query")),
        ("GET", f"{CHECKOUT}/metrics/bought/quantile", (400, "query")),
        ("GET", f"{CHECKOUT}/metrics/bought/quantile?q=nan", (400, "query")),
        ("GET", f"{CHECKOUT}/metrics/other/quantile?q=.9", (404, "metric")),
        ("GET", f"{CHECKOUT}/looks?limit=1e9", (400, "query")),
    ],
)
def test_questions_that_are_none(ledger: Ledger, method: str, path: str, expected: tuple[int, str]) -> None:
    assert refused(ledger.get(path, ADMIN) if method == "GET" else ledger.post(path, {})) == expected


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"arms": ["one"]}, 400),
        ({"arms": ["one", "one"]}, 422),
        ({"arms": ["one", "waiting"]}, 422),
        ({"arms": [f"a{n}" for n in range(11)]}, 400),
        ({"metrics": []}, 400),
        ({"metrics": [{"name": "a b", "type": "Mean", "windowSeconds": 1}]}, 400),
        ({"metrics": [{"name": "m", "type": "Median", "windowSeconds": 1}]}, 400),
        ({"metrics": [{"name": "m", "type": "Mean", "windowSeconds": 0}]}, 400),
        ({"metrics": [{"name": "m", "type": "Mean", "windowSeconds": 1.5}]}, 400),
        ({"metrics": [{"name": "m", "type": "Mean", "windowSeconds": 1, "denominator": "d"}]}, 422),
        ({"metrics": [{"name": "m", "type": "Ratio", "windowSeconds": 1}]}, 422),
        ({"metrics": [{"name": "m", "type": "Ratio", "windowSeconds": 1, "denominator": "m"}]}, 422),
        ({"metrics": [{"name": "m", "type": "Proportion", "windowSeconds": 1, "cap": 1}]}, 422),
        ({"metrics": [{"name": "m", "type": "Mean", "windowSeconds": 1}] * 2}, 422),
        ({"other": 1}, 400),
    ],
)
def test_definitions_that_are_none(ledger: Ledger, changes: dict[str, Any], status: int) -> None:
    assert refused(ledger.put("/v1/experiments/shop/other", definition(**changes))) == (status, "definition")
    assert ledger.get("/v1/experiments/shop/other").status == 404


def test_names_in_paths_are_names(ledger: Ledger) -> None:
    assert refused(ledger.put("/v1/experiments/shop/Not%20A%20Name", definition())) == (400, "name")


def test_an_exposure_of_the_future_is_refused(ledger: Ledger) -> None:
    answer = ledger.post("/v1/exposures", exposure("ada") | {"time": at(86_400)})
    assert (answer.status, answer.said["refused"][0]["reason"]) == (422, "time")


@pytest.mark.parametrize(
    "text", ["\\ud800", "\\u0000", "\\udfff\\ud800", "x\\u0000y"], ids=["half a pair", "zero", "a pair the wrong way", "zero within"]
)
@pytest.mark.parametrize("field", ["unit", "arm", "stratum", "requestId", "experiment"])
def test_texts_of_any_kind_do_no_harm(ledger: Ledger, field: str, text: str) -> None:
    body = json.dumps(exposure("ada") | {field: "REPLACED"}).replace("REPLACED", text)
    answer = ledger.post("/v1/exposures", body.encode())

    assert answer.status in ((200, 422) if field in ("unit", "requestId") else (422,)), answer
    assert "failed" not in ledger.log
