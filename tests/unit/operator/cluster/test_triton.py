"""Asking a server about its models, over real HTTP."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from slipway_operator.cluster.triton import ModelState, Triton

LOOPBACK = "127.0.0.1"


@contextlib.asynccontextmanager
async def server(*, status: int = 200, body: object = "", content_type: str = "application/json") -> AsyncIterator[int]:
    """A server that gives one answer to everything; its port."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("POST", "/v2/repository/index")
        return web.Response(status=status, text=text, content_type=content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    try:
        assert runner.addresses
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_every_model_is_told_with_its_state_and_reason() -> None:
    index = [{"name": "digits", "version": "1", "state": "READY", "reason": ""}, {"name": "words", "state": "UNAVAILABLE", "reason": "no file"}]

    async with server(body=index) as port, Triton(port=port) as triton:
        states = await triton.repository(LOOPBACK)

    assert states == (ModelState(name="digits", state="READY", reason=""), ModelState(name="words", state="UNAVAILABLE", reason="no file"))


async def test_a_model_never_tried_has_no_state() -> None:
    async with server(body=[{"name": "digits"}]) as port, Triton(port=port) as triton:
        assert await triton.repository(LOOPBACK) == (ModelState(name="digits", state="", reason=""),)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "body": {"error": "x"}},
        {"body": {"not": "a list"}},
        {"body": "[half"},
        {"body": "<html>", "content_type": "text/html"},
    ],
    ids=["an error", "another shape", "no JSON", "a page"],
)
async def test_an_answer_that_is_not_an_index_says_nothing(answer: dict[str, object]) -> None:
    async with server(**answer) as port, Triton(port=port) as triton:  # type: ignore[arg-type]
        assert await triton.repository(LOOPBACK) is None


async def test_a_server_that_is_not_there_says_nothing() -> None:
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        async with Triton(port=unused.getsockname()[1]) as triton:
            assert await triton.repository(LOOPBACK) is None


async def test_asking_before_entering_is_a_bug_and_said_so() -> None:
    with pytest.raises(RuntimeError, match="outside its async with block"):
        await Triton().repository(LOOPBACK)
