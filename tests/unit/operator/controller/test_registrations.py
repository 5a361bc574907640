"""Rounds that hold the ledger against the Experiments that there are: what is ended, when, and what never is."""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any

import pytest

from slipway_operator import errors
from slipway_operator.cluster.client import Listing
from slipway_operator.controller.registrations import Registrations
from slipway_operator.state.experiment import Registration
from slipway_testing import experiments as xp

LEFT = Registration(namespace="shop", name="digits-v8-1a2b3c4d", running=True)
BODY: dict[str, Any] = {"metadata": {"name": xp.NAME, "namespace": "shop", "uid": xp.UID}}
AWAY = errors.LedgerError("The ledger does not answer.")


class World:
    """A ledger, an API server and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, namespace: str | None = None) -> None:
        self.registered = [LEFT]
        self.cached: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self.quiet = math.inf
        self.calls: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.now = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        self.tested = Registrations(
            book=self,  # type: ignore[arg-type]
            api=self,  # type: ignore[arg-type]
            known=lambda: self.cached,
            namespace=namespace,
            every_s=0.0,
            absent_s=3_600.0,
        )

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if what in self.fails:
            raise self.fails[what]

    async def list(self, resource: Any, *, namespace: str | None) -> Listing:
        assert resource.kind == "Experiment"
        self._called(f"list {namespace}")
        return Listing(tuple(self.objects), "7")

    async def registrations(self) -> tuple[Registration, ...]:
        self._called("registrations")
        return tuple(self.registered)

    async def quiet_s(self, namespace: str, name: str) -> float:
        self._called("quiet")
        return self.quiet

    async def end(self, namespace: str, name: str) -> None:
        self._called(f"end {namespace}/{name}")
        self.registered = []

    async def round(self, *, after_s: float = 0.0) -> Sequence[str]:
        """What one does, so much later."""
        self.now += after_s
        self.calls.clear()
        await self.tested.round()
        return [*self.calls]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One registration, and no object of it."""
    return World(monkeypatch)


QUESTIONS = ["registrations", "list None"]
ENDED = [*QUESTIONS, "quiet", "end shop/digits-v8-1a2b3c4d"]


async def test_what_had_no_object_for_an_hour_is_ended_and_then_forgotten(world: World) -> None:
    assert await world.round() == QUESTIONS
    assert await world.round(after_s=3_599) == QUESTIONS
    assert await world.round(after_s=1) == ENDED
    assert await world.round(after_s=600) == ["registrations"]


async def test_where_the_caches_know_every_object_the_api_server_is_not_asked(world: World) -> None:
    world.cached = [BODY]
    assert await world.round() == ["registrations"]


async def test_caches_that_are_behind_end_nothing(world: World) -> None:
    world.objects = [BODY]
    assert await world.round() == QUESTIONS
    assert await world.round(after_s=10_000) == QUESTIONS


@pytest.mark.parametrize("where", ["objects", "cached"])
async def test_an_object_that_was_away_for_a_moment_begins_its_hour_anew(world: World, where: str) -> None:
    """As when a backup is put back."""
    await world.round()
    setattr(world, where, [BODY])
    await world.round(after_s=3_000)
    setattr(world, where, [])
    assert await world.round(after_s=3_000) == QUESTIONS
    assert await world.round(after_s=3_600) == ENDED


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("registrations", AWAY),
        ("list None", errors.Gone("the pages expired")),
        ("list None", errors.NotFound("the kind is not known")),
        ("list None", errors.Unavailable("away")),
        ("quiet", AWAY),
        ("end shop/digits-v8-1a2b3c4d", AWAY),
    ],
)
async def test_nothing_is_concluded_from_what_was_not_answered_and_the_next_round_goes_on(world: World, what: str, error: Exception) -> None:
    await world.round()
    world.fails = {what: error}
    with pytest.raises(errors.SlipwayError):
        await world.round(after_s=3_600)
    assert what == world.calls[-1]
    world.fails = {}
    assert await world.round() == ENDED


async def test_of_whom_routers_still_tell_is_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody else's, in a cluster that shares the ledger, or routers that no operator has told of the deletion."""
    await world.round()
    world.quiet = 3_599.0
    assert await world.round(after_s=3_600) == [*QUESTIONS, "quiet"]
    assert "a router told of a unit 3599 s ago" in caplog.text
    world.quiet = 3_600.0
    assert await world.round(after_s=600) == ENDED


async def test_an_operator_of_one_namespace_asks_for_that_and_ends_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, namespace="shop")
    world.registered = [LEFT, Registration(namespace="market", name="digits-v8-1a2b3c4d", running=True)]
    assert await world.round() == ["registrations", "list shop"]
    assert await world.round(after_s=3_600) == ["registrations", "list shop", "quiet", "end shop/digits-v8-1a2b3c4d"]


@pytest.mark.parametrize("error", [AWAY, RuntimeError("a bug")])
async def test_rounds_go_on_whatever_goes_wrong(world: World, error: Exception) -> None:
    world.fails = {"registrations": error}
    await _some_rounds(world)
    assert world.calls[:3] == ["registrations"] * 3


async def test_who_leads_anew_counts_the_hour_from_then(world: World) -> None:
    await world.round()
    world.now += 10_000
    world.calls.clear()
    await _some_rounds(world)
    assert set(world.calls) == set(QUESTIONS)


async def _some_rounds(world: World) -> None:
    running = asyncio.create_task(world.tested.run())
    for _ in range(50):
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
