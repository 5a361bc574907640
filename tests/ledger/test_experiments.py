"""An experiment from its registration to the day its data goes."""

import contextlib
import json
import math
import random
import socket
import time
from datetime import datetime
from typing import Any

import pytest

from ledger.conftest import Start
from ledger.harness import ADMIN, APPLICATION, CHECKOUT, NOW, READER, TOKENS, Ledger, announce, ask, at, definition, eventually, exposure, outcome
from ledger.test_hostile import refused
from slipway_testing.postgres_server import PostgresServer

HOUR = 3600
REVENUE = {"name": "revenue", "type": "Mean", "windowSeconds": HOUR, "cuped": {"days": 1}}


def test_the_same_definition_may_come_again_and_another_may_not(ledger: Ledger) -> None:
    assert ledger.register().status == 200
    assert refused(ledger.register(arms=["control", "other"])) == (409, "changed")
    assert ledger.get(CHECKOUT).said == definition()


def test_a_cap_is_set_once_and_holds_for_all_units(start: Start, database: str) -> None:
    ledger = start(database)
    ledger.register(metrics=[REVENUE])
    ledger.expose(*(exposure(f"u-{n}", ["control", "challenger"][n % 2], -3 * HOUR if n < 20 else -1000) for n in range(40)))
    ledger.observe(*(outcome(f"u-{n}", n + 0.5, -3 * HOUR + 5 if n < 20 else -900, "revenue") for n in range(40)))
    ledger.observe(*(outcome(f"u-{n}", 100, -5 * HOUR, "revenue") for n in range(3)))

    assert ledger.register(metrics=[REVENUE | {"cap": 7.25}]).status == 200
    assert refused(ledger.register(metrics=[REVENUE | {"cap": 8}])) == (409, "changed")
    assert refused(ledger.register(metrics=[REVENUE])) == (409, "changed")
    ledger.observe(outcome("u-0", 3, -3 * HOUR + 6, "revenue"))

    def capped(numbers: range, arm: int) -> dict[str, Any]:
        values = [min(7.25, n + 0.5 + (3 if n == 0 else 0)) for n in numbers if n % 2 == arm]
        before = [7.25 if n < 3 else 0.0 for n in numbers if n % 2 == arm]
        pairs = ((values, values), (values, before), (before, before))
        products = [sum(one * other for one, other in zip(*pair, strict=True)) for pair in pairs]
        return {"units": len(values), "totals": [sum(values), sum(before)], "products": products}

    [metric] = ledger.get(f"{CHECKOUT}/sums").said["metrics"]
    assert metric["cap"] == 7.25
    assert [(group["arm"], group["open"], group["closed"]) for group in metric["sums"]] == [
        (name, capped(range(40), arm), capped(range(20), arm)) for arm, name in enumerate(("control", "challenger"))
    ]


def test_a_quantile_looks_at_the_first_closed_units_of_all_arms(start: Start, database: str) -> None:
    ledger = start(database)
    ledger.register(metrics=[REVENUE])
    draws = random.Random(5)  # noqa: S311
    values = [round(draws.expovariate(0.1), 2) for _ in range(10_050)]
    path = f"{CHECKOUT}/metrics/revenue/quantile?q=0.99"

    def send(numbers: range) -> None:
        for first in range(numbers.start, numbers.stop, 2500):
            some = range(first, min(first + 2500, numbers.stop))
            ledger.expose(*(exposure(f"u-{n}", ["control", "challenger"][n % 2], -20_000 + n) for n in some))
            ledger.observe(*(outcome(f"u-{n}", values[n], -20_000 + n, "revenue") for n in some))

    send(range(5000))
    assert ledger.get(path).said == {"metric": "revenue", "q": 0.99, "units": 5000, "needed": 10_000, "value": None}
    ledger.expose(*(exposure(f"w-{n}", "waiting", -20_000 + n) for n in range(500)))
    send(range(5000, 10_050))

    expected = sorted(values[:10_000])[math.ceil(0.99 * 10_000) - 1]
    assert ledger.get(path).said == {"metric": "revenue", "q": 0.99, "units": 10_000, "needed": 10_000, "value": expected}


