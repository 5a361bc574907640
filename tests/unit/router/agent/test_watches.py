"""What the network and an API server on a bad day do to a watch; the rest is tested against a real one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from slipway_router.agent import lines
from slipway_router.agent.api import Api, Kind, Object, Patience
from slipway_router.agent.credentials import Credentials
from slipway_router.agent.watches import Watch
from slipway_testing.fake_nginx import eventually

KIND = Kind(what="ConfigMaps", path="/api/v1/namespaces/shop/configmaps", selector="slipway.dev/router=r")
HANG = "hang"


def an_object(name: str, version: int, *, text: str = "") -> Object:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": text or f"{name}{version}"}


def an_event(type_: str, name: str, version: int) -> str:
    return json.dumps({"type": type_, "object": an_object(name, version)}) + "\n"


GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}) + "\n"
BOOKMARK = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "90"}}}) + "\n"


@dataclass
class ApiServer:
    """Gives lists and watches in order; the last list for ever, and after the last watch those that say nothing."""

    lists: list[list[Object] | int] = field(default_factory=list)
    watches: list[list[str] | int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """``list`` or the version that was watched from."""
    headers: list[str] = field(default_factory=list)
    version: int = 10
    page: int = 1000

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == KIND.path
        assert request.query["labelSelector"] == KIND.selector
        self.headers.append(request.headers.get("Authorization", ""))
        return await self._watch(request) if "watch" in request.query else self._list(request)

    def _list(self, request: web.BaseRequest) -> web.Response:
        first = int(request.query.get("continue", "0"))
        if not first:
            self.asked.append("list")
        found = self.lists.pop(0) if len(self.lists) > 1 and first + self.page >= self._length() else self.lists[0]
        if isinstance(found, int):
            return web.json_response({"message": "no"}, status=found)
        more = {"continue": str(first + self.page)} if first + self.page < len(found) else {}
        metadata = {"resourceVersion": str(self.version)} | more
        return web.json_response({"metadata": metadata, "items": found[first : first + self.page]})

    def _length(self) -> int:
        return len(self.lists[0]) if isinstance(self.lists[0], list) else 0

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.query["resourceVersion"])
        script = self.watches.pop(0) if self.watches else [HANG]
        if isinstance(script, int):
            return web.json_response({"message": "no"}, status=script)
        response = web.StreamResponse()
        await response.prepare(request)
        for part in script:
            if part == HANG:
                await asyncio.sleep(60)
            await response.write(part.encode())
        return response


class Seen:
    def __init__(self, watch: Watch[str], changes: list[tuple[str, str | None]], told: list[int]) -> None:
        self.watch = watch
        self.changes = changes
        self.told = told


@contextlib.asynccontextmanager
async def watching(
    server: ApiServer, *, credentials: Callable[[str], Credentials] | None = None, failing: str = "", **patience: float
) -> AsyncIterator[Seen]:
    runner = web.ServerRunner(web.Server(server, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    changes: list[tuple[str, str | None]] = []
    told: list[int] = []

    def change(name: str, kept: str | None) -> None:
        if name == failing:
            raise ValueError(name)
        changes.append((name, kept))

    try:
        async with Api(credentials(url) if credentials else Credentials(server=url), patience=Patience(**patience)) as api:
            watch = Watch(
                api,
                KIND,
                keep=lambda obj: obj["data"],
                on_change=change,
                on_list=lambda: told.append(len(changes)),
                backoff_limit_s=0.02,
            )
            task = asyncio.create_task(watch.run())
            try:
                yield Seen(watch, changes, told)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    finally:
        await runner.cleanup()


async def test_everything_is_listed_page_by_page_and_then_watched() -> None:
    server = ApiServer(
        lists=[[an_object(name, 1) for name in "abcde"]], watches=[[an_event("MODIFIED", "b", 11), an_event("DELETED", "c", 12), HANG]]
    )
    server.page = 2
    async with watching(server) as seen:
        await eventually(lambda: len(seen.changes) == 7)
    assert dict(seen.watch.kept) == {"a": "a1", "b": "b11", "d": "d1", "e": "e1"}
    assert seen.changes[5:] == [("b", "b11"), ("c", None)]
    assert seen.told == [5]
    assert server.asked == ["list", "10"]


@pytest.mark.parametrize("end", [[], ['{"type": "MODIF'], ["\n", "not json\n"], ["{}\n"], ['{"type": "MODIFIED", "object": {}}\n']])
async def test_a_watch_that_ends_goes_on_where_it_was(end: list[str]) -> None:
    server = ApiServer(lists=[[]], watches=[[an_event("ADDED", "a", 11), BOOKMARK, *end], [an_event("ADDED", "b", 91), HANG]])
    async with watching(server) as seen:
        await eventually(lambda: len(seen.changes) == 2)
    assert server.asked == ["list", "10", "90"]
    assert seen.changes == [("a", "a11"), ("b", "b91")]


async def test_a_watch_that_falls_silent_is_left() -> None:
    server = ApiServer(lists=[[]], watches=[[an_event("ADDED", "a", 11), HANG], [an_event("ADDED", "b", 12), HANG]])
    async with watching(server, silence_s=0.2) as seen:
        await eventually(lambda: len(seen.changes) == 2)
    assert server.asked[:3] == ["list", "10", "11"]


@pytest.mark.parametrize("gone", [[GONE], 410])
async def test_history_that_is_gone_is_listed_again_and_compared(gone: list[str] | int) -> None:
    before, after = [an_object("a", 1), an_object("b", 1), an_object("c", 1)], [an_object("a", 1), an_object("b", 2), an_object("d", 1)]
    server = ApiServer(lists=[before, after], watches=[gone])
    async with watching(server) as seen:
        await eventually(lambda: server.asked[2:] == ["list", "10"])
        assert seen.watch.lists == 2
    assert seen.changes[3:] == [("c", None), ("b", "b2"), ("d", "d1")]


async def test_a_server_that_fails_is_asked_until_it_answers() -> None:
    server = ApiServer(lists=[500, 429, [an_object("a", 1)]], watches=[503, 403, [an_event("ADDED", "b", 11), HANG]])
    async with watching(server) as seen:
        await asyncio.wait_for(seen.watch.synced.wait(), 5)
        assert dict(seen.watch.kept) == {"a": "a1"}
        await eventually(lambda: "b" in seen.watch.kept)
    assert server.asked == ["list", "list", "list", "10", "10", "10"]


async def test_a_refused_token_is_read_again_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    server = ApiServer(lists=[401, []])

    def credentials(url: str) -> Credentials:
        return Credentials(server=url, token_path=path)

    async with watching(server, credentials=credentials) as seen:
        await eventually(lambda: server.headers)
        path.write_text("new")
        await asyncio.wait_for(seen.watch.synced.wait(), 5)
    assert server.headers[:2] == ["Bearer old", "Bearer new"]


async def test_an_object_that_nobody_thought_of_ends_nothing() -> None:
    strange = {"metadata": {"name": "strange", "resourceVersion": "1"}}
    server = ApiServer(lists=[[strange, an_object("a", 1)]])
    async with watching(server) as seen:
        await asyncio.wait_for(seen.watch.synced.wait(), 5)
        assert dict(seen.watch.kept) == {"a": "a1"}
        assert 0 <= seen.watch.silence_s() < 5


async def split(*chunks: bytes) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in lines.split(stream())]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"]),
        ([b"o", b"n", b"e\nt", b"wo", b"\n"], [b"one", b"two"]),
        ([b"\n \n", b"one", b"\n", b"\n"], [b"one"]),
        ([b"x" * 1000, b"y" * 1000, b"\n"], [b"x" * 1000 + b"y" * 1000]),
        ([], []),
    ],
)
async def test_lines_come_whole(chunks: list[bytes], expected: list[bytes]) -> None:
    assert await split(*chunks) == expected


async def test_half_a_line_at_the_end_is_told() -> None:
    with pytest.raises(ValueError, match="middle of a line"):
        await split(b"one\ntw")


async def test_a_listener_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = ApiServer(lists=[[an_object("a", 1), an_object("b", 1)]], watches=[[an_event("MODIFIED", "b", 11), HANG]])
    async with watching(server, failing="a") as seen:
        await eventually(lambda: ("b", "b11") in seen.changes)
    assert "a of ConfigMaps could not be taken" in caplog.text
