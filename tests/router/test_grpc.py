"""The gRPC twin: the same split, counts and failures, and no answer that is not gRPC."""

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from datetime import datetime
from typing import Any

import grpc
import pytest

from router.harness import Router, experiment, split, table
from router.reference import slot_of

SERVICE = "/inference.GRPCInferenceService/"
Handler = Callable[[bytes, grpc.ServicerContext], bytes]
_numbers = itertools.count(1)


class GrpcPod:
    """Answers every method of every service with bytes."""

    def __init__(self, router: Router, handler: Handler) -> None:
        self.address = f"127.77.0.{next(_numbers)}"
        self.called: Counter[str] = Counter()
        self.metadata: list[dict[str, Any]] = []
        self._handler = handler
        self._server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[self], options=[("grpc.so_reuseport", 0)])  # type: ignore[list-item]
        self._server.add_insecure_port(f"{self.address}:{router.settings.pod_grpc_port}")
        self._server.start()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method = details.method.rpartition("/")[2]
        self.called[method] += 1
        self.metadata.append(dict(details.invocation_metadata))
        if method == "ModelStreamInfer":
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: (b"got " + one for one in requests))
        return grpc.unary_unary_rpc_method_handler(self._handler)

    def stop(self) -> None:
        self._server.stop(None).wait()


def echo(request: bytes, _: grpc.ServicerContext) -> bytes:
    return b"got " + request


def slow(seconds: float) -> Handler:
    def handler(request: bytes, _: grpc.ServicerContext) -> bytes:
        time.sleep(seconds)
        return request

    return handler


def refusing(code: grpc.StatusCode) -> Handler:
    def handler(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "the pod says so")
        raise AssertionError

    return handler