def test_looks_are_appended_in_order_and_never_changed(ledger: Ledger) -> None:
    path = f"{CHECKOUT}/looks"
    first, second = b'{"sequence": 1, "sums": {"n": 12345678901234567890.5}, "verdict": "Collecting"}', b'{"sequence":2}'

    told = [ledger.post(path, look).status for look in (first, second, first)]

    assert told == [201, 201, 200]
    assert refused(ledger.post(path, b'{"sequence": 1}')) == (409, "sequence")
    assert refused(ledger.post(path, b'{"sequence": 4}')) == (409, "sequence")
    assert refused(ledger.post(path, b'{"sequence": "3"}')) == (400, "look")
    assert refused(announce(ledger.port, "POST", path, 2**24 + 1, token=ADMIN)) == (413, "body")
    assert ledger.get(path).body == b'{"looks":[' + first + b"," + second + b'],"last":2}'
    assert ledger.get(f"{path}?after=1&limit=1").body == b'{"looks":[' + second + b'],"last":2}'


def test_long_looks_come_a_few_at_a_time_and_never_less_than_one(ledger: Ledger) -> None:
    """Of 16 MiB: three of a kB and five of 3 MB; two of those; one of 16 MB and one of a kB."""
    path = f"{CHECKOUT}/looks"
    lengths = [1_000] * 3 + [3_000_000] * 7 + [16_000_000, 1_000]
    for sequence, length in enumerate(lengths, start=1):
        assert ledger.post(path, {"sequence": sequence, "more": "x" * length}).status == 201

    pages, after = [], 0
    while after < len(lengths):
        answer = ledger.get(f"{path}?after={after}")
        numbers = [look["sequence"] for look in answer.said["looks"]]
        assert (numbers, answer.said["last"]) == ([*range(after + 1, after + 1 + len(numbers))], len(lengths))
        assert len(answer.body) < 2**24 + 1000
        pages.append(len(numbers))
        after = numbers[-1]

    assert pages == [8, 2, 2]
    assert len(ledger.get(f"{path}?limit=2").said["looks"]) == 2
    assert ledger.get(f"{path}?limit=0").said["looks"] == []


def test_only_looks_may_be_longer_than_the_setting_says(start: Start, database: str) -> None:
    ledger = start(database, body_bytes=10_000)
    ledger.register()
    assert ledger.post(f"{CHECKOUT}/looks", {"sequence": 1, "more": "x" * 20_000}).status == 201
    for path in ("/v1/exposures", "/v1/outcomes", "/v1/labels"):
        assert refused(ledger.post(path, b"[" + b" " * 20_000 + b"]")) == (413, "body")
    assert refused(ledger.put(CHECKOUT, b"{" + b" " * 20_000 + b"}")) == (413, "body")


def test_no_more_than_a_few_long_looks_are_under_way(ledger: Ledger) -> None:
    """Each says how long it is and sends nothing; short ones are taken meanwhile, and long ones when those are gone."""
    path, length = f"{CHECKOUT}/looks", 2 * 1024 * 1024
    head = f"POST {path} HTTP/1.1\r\nHost: ledger\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: {length}\r\n\r\n"
    with contextlib.ExitStack() as waiting:
        for _ in range(4):
            waiting.enter_context(socket.create_connection(("127.0.0.1", ledger.port))).sendall(head.encode())
        until = time.monotonic() + 10
        while refused(answer := announce(ledger.port, "POST", path, length, token=ADMIN)) != (429, "busy"):
            assert time.monotonic() < until
        assert answer.headers["retry-after"] == "1"
        assert ledger.post(path, {"sequence": 1}).status == 201
    until = time.monotonic() + 10
    while (status := ledger.post(path, {"sequence": 2, "more": "x" * length}).status) == 429:
        assert time.monotonic() < until
    assert status == 201


def test_closed_sums_never_open_again(ledger: Ledger) -> None:
    ledger.expose(exposure("ada", seconds=-2 * HOUR))
    ledger.observe(outcome("ada", seconds=-2 * HOUR + 5))
    [metric] = ledger.sums()["metrics"]
    earlier = ledger.get(f"{CHECKOUT}/sums?now={at(-2 * HOUR).replace('+', '%2B')}").said

    assert [group["closed"]["units"] for group in metric["sums"]] == ["1"]
    assert earlier["metrics"][0]["closedAt"] >= metric["closedAt"]
    assert earlier["metrics"][0]["sums"][0]["closed"]["totals"][0] == 1


