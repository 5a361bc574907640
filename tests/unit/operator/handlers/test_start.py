"""What an operator has to have heard of before its first pass."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from slipway_operator import errors
from slipway_operator.cluster import resources
from slipway_operator.cluster.client import Listing
from slipway_operator.handlers import app, notices

from .test_notices import asked, heard, heard_experiment, operator

AWAY = errors.Unavailable("list Experiment: no answer")
NOT_INSTALLED = errors.NotFound("list Experiment: the server could not find the requested resource", status=404, reason="NotFound")


@dataclass
class Api:
    """A server with two objects of each kind, a page each; ``refusals`` come before its lists of Experiments, and are spent."""

    refusals: list[errors.ApiError] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once Experiments may be listed."""

    async def pages(self, resource: resources.Resource, *, namespace: str | None) -> AsyncGenerator[Listing, None]:
        compared = resource is resources.EXPERIMENTS
        for name in ("x", "y") if compared else ("a", "b"):
            if compared:
                await self.answers.wait()
            if compared and self.refusals:
                raise self.refusals.pop(0)
            yield Listing((heard_experiment(None, name)["object"] if compared else heard(None, name)["object"],), "1")


def synced() -> Any:
    """Caches that hold a first list."""
    done = asyncio.Event()
    done.set()
    return SimpleNamespace(all=lambda: [SimpleNamespace(synced=done)])


async def test_nothing_begins_before_every_experiment_is_known() -> None:
    api, told = Api(), operator(caches=synced())
    informed = asyncio.create_task(app.informed(told, api))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert not informed.done()

    api.answers.set()
    await informed

    assert (set(told.objects.keys()), set(told.experiments.keys())) == ({("shop", "a"), ("shop", "b")}, {("shop", "x"), ("shop", "y")})
    assert (await asked(told.keys), await asked(told.experiment_keys)) == ({"a", "b"}, {"x", "y"})


async def test_a_server_that_does_not_answer_is_asked_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Forever", lambda: iter((0.0, 0.0)))
    api, told = Api(refusals=[AWAY]), operator(caches=synced())
    api.answers.set()

    await app.informed(told, api)  # type: ignore[arg-type]

    assert set(told.experiments.keys()) == {("shop", "x"), ("shop", "y")}


async def test_of_a_kind_that_is_not_installed_there_is_none() -> None:
    api, told = Api(refusals=[NOT_INSTALLED]), operator(caches=synced())
    api.answers.set()

    await app.informed(told, api)  # type: ignore[arg-type]

    assert (len(told.objects.keys()), told.experiments.keys()) == (2, ())


async def test_who_is_stopped_waits_for_nothing_more() -> None:
    stop, told = asyncio.Event(), operator(caches=synced())
    giving_up = asyncio.create_task(app.unless(stop, app.informed(told, Api())))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert not giving_up.done()

    stop.set()
    async with asyncio.timeout(1):
        await giving_up


async def test_what_goes_wrong_on_the_way_is_not_swallowed() -> None:
    async def breaks() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await app.unless(asyncio.Event(), breaks())


async def test_whoever_takes_over_has_heard_of_what_was_decided_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower's watch may have been silent for long."""
    api, told, seen = Api(), operator(caches=synced()), []
    api.answers.set()
    notices.notice_experiment(told, heard_experiment(None, "went"))

    async def work(*_: Any) -> None:
        seen.append({body["metadata"]["name"] for body in told.experiments.all()})

    monkeypatch.setattr(app, "work", work)
    await app.lead(Elector(), lambda: app.serve_term((), None, None, told, api))  # type: ignore[arg-type]

    assert seen == [{"x", "y"}]


class Elector:
    """Leads from the beginning, for ever."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def elected(self) -> None:
        """It does."""

    deposed = run