@pytest.fixture
def pod(router: Router) -> Iterator[Callable[..., GrpcPod]]:
    made: list[GrpcPod] = []

    def make(handler: Handler = echo) -> GrpcPod:
        made.append(GrpcPod(router, handler))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def call(router: Router) -> Iterator[Callable[..., tuple[bytes, dict[str, Any]]]]:
    channels: dict[str, grpc.Channel] = {}

    def ask(method: str = "ModelInfer", request: bytes = b"x", *, authority: str = "ranker", **metadata: str) -> tuple[bytes, dict[str, Any]]:
        if authority not in channels:
            options = [("grpc.default_authority", authority), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
            channels[authority] = grpc.insecure_channel(f"127.0.0.1:{router.grpc_port}", options)
        path = method if method.startswith("/") else SERVICE + method
        sent = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        callable_: Any = channels[authority].unary_unary(path)
        answer, made = callable_.with_call(request, timeout=10, metadata=sent)
        return answer, dict(made.initial_metadata())

    yield ask
    for channel in channels.values():
        channel.close()


def failure(ask: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(*arguments, **named)
    error: Any = caught.value
    return error.code(), error.details()


def test_a_call_reaches_its_pod(router: Router, pod: Any, call: Any) -> None:
    server = pod()
    router.serve(table(), pods={"ranker-old": [server]})
    answer, headers = call(request=b"hello", x_user_id="u", x_request_id="r1")
    assert answer == b"got hello"
    told = [headers[name] for name in ("x-slipway-revision", "x-slipway-role", "x-request-id")]
    assert told == ["ranker-old", "Stable", "r1"]
    assert server.metadata[0]["x-request-id"] == "r1"
    taken = router.taken()
    assert taken["totals"] == [["ranker", 7, "ranker-old", "Stable", "grpc", "2xx", 1]]
    assert [row[6] for row in taken["cells"]] == [0, 0]


def test_the_split_is_that_of_http(router: Router, pod: Any, call: Any) -> None:
    router.serve(split(3000), pods={"ranker-old": [pod()], "ranker-new": [pod()]})
    units = [f"user-{number}" for number in range(200)]
    expected = ["ranker-new" if slot_of("shop/ranker", unit.encode()) >= 7000 else "ranker-old" for unit in units]
    assert [call(x_user_id=unit)[1]["x-slipway-revision"] for unit in units] == expected


def test_exposures_are_those_of_http(router: Router, pod: Any, call: Any) -> None:
    router.serve(experiment((5000, 0, 0), (10000, 1, 1)), pods={"ranker-old": [pod(slow(0.3))], "ranker-new": [pod(slow(0.3))]})
    units = [f"user-{number}" for number in range(4)]
    before = time.time()
    for unit in units:
        call(x_user_id=unit)
    call()
    told = router.taken()["exposures"]
    arms = ["v8" if slot_of("shop/ranker", unit.encode()) >= 5000 else "control" for unit in units]
    assert [(each["unit"], each["arm"]) for each in told] == list(zip(units, arms, strict=True))
    began = [datetime.fromisoformat(each["time"]).timestamp() for each in told]
    assert all(begin < before + 0.3 * number + 0.25 for number, begin in enumerate(began))


def test_a_large_message(router: Router, pod: Any, call: Any) -> None:
    router.serve(table(limits={"bodyBytes": 1 << 22, "pendingPerPod": 9}), pods={"ranker-old": [pod()]})
    message = bytes(range(256)) * 12_000
    assert call(request=message)[0] == b"got " + message
    code, details = failure(call, request=b"x" * (3 << 20) + b"y" * (1 << 20))
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ranker takes smaller messages: send fewer rows at once")


@pytest.mark.parametrize(
    ("code", "what", "bad"),
    [
        (grpc.StatusCode.UNKNOWN, "5xx", 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "5xx", 1),
        (grpc.StatusCode.INTERNAL, "5xx", 1),
        (grpc.StatusCode.UNAVAILABLE, "5xx", 1),
        (grpc.StatusCode.DATA_LOSS, "5xx", 1),
        (grpc.StatusCode.INVALID_ARGUMENT, "4xx", 0),
        (grpc.StatusCode.NOT_FOUND, "4xx", 0),
    ],
)
def test_a_status_is_passed_on_and_counted(router: Router, pod: Any, call: Any, code: grpc.StatusCode, what: str, bad: int) -> None:
    router.serve(table(), pods={"ranker-old": [pod(refusing(code))]})
    assert failure(call, x_user_id="u") == (code, "the pod says so")
    taken = router.taken()
    assert ([row[5] for row in taken["totals"]], [row[6] for row in taken["cells"]]) == ([what], [bad, bad])


def test_a_call_that_one_pod_cannot_take_is_asked_of_another(router: Router, pod: Any, call: Any) -> None:
    router.serve(table(), pods={"ranker-old": ["127.9.9.9", pod()]})
    assert {call(x_user_id="u", request=b"hello")[0] for _ in range(20)} == {b"got hello"}
    totals = {row[5]: row[6] for row in router.taken()["totals"]}
    assert totals == {"2xx": 19, "none": 1, "retried": 1}


def test_a_lone_pod_that_cannot_be_asked(router: Router, call: Any) -> None:
    router.serve(table(), pods={"ranker-old": ["127.9.9.9"]})
    assert failure(call, x_user_id="u") == (grpc.StatusCode.UNAVAILABLE, "ranker-old of ranker could not be asked: try again")
    assert [row[5] for row in router.taken()["totals"]] == ["none"]


def test_a_pod_that_does_not_answer_in_time(router: Router, pod: Any, call: Any) -> None:

    router.serve(table(timeoutMilliseconds=200), pods={"ranker-old": [pod(slow(1))]})
    assert failure(call, x_user_id="u")[0] == grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_fallback_revision(router: Router, pod: Any, call: Any) -> None:
    router.serve(table(fallback={"revision": "ranker-before"}), pods={"ranker-old": ["127.9.9.9"], "ranker-before": [pod()]})
    answer, headers = call(x_user_id="u", request=b"hello")
    assert (answer, headers["x-slipway-revision"], headers["x-slipway-fallback"]) == (b"got hello", "ranker-before", "revision")
    assert {row[5]: row[6] for row in router.taken()["totals"]} == {"none": 1, "fallback": 1}


def test_a_fixed_answer_is_of_http_only(router: Router, call: Any) -> None:
    router.serve(table(fallback={"response": {"status": 200, "contentType": "a/b", "body": "x"}}), pods={"ranker-old": ["127.9.9.9"]})
    assert failure(call, x_user_id="u")[0] == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "ServerMetadata", "ModelStreamInfer"])