def test_windows_close_while_nobody_reads(start: Start, database: str) -> None:
    ledger = start(database, close_seconds=0.05)
    ledger.register(metrics=[{"name": "bought", "type": "Proportion", "windowSeconds": 2}])
    ledger.expose(*(exposure(f"u-{n}", seconds=time_of_now()) for n in range(50)))
    until = time.monotonic() + 15
    while ledger.sums()["metrics"][0]["sums"][0]["closed"]["units"] != "50":
        assert time.monotonic() < until
        time.sleep(0.1)


def time_of_now() -> float:
    """Seconds since the tests began."""
    return time.time() - NOW.timestamp()


def test_looks_of_one_that_ended_are_kept_though_nobody_met_it(ledger: Ledger) -> None:
    assert ledger.post(f"{CHECKOUT}/looks", b'{"sequence": 1}').status == 201
    ledger.delete(CHECKOUT)
    assert refused(ledger.register()) == (409, "ended")


def test_an_ended_experiment_takes_nothing_and_is_still_read(ledger: Ledger) -> None:
    ledger.expose(exposure("ada"))
    assert ledger.delete(CHECKOUT).said == {"state": "Ended"}

    answer = ledger.post("/v1/exposures", exposure("bob")).said
    ledger.observe(outcome("ada"))

    assert [no["reason"] for no in answer["refused"]] == ["ended"]
    assert (ledger.sums()["state"], ledger.sums()["metrics"][0]["sums"][0]["open"]["totals"][0]) == ("Ended", "0")
    assert refused(ledger.register()) == (409, "ended")


def test_experiments_are_listed_with_their_state(ledger: Ledger) -> None:
    began = time.time()
    ledger.register("/v1/experiments/shop/a-second", service="ranker")
    ledger.register("/v1/experiments/bank/first")
    ledger.delete(CHECKOUT)

    listed = ledger.get("/v1/experiments").said["experiments"]

    assert [(each["name"], each["service"], each["state"]) for each in listed] == [
        ("bank/first", "bank/first", "Running"),
        ("shop/a-second", "shop/ranker", "Running"),
        ("shop/checkout", "shop/checkout", "Ended"),
    ]
    assert [each["endedAt"] is None for each in listed] == [True, True, False]
    moments = [listed[1]["registeredAt"], listed[2]["endedAt"]]
    assert all(began - 1 < datetime.fromisoformat(moment).timestamp() < time.time() + 1 for moment in moments)


def test_experiments_of_other_namespaces_are_not_listed(ledger: Ledger) -> None:
    ledger.register("/v1/experiments/bank/first")
    ledger.tokens.write_text(f"{TOKENS}reader teller-token-0123456789 bank\n")
    eventually(lambda: ledger.get("/v1/experiments", "teller-token-0123456789").status == 200)  # the file is read again every second

    listed = ledger.get("/v1/experiments", "teller-token-0123456789").said["experiments"]

    assert [each["name"] for each in listed] == ["bank/first"]


def test_data_goes_when_its_time_is_over(start: Start, database: str) -> None:
    ledger = start(database, close_seconds=0.02, retention_days=0, late_days=0)
    ledger.register()
    ledger.register("/v1/experiments/shop/other", service="checkout")
    ledger.expose(*(exposure(f"u-{n}", requestId=f"r-{n}") for n in range(3000)))
    ledger.expose(exposure("ada") | {"experiment": "shop/other"})
    ledger.observe(outcome("ada", seconds=-3 * 86_400), outcome("u-1"), outcome("stranger", seconds=-1))
    ledger.delete(CHECKOUT)

    until = time.monotonic() + 20
    while ledger.get(CHECKOUT).status != 404:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert ledger.metric('removed_rows_total{table="unit"}') == 3000
    assert ledger.register().status == 201
    assert ledger.sums()["units"] == []
    assert [group["units"] for group in ledger.sums("/v1/experiments/shop/other")["units"]] == ["1"]


def test_experiments_of_one_service_share_its_outcomes(ledger: Ledger) -> None:
    ledger.register("/v1/experiments/shop/second", service="checkout")
    ledger.expose(exposure("ada"), exposure("ada", "challenger") | {"experiment": "shop/second"})
    event = {name: value for name, value in outcome("ada").items() if name != "experiment"} | {"service": "shop/checkout"}
    ledger.post("/v1/outcomes", event, APPLICATION)

    found = [ledger.sums(f"/v1/experiments/shop/{name}")["metrics"][0]["sums"][0] for name in ("checkout", "second")]
    assert [(group["arm"], group["open"]["totals"][0]) for group in found] == [("control", "1"), ("challenger", "1")]


