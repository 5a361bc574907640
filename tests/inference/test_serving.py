"""Requests to a process of its own: merging, sizes, connections, memory."""

import asyncio
import http.client
import json
import random
import socket
import time

import numpy as np
import pytest

from inference.conftest import Start
from inference.harness import INFER, Answer, Model, answer, ask, body, loaded, many, request
from slipway_testing.loopback import free_port
from slipway_testing.malformed import mutated


def test_it_answers_and_describes_itself(start: Start, model: Model) -> None:
    transformer = start()
    assert transformer.infer(body(1, 2)).output() == [4.0, 8.0]
    assert transformer.get("/v2/health/ready").said == {"name": "ranker", "ready": True}
    assert transformer.get("/v2/health/live").said == {"live": True}
    assert transformer.get("/v2/models/ranker").said["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert ask(transformer.port, "/metrics", method="GET").status == 404
    assert ask(transformer.metrics_port, "/v2", method="GET").status == 404
    assert transformer.metric('requests_total{code="200"}') == 1
    model.ready = False
    assert transformer.get("/v2/health/ready").status == 503


def test_the_servers_index_is_passed_on(start: Start, model: Model) -> None:
    transformer = start()
    model.ready = False
    model.index = b'[{"name": "ranker", "version": "1", "state": "UNAVAILABLE", "reason": "no such operator"}]'
    told = ask(transformer.port, "/v2/repository/index")
    assert (told.status, told.said, told.headers["content-type"]) == (200, json.loads(model.index), "application/json")
    assert ask(transformer.port, "/v2/repository/index", method="GET").status == 405
    assert ask(transformer.port, "/v2/repository/models/ranker/unload").status == 404

    model.index = b"none"
    assert (ask(transformer.port, "/v2/repository/index").status, ask(transformer.port, "/v2/repository/index").said["reason"]) == (
        503,
        "unavailable",
    )
    model.stop()
    assert ask(transformer.port, "/v2/repository/index").status == 503


def test_requests_of_one_moment_are_merged_and_never_beyond_the_batch(start: Start, model: Model) -> None:
    transformer = start()
    model.delay_s = 0.05
    chance = random.Random(1)  # noqa: S311
    asked = [[float(chance.randrange(1000)) for _ in range(chance.randint(1, 5))] for _ in range(60)]
    answers = asyncio.run(many(transformer.port, [body(*rows) for rows in asked]))
    assert [each.output() for each in answers] == [[4 * row for row in rows] for rows in asked]
    assert max(model.calls) <= 8
    assert len(model.calls) <= len(asked) / 2


def test_a_bad_request_does_not_fail_its_neighbours(start: Start, model: Model) -> None:
    transformer = start()
    model.delay_s, model.poison = 0.05, 13
    bodies = [body(1), b"{", body(13), body(2), body(2)[:-5], body(3), body(13)]
    answers = asyncio.run(many(transformer.port, bodies * 3))
    assert [each.status for each in answers] == [200, 400, 502, 200, 400, 200, 502] * 3
    assert [each.output() for each in answers if each.status == 200] == [[4.0], [8.0], [12.0]] * 3


def test_clients_that_go_away_cancel_nobody_else(start: Start, model: Model) -> None:
    transformer = start()
    model.delay_s = 0.2

    async def half_of_them_go() -> list[Answer]:
        streams = [await asyncio.open_connection("127.0.0.1", transformer.port) for _ in range(12)]
        for number, (_, writer) in enumerate(streams):
            writer.write(request(body(number)))
        await asyncio.sleep(0.05)
        for _, writer in streams[::2]:
            writer.transport.abort()
        found = [await answer(reader) for reader, _ in streams[1::2]]
        for _, writer in streams:
            writer.close()
        return found

    assert [each.output() for each in asyncio.run(half_of_them_go())] == [[4.0 * number] for number in range(1, 12, 2)]
    assert transformer.infer(body(5)).output() == [20.0]


def test_connections_are_kept(start: Start, model: Model) -> None:
    transformer = start()
    connection = http.client.HTTPConnection("127.0.0.1", transformer.port)
    connection.connect()
    mine = connection.sock
    for number in range(50):
        connection.request("POST", INFER, body(number) if number % 5 else b"{", {"content-type": "application/json"})
        response = connection.getresponse()
        assert (response.status, connection.sock) == (200 if number % 5 else 400, mine)
        response.read()
    connection.close()
    assert model.connections == 1


def test_requests_that_are_sent_without_waiting_are_answered_in_their_order(start: Start) -> None:
    transformer = start()

    async def pipelined() -> list[Answer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", transformer.port)
        writer.write(b"".join(request(body(number)) for number in range(5)))
        found = [await answer(reader) for _ in range(5)]
        writer.close()
        return found

    assert [each.output() for each in asyncio.run(pipelined())] == [[4.0 * number] for number in range(5)]


def test_ten_thousand_rows(start: Start, model: Model) -> None:
    transformer = start({"maxBatchSize": 1024})
    assert transformer.infer(body(*range(10_000))).output() == [4.0 * row for row in range(10_000)]
    assert sorted(model.calls) == [10_000 % 1024, *[1024] * 9]
    refused = transformer.infer(body(*[0] * 16_385))
    assert (refused.status, refused.said["reason"]) == (413, "rows")


def test_ten_megabytes_in_binary(start: Start) -> None:
    transformer = start({"maxBatchSize": 1_000_000}, max_rows=1_000_000)
    values = np.arange(2_600_000, dtype="<f4").reshape(-1, 4)
    parameters = {"binary_data_size": values.nbytes}
    given = {"name": "x", "shape": list(values.shape), "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    said = ask(transformer.port, INFER, head + values.tobytes(), inference_header_content_length=str(len(head)))
    length = int(said.headers["inference-header-content-length"])
    np.testing.assert_array_equal(np.frombuffer(said.body[length:], "<f4"), values.sum(axis=1, dtype="<f4"))


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(start: Start) -> None:
    transformer = start(body_bytes=1000)
    with socket.create_connection(("127.0.0.1", transformer.port), timeout=5) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: ranker\r\nContent-Length: 1000000000\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    chunked = f"POST {INFER} HTTP/1.1\r\nHost: ranker\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"400\r\n" + b" " * 1024 + b"\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", transformer.port), timeout=5) as connection:
        connection.sendall(chunked)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_pieces_without_a_length(start: Start) -> None:
    transformer = start()
    whole = body(1, 2)
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (whole[:7], whole[7:], b""))
    head = f"POST {INFER} HTTP/1.1\r\nHost: ranker\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", transformer.port), timeout=5) as connection:
        connection.sendall(head + pieces)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.endswith(b'"data":[4.0,8.0]}]}')