def test_a_revision_with_a_transformer_takes_nothing_but_http(router: Router, pod: Any, call: Any, method: str) -> None:
    server = pod()
    router.serve(table(httpOnly=["ranker-old"]), pods={"ranker-old": [server]})
    sentence = "use HTTP: revision ranker-old of ranker has a transformer, which gRPC does not reach"
    assert failure(call, method, x_user_id="u") == (grpc.StatusCode.UNIMPLEMENTED, sentence)
    assert server.called == {}
    assert router.taken()["totals"] == []
    assert call("ServerReady")[0] == b"\x08\x01"


def test_the_revision_that_a_call_would_go_to_decides(router: Router, pod: Any, call: Any) -> None:
    router.serve(split(3000, httpOnly=["ranker-new"]), pods={"ranker-old": [pod()], "ranker-new": [pod()]})

    def code(unit: str) -> grpc.StatusCode | bytes:
        try:
            return bytes(call(x_user_id=unit)[0])
        except grpc.RpcError as error:
            found: grpc.StatusCode = error.code()
            return found

    units = [f"user-{number}" for number in range(50)]
    expected = [grpc.StatusCode.UNIMPLEMENTED if slot_of("shop/ranker", unit.encode()) >= 7000 else b"got x" for unit in units]
    assert [code(unit) for unit in units] == expected


def test_http_reaches_a_revision_with_a_transformer(router: Router) -> None:
    router.serve(table(httpOnly=["ranker-old"]), pods={"ranker-old": [router.pod()]})
    assert router.ask(x_user_id="u").status == 200


def test_a_fallback_with_a_transformer_is_none_for_grpc(router: Router, pod: Any, call: Any) -> None:
    before = pod()
    fallback = table(fallback={"revision": "ranker-before"}, httpOnly=["ranker-before"])
    router.serve(fallback, pods={"ranker-old": ["127.9.9.9"], "ranker-before": [before]})
    assert failure(call, x_user_id="u") == (grpc.StatusCode.UNAVAILABLE, "ranker-old of ranker could not be asked: try again")
    assert before.called == {}


@pytest.mark.parametrize("authority", ["ranker", "ranker.shop", "ranker.shop.svc:9000", "ranker.shop.svc.cluster.local"])
def test_the_authority_names_the_model(router: Router, pod: Any, call: Any, authority: str) -> None:
    here, there = pod(), pod()
    router.serve(
        table(), table(model="sorter", revisions=[{"name": "sorter-old", "role": "Stable"}]), pods={"ranker-old": [here], "sorter-old": [there]}
    )
    call(authority=authority)
    call("ModelMetadata", authority=authority)
    assert (here.called, there.called) == ({"ModelInfer": 1, "ModelMetadata": 1}, {})
    code, details = failure(call, authority="ranker.other")
    assert (code, details) == (
        grpc.StatusCode.NOT_FOUND,
        "no model for the authority ranker.other is served here: check the name of the ModelDeployment",
    )


def test_any_authority_is_that_of_the_only_model(router: Router, pod: Any, call: Any) -> None:
    router.serve(table(), pods={"ranker-old": [pod()]})
    assert call(authority="127.0.0.1:9000")[0] == b"got x"