def test_a_second_ledger_on_the_same_database_ends(ledger: Ledger, database: str, tmp_path: Any) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = Ledger(folder, database)
    second.start(wait=False)

    assert second.wait() == 1
    assert "run one at a time" in second.log


def test_postgres_may_go_and_come_back(start: Start) -> None:
    with PostgresServer() as server:
        ledger = start(server.database())
        ledger.register()
        ledger.expose(exposure("ada"))
        server.stop()
        answer = ledger.post("/v1/exposures", [exposure("bob"), exposure("ada", "challenger")])
        assert (refused(answer), answer.headers["retry-after"]) == ((503, "database"), "2")
        assert ledger.get("/health/ready", "").status == 503
        server.start()
        ledger.expose(exposure("bob"))

        assert [(group["arm"], group["units"]) for group in ledger.sums()["units"]] == [("control", "2")]
        assert ledger.sums()["counts"]["seenInTwoArms"] == "0"
        assert ledger.get("/health/ready", "").status == 200
        assert ledger.end() == 0


def test_what_is_under_way_is_answered_before_the_end(ledger: Ledger) -> None:
    assert ledger.get("/health/live", "").status == 200
    ledger.expose(*(exposure(f"u-{n}") for n in range(5000)))
    assert ledger.end() == 0
    assert json.loads(ledger.log.splitlines()[-1])["message"] == "ended"


def test_settings_and_files_that_do_not_fit_are_told(start: Start, tmp_path: Any) -> None:
    ledger = Ledger(tmp_path, port=0, body_bytes="many")
    ledger.start(wait=False)
    assert ledger.wait() == 2
    assert "SLIPWAY_PORT is '0'" in ledger.log
    assert "SLIPWAY_BODY_BYTES is 'many'" in ledger.log
    other = Ledger(tmp_path)
    (tmp_path / "key").write_text("short")
    other.start(wait=False)
    assert other.wait() == 2
    assert "has 5 bytes: it should have 16 to 64" in other.log


@pytest.mark.parametrize("path", ["/metrics", "/other"])
def test_metrics_have_a_port_of_their_own(ledger: Ledger, path: str) -> None:
    assert ask(ledger.metrics_port, "GET", path).status == (200 if path == "/metrics" else 404)
    assert ledger.get("/metrics", ADMIN).status == 404


def test_the_document_says_what_the_server_does(ledger: Ledger) -> None:
    document = ledger.get("/v1/openapi.json", "").said
    bodies: dict[str, Any] = {"register": definition(), "look": {"sequence": 1}, "lookup": {"experiment": "shop/checkout", "requestIds": []}}
    bodies |= {"exposures": [exposure("ada")], "outcomes": [outcome("ada")], "labels": []}
    query = {"quantile": "?q=0.9"}
    for path, operations in sorted(document["paths"].items(), reverse=True):  # sums before the experiment's own path, which ends it
        real = path.format(namespace="shop", name="checkout", metric="bought", unit="ada") if "{" in path else path
        for method, operation in sorted(operations.items(), reverse=True):
            name, said = operation["operationId"], operation["responses"]
            token = ADMIN if operation["security"] else ""
            answers = [ask(ledger.port, method.upper(), real + query.get(name, ""), bodies.get(name), token=token)]
            if operation["security"]:
                answers.append(ask(ledger.port, method.upper(), real, bodies.get(name)))
                assert answers[-1].status == 401
            if name in bodies:
                answers.append(ask(ledger.port, method.upper(), real, b"{", token=token))
                assert answers[-1].status in (400, 422)
                answers.append(announce(ledger.port, method.upper(), real, 2**24 + 1, token=token))
                assert answers[-1].status == 413
            assert answers[0].status in (200, 201), (name, answers[0])
            for answer in answers:
                assert str(answer.status) in said, (name, answer)
                schema = said[str(answer.status)]["content"]["application/json"]["schema"]
                assert set(schema.get("required", ())) <= set(answer.said), (name, answer)
        for method in {"get", "put", "post", "delete"} - set(operations):
            other = ask(ledger.port, method.upper(), real, {}, token=ADMIN)
            assert other.status == 405
            assert {word.strip().lower() for word in other.headers["allow"].split(",")} == set(operations)
    assert ask(ledger.port, "GET", "/v1/nothing", token=READER).status == 404