def test_a_client_that_ends_within_its_body(start: Start) -> None:
    transformer = start()
    with socket.create_connection(("127.0.0.1", transformer.port), timeout=5) as connection:
        connection.sendall(request(body(1))[:-10])
    assert transformer.infer(body(2)).output() == [8.0]
    until = time.monotonic() + 5
    while not (counted := transformer.metric('requests_total{code="400"}')) and time.monotonic() < until:
        time.sleep(0.02)
    assert counted == 1


@pytest.mark.parametrize("seed", range(2))
def test_changed_bytes_of_whole_requests_end_nothing(start: Start, seed: int) -> None:
    transformer = start()
    chance = random.Random(seed)  # noqa: S311
    valid = request(body(1, 2))
    statuses = set()
    for _ in range(250):
        with socket.create_connection(("127.0.0.1", transformer.port), timeout=5) as connection:
            connection.sendall(mutated(valid, chance))
            connection.shutdown(socket.SHUT_WR)
            statuses.add(connection.recv(12)[9:])
    assert statuses <= {b"", b"200", *(b"%d" % status for status in range(400, 500))}
    assert b"400" in statuses
    assert transformer.infer(body(3)).output() == [12.0]


def test_memory_and_connections_after_load(start: Start, model: Model) -> None:
    transformer = start()
    at_rest, sockets = transformer.resident_mib, transformer.open_sockets
    with loaded(transformer.port, clients=16) as found:
        time.sleep(3)
    assert [each for each in found if not isinstance(each, Answer) or each.status != 200] == []
    assert (at_rest <= 120, transformer.resident_mib <= 120) == (True, True), (at_rest, transformer.resident_mib)
    until = time.monotonic() + 5
    while transformer.open_sockets > sockets + model.connections and time.monotonic() < until:
        time.sleep(0.05)
    assert transformer.open_sockets == sockets + model.connections
    assert model.connections <= 32


def test_the_trace_of_a_request_reaches_the_model(start: Start, model: Model) -> None:
    transformer = start()
    trace = "0af7651916cd43dd8448eb211c80319c"
    transformer.infer(body(1), traceparent=f"00-{trace}-b7ad6b7169203331-01", tracestate="a=1")
    [head] = model.heads
    assert (head["traceparent"][3:35], head["tracestate"]) == (trace, "a=1")
    assert "b7ad6b7169203331" not in head["traceparent"]


def test_a_port_that_somebody_has_is_told(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        with pytest.raises(RuntimeError, match="does not come up"):
            start(port=taken.getsockname()[1], metrics_port=taken.getsockname()[1])