def test_health_is_the_models(router: Router, pod: Any, call: Any) -> None:
    assert failure(call, "ServerReady")[0] == grpc.StatusCode.UNAVAILABLE
    router.serve(table(), pods={})
    assert call("ServerLive")[0] == b"\x08\x01"
    assert failure(call, "ServerReady") == (grpc.StatusCode.UNAVAILABLE, "ranker is not ready: no pod of its stable revision is")
    router.serve(table(), pods={"ranker-old": [pod()]})
    assert call("ServerReady")[0] == b"\x08\x01"


@pytest.mark.parametrize(
    "method", ["RepositoryModelUnload", "SystemSharedMemoryRegister", "LogSettings", "/other.Service/ModelInfer", "/v2/models/ranker/infer"]
)
def test_other_methods_are_not_passed_on(router: Router, pod: Any, call: Any, method: str) -> None:
    server = pod()
    router.serve(table(), pods={"ranker-old": [server]})
    code, details = failure(call, method)
    assert (code, server.called) == (grpc.StatusCode.UNIMPLEMENTED, {})
    assert details == "there is no such method: use those of inference.GRPCInferenceService that serve a model"


def test_a_stream_goes_both_ways(router: Router, pod: Any) -> None:
    router.serve(table(), pods={"ranker-old": [pod()]})
    with grpc.insecure_channel(f"127.0.0.1:{router.grpc_port}") as channel:
        stream: Any = channel.stream_stream(SERVICE + "ModelStreamInfer")
        assert list(stream(iter([b"1", b"2"]), timeout=10)) == [b"got 1", b"got 2"]


def test_a_stream_is_an_exposure_when_it_begins(router: Router, pod: Any) -> None:
    router.serve(experiment((10000, 0, 0)), pods={"ranker-old": [pod()]})
    go_on = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"1"
        go_on.wait(10)

    with grpc.insecure_channel(f"127.0.0.1:{router.grpc_port}", [("grpc.default_authority", "ranker")]) as channel:
        stream: Any = channel.stream_stream(SERVICE + "ModelStreamInfer")
        answers = stream(requests(), timeout=10, metadata=[("x-user-id", "u")])
        assert next(answers) == b"got 1"
        assert [(each["unit"], each["arm"]) for each in router.taken()["exposures"]] == [("u", "control")]
        go_on.set()
        assert list(answers) == []
    assert router.taken()["exposures"] == []


def test_a_token_opens(router: Router, pod: Any, call: Any) -> None:
    server = pod()
    (router.folder / "tokens" / "one").write_text("secret")
    router.serve(table(tokens=True), pods={"ranker-old": [server]})
    assert failure(call)[0] == grpc.StatusCode.UNAUTHENTICATED
    assert call(authorization="Bearer secret")[0] == b"got x"
    assert "authorization" not in server.metadata[0]


def test_a_unit_that_is_too_long(router: Router, pod: Any, call: Any) -> None:
    router.serve(table(), pods={"ranker-old": [pod()]})
    assert failure(call, x_user_id="u" * 257)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_more_than_the_limit(router: Router, pod: Any, call: Any) -> None:

    router.serve(table(limits={"bodyBytes": 1000, "pendingPerPod": 2}), pods={"ranker-old": [pod(slow(0.5))]})

    def ask(number: int) -> str:
        try:
            call(x_user_id=f"u{number}")
        except grpc.RpcError as error:
            return str(error.code())
        return "well"

    with futures.ThreadPoolExecutor(6) as threads:
        answers = Counter(threads.map(ask, range(6)))
    assert answers == {"well": 2, "StatusCode.UNAVAILABLE": 4}
    assert {row[5]: row[6] for row in router.taken()["totals"]} == {"2xx": 2, "shed": 4}


def test_http_1_on_the_port_of_grpc_does_no_harm(router: Router, pod: Any, call: Any) -> None:

    router.serve(table(), pods={"ranker-old": [pod()]})
    with socket.create_connection(("127.0.0.1", router.grpc_port), timeout=5) as connection:
        connection.sendall(b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(65536)
    assert call()[0] == b"got x"
