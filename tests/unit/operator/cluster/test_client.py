"""What the network and an overloaded server do to a request; everything else is tested against a real API server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from slipway_operator import errors, metrics
from slipway_operator.cluster import resources
from slipway_operator.cluster.client import ApiClient, Options
from slipway_operator.cluster.credentials import Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop", "resourceVersion": "7"}}


@contextlib.asynccontextmanager
async def talking_to(handler: Handler, *, registry: CollectorRegistry | None = None, **options: Any) -> AsyncIterator[ApiClient]:
    """A client whose server is ``handler``."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    credentials = Credentials(server=f"http://127.0.0.1:{runner.addresses[0][1]}", token="t")
    meters = metrics.Metrics.on(registry or CollectorRegistry())
    try:
        async with ApiClient(credentials, options=Options(**options), meters=meters) as client:
            yield client
    finally:
        await runner.cleanup()


class Answers:
    """Gives canned answers in order, the last one for ever, and counts requests."""

    def __init__(self, *answers: web.Response) -> None:
        self._answers = list(answers)
        self.requests: list[web.Request] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.Response(status=given.status, headers=given.headers, body=given.body)


def throttled(status: int, *, retry_after: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": "slow down"}, status=status, headers={"Retry-After": retry_after})


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_for_patience_gets_it(status: int) -> None:
    answers = Answers(throttled(status, retry_after="0"), throttled(status, retry_after="0"), web.json_response(OBJECT))
    async with talking_to(answers) as client:
        assert await client.get(resources.CONFIG_MAPS, "x", namespace="shop") == OBJECT
    assert len(answers.requests) == 3


async def test_patience_ends() -> None:
    answers = Answers(throttled(429, retry_after="0"))
    async with talking_to(answers, throttled_tries=3) as client:
        with pytest.raises(errors.TooManyRequests):
            await client.get(resources.CONFIG_MAPS, "x", namespace="shop")
    assert len(answers.requests) == 3


async def test_a_long_wait_is_the_callers_business() -> None:
    answers = Answers(throttled(429, retry_after="3600"))
    async with talking_to(answers) as client:
        with pytest.raises(errors.TooManyRequests) as caught:
            await client.get(resources.CONFIG_MAPS, "x", namespace="shop")
    assert (caught.value.retry_after_s, len(answers.requests)) == (3600, 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (web.json_response({"message": "etcd is ill"}, status=500), errors.Unavailable),
        (web.json_response({"message": "no"}, status=503), errors.Unavailable),
        (web.json_response({"reason": "Conflict"}, status=409), errors.Conflict),
        (web.Response(text="<html>", status=200), errors.Unavailable),
    ],
    ids=["500", "503 without Retry-After", "409", "200 that is no JSON"],
)
async def test_nothing_else_is_sent_twice(answer: web.Response, expected: type[errors.ApiError]) -> None:
    answers = Answers(answer)
    async with talking_to(answers) as client:
        with pytest.raises(expected):
            await client.apply(OBJECT)
    assert len(answers.requests) == 1


async def test_a_refused_connection_is_unavailable() -> None:
    async with ApiClient(Credentials(server="http://127.0.0.1:1")) as client:
        with pytest.raises(errors.Unavailable, match="get ConfigMap shop/x: no answer"):
            await client.get(resources.CONFIG_MAPS, "x", namespace="shop")


async def test_a_request_does_not_wait_for_ever() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with talking_to(silent, request_timeout_s=0.05) as client:
        with pytest.raises(errors.Unavailable, match="no answer"):
            await client.get(resources.CONFIG_MAPS, "x", namespace="shop")


async def test_the_token_goes_with_each_request_and_redirects_are_not_followed() -> None:
    answers = Answers(web.Response(status=307, headers={"Location": "/elsewhere"}))
    async with talking_to(answers) as client:
        with pytest.raises(errors.ApiError):
            await client.get(resources.CONFIG_MAPS, "x", namespace="shop")
    assert [request.headers["Authorization"] for request in answers.requests] == ["Bearer t"]


async def test_requests_are_counted_by_code_and_method() -> None:
    registry = CollectorRegistry()
    answers = Answers(throttled(429, retry_after="0"), web.json_response(OBJECT))
    async with talking_to(answers, registry=registry) as client:
        await client.apply(OBJECT)

    def count(code: str) -> float | None:
        return registry.get_sample_value("rest_client_requests_total", {"code": code, "method": "PATCH"})

    assert (count("429"), count("200")) == (1, 1)
    assert registry.get_sample_value("rest_client_request_duration_seconds_count", {"verb": "PATCH"}) == 2


def event(kind: str, version: str) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": "x", "resourceVersion": version}}}).encode() + b"\n"


def streaming(*parts: bytes, then: str = "end") -> Handler:
    """A watch that sends ``parts`` and then ends, breaks or falls silent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if then == "break" and request.transport:
            request.transport.abort()
        if then == "silence":
            await asyncio.sleep(60)
        return response

    return handler


async def watched(client: ApiClient) -> tuple[list[str], type[Exception] | None]:
    """The versions that a watch gave and what ended it."""
    versions = []
    try:
        async for one in client.watch(resources.CONFIG_MAPS, resource_version="1"):
            versions.append(one.object["metadata"]["resourceVersion"])  # noqa: PERF401  keeps what came before an error
    except errors.ApiError as error:
        return versions, type(error)
    return versions, None


GONE = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}).encode() + b"\n"
ILL = json.dumps({"type": "ERROR", "object": {"code": 500, "message": "etcd is ill"}}).encode() + b"\n"
STREAMS: dict[str, tuple[Handler, tuple[list[str], type[Exception] | None]]] = {
    "ends": (streaming(event("ADDED", "5"), event("BOOKMARK", "9")), (["5", "9"], None)),
    "ends in half a line": (streaming(event("ADDED", "5"), event("ADDED", "6")[:-9]), (["5"], errors.Unavailable)),
    "sends what is no JSON": (streaming(event("ADDED", "5"), b"{nonsense}\n"), (["5"], errors.Unavailable)),
    "breaks": (streaming(then="break"), ([], errors.Unavailable)),
    "falls silent": (streaming(event("ADDED", "5"), then="silence"), (["5"], errors.Unavailable)),
    "says its history is gone": (streaming(event("ADDED", "5"), GONE), (["5"], errors.Gone)),
    "says the server is ill": (streaming(ILL), ([], errors.Unavailable)),
}


@pytest.mark.parametrize(("handler", "expected"), STREAMS.values(), ids=STREAMS.keys())
async def test_a_watch_that(handler: Handler, expected: tuple[list[str], type[Exception] | None]) -> None:
    async with talking_to(handler, watch_silence_s=0.2) as client:
        assert await watched(client) == expected


async def test_a_watch_that_is_never_answered_is_given_up_like_any_request() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with talking_to(silent, request_timeout_s=0.05, watch_silence_s=60) as client, asyncio.timeout(5):
        assert await watched(client) == ([], errors.Unavailable)


async def test_the_client_can_limit_itself() -> None:
    answers = Answers(web.json_response(OBJECT))
    async with talking_to(answers, requests_per_s=50, burst=1) as client:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.get(resources.CONFIG_MAPS, "x", namespace="shop") for _ in range(6)))
        assert asyncio.get_running_loop().time() - began >= 5 / 50
