"""The ledger's client, against a server on loopback that gives the bodies of docs/spec/ledger.md."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from slipway_operator.cluster import ledger as ledgers
from slipway_operator.cluster.ledger import Ledger
from slipway_operator.errors import LedgerError
from slipway_operator.state.experiment import Registration
from slipway_statistics import record
from slipway_statistics.experiment import Memory
from slipway_statistics.sums import Sums
from slipway_testing import builders, loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH = "/v1/experiments/shop/ranker-1a2b3c4d"

SUMS: dict[str, Any] = {
    "now": "2026-11-24T12:00:00.250000Z",
    "metrics": [
        {
            "name": "revenue",
            "type": "Mean",
            "cap": None,
            "closedAt": "2026-11-24T12:00:00Z",
            "late": 0,
            "sums": [
                {
                    "arm": "control",
                    "stratum": "1",
                    "open": {"units": 2, "totals": [19.99, 5.5], "products": [399.6001, 109.945, 30.25]},
                    "closed": {"units": 1, "totals": [19.99, 5.5], "products": [399.6001, 109.945, 30.25]},
                },
                {
                    "arm": "challenger",
                    "stratum": "2",
                    "open": {"units": 1, "totals": [0, 0], "products": [0, 0, 0]},
                    "closed": {"units": 0, "totals": [0, 0], "products": [0, 0, 0]},
                },
            ],
        }
    ],
    "units": [{"arm": "control", "stratum": "1", "units": 2}, {"arm": "challenger", "stratum": "2", "units": 1}],
    "counts": {"waiting": 3, "notCounted": 4, "seenInTwoArms": 5, "repeats": 6},
    "newest": {"exposure": "2026-11-24T11:59:59Z", "outcome": "2026-11-24T13:59:58+02:00"},
}


class Answers:
    """What the ledger was asked, and what it answers by method and path; 404 where nothing fits."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any, str | None]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, json.loads(text) if text else None, request.headers.get("Authorization")))
        for name, given in self.answers.items():
            if request.path.endswith(name) or (name == "own" and request.path == PATH):
                answer = given.pop(0) if isinstance(given, list) else given
                return answer if isinstance(answer, web.Response) else web.json_response(answer)
        return refused(404, "there is no experiment shop/ranker-1a2b3c4d")


def refused(status: int, error: str) -> web.Response:
    return web.json_response({"error": error, "reason": "changed"}, status=status)


@contextlib.asynccontextmanager
async def asking(handler: Handler, *, token_file: Path | None = None) -> AsyncIterator[Ledger]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Ledger(f"http://127.0.0.1:{runner.addresses[0][1]}/", token_file=token_file) as ledger:
            yield ledger
    finally:
        await runner.cleanup()


def look(sequence: int, **memory: Any) -> dict[str, Any]:
    return {"sequence": sequence, "said": {"memory": record.write(Memory(**memory))}}


async def test_sums_are_read_by_metric_arm_and_stratum() -> None:
    answers = Answers(sums=SUMS)
    async with asking(answers) as ledger:
        found = await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={})
    assert found.now == builders.at(0.25)
    assert found.newest_outcome == builders.at(-2)
    assert found.units == {"1": {"control": 2}, "2": {"challenger": 1}}
    assert (found.waiting, found.in_two_arms, found.quantiles) == (3, 5, {})
    one = Sums(units=1, totals=(19.99, 5.5), products=(399.6001, 109.945, 30.25))
    nobody = Sums(units=0, totals=(0, 0), products=(0, 0, 0))
    assert found.closed == {"revenue": {"control": {"1": one}, "challenger": {"2": nobody}}}
    assert found.open["revenue"]["control"]["1"].units == 2
    assert answers.asked == [("GET", f"{PATH}/sums", None, None)]


async def test_before_the_first_outcome_there_is_no_newest_one() -> None:
    async with asking(Answers(sums=SUMS | {"newest": {"exposure": None, "outcome": None}})) as ledger:
        assert (await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={})).newest_outcome is None


async def test_caps_are_asked_for_by_metric_and_may_not_be_known_yet() -> None:
    answers = Answers(sums=SUMS, quantile=[{"value": 99.5}, {"value": None}])
    async with asking(answers) as ledger:
        found = await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={"revenue": 0.999, "clicks.total": 0.99})
    assert found.quantiles == {"revenue": 99.5}
    assert [path for _, path, _, _ in answers.asked[1:]] == [
        f"{PATH}/metrics/revenue/quantile?q=0.999",
        f"{PATH}/metrics/clicks.total/quantile?q=0.99",
    ]


async def test_a_cap_that_the_ledger_has_is_the_cap_whatever_the_percentile_is_by_now() -> None:
    """It was told, and the status that says so could not be written; an event that came late has moved the percentile since."""
    capped = [SUMS["metrics"][0] | {"cap": 99.5}]
    async with asking(Answers(sums=SUMS | {"metrics": capped}, quantile=[{"value": 101.0}])) as ledger:
        assert (await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={"revenue": 0.999})).quantiles == {"revenue": 99.5}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        SUMS | {"now": "yesterday"},
        SUMS | {"counts": {}},
        SUMS | {"units": [{"arm": "control"}]},
        SUMS | {"metrics": [{"name": "revenue", "sums": [{"arm": "a", "stratum": "1", "open": {}, "closed": {}}]}]},
        web.Response(text="<html>a proxy</html>"),
    ],
)
async def test_sums_of_another_shape_are_the_ledgers_fault(answer: Any) -> None:
    async with asking(Answers(sums=answer)) as ledger:
        with pytest.raises(LedgerError, match=r"sums of experiment shop/ranker-1a2b3c4d cannot be read.*one version"):
            await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={})


async def test_a_definition_is_put_and_an_end_is_a_deletion() -> None:
    answers = Answers(own={})
    async with asking(answers) as ledger:
        await ledger.register("shop", "ranker-1a2b3c4d", {"service": "ranker", "arms": ["control", "v8"]})
        await ledger.end("shop", "ranker-1a2b3c4d")
    assert answers.asked == [
        ("PUT", PATH, {"service": "ranker", "arms": ["control", "v8"]}, None),
        ("DELETE", PATH, None, None),
    ]


async def test_an_experiment_that_is_not_there_has_ended() -> None:
    async with asking(Answers()) as ledger:
        await ledger.end("shop", "ranker-1a2b3c4d")
        with pytest.raises(LedgerError, match="refuses GET with 404: there is no experiment"):
            await ledger.sums("shop", "ranker-1a2b3c4d", quantiles={})


@pytest.mark.parametrize("status", [401, 403, 409, 413, 429, 500, 503])
async def test_what_the_ledger_refuses_is_told_in_its_words(status: int) -> None:
    async with asking(Answers(own=refused(status, "another definition"), looks=refused(status, "look 3 is taken"))) as ledger:
        with pytest.raises(LedgerError, match=f"refuses PUT with {status}: another definition"):
            await ledger.register("shop", "ranker-1a2b3c4d", {})
        with pytest.raises(LedgerError, match=f"refuses POST with {status}: look 3 is taken"):
            await ledger.append("shop", "ranker-1a2b3c4d", look(3))


@pytest.mark.parametrize(
    ("answer", "said"), [(web.Response(status=502, text="Bad gateway"), "502: Bad gateway"), (web.Response(status=504), "504: no reason")]
)
async def test_an_error_of_somebody_between_is_told_too(answer: web.Response, said: str) -> None:
    async with asking(Answers(own=answer)) as ledger:
        with pytest.raises(LedgerError, match=said):
            await ledger.register("shop", "ranker-1a2b3c4d", {})


async def test_a_ledger_that_is_not_there_is_told() -> None:
    async with Ledger(f"http://127.0.0.1:{loopback.free_port()}", token_file=None) as ledger:
        with pytest.raises(LedgerError, match="does not answer"):
            await ledger.sums("shop", "ranker", quantiles={})


async def test_a_ledger_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "TIMEOUT_S", 0.1)
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await never.wait()
        raise AssertionError

    async with asking(silent) as ledger:
        with pytest.raises(LedgerError, match="does not answer: TimeoutError"):
            await ledger.sums("shop", "ranker", quantiles={})
        never.set()


async def test_a_connection_that_is_cut_is_told() -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()

    async with asking(cut) as ledger:
        with pytest.raises(LedgerError, match="does not answer"):
            await ledger.append("shop", "ranker", look(1))


async def test_the_token_is_read_again_for_every_request(tmp_path: Path) -> None:
    token, answers = tmp_path / "token", Answers(own={})
    async with asking(answers, token_file=token) as ledger:
        for text in ("first\n", "second"):
            token.write_text(text)
            await ledger.register("shop", "ranker-1a2b3c4d", {})
        token.unlink()
        with pytest.raises(LedgerError, match="token for the ledger cannot be read"):
            await ledger.register("shop", "ranker-1a2b3c4d", {})
    assert [authorization for *_, authorization in answers.asked] == ["Bearer first", "Bearer second"]


async def test_without_its_block_it_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Ledger("http://ledger", token_file=None).register("shop", "ranker", {})


# The journal: how far the looks go.


async def test_no_look_is_the_beginning() -> None:
    async with asking(Answers(looks={"last": 0, "looks": []})) as ledger:
        found = await ledger.journal("shop", "ranker-1a2b3c4d", after=0)
    assert (found.sequence, found.memory) == (0, Memory())


class Looks:
    """A ledger with so many looks, which gives a hundred at once."""

    def __init__(self, count: int) -> None:
        self.looks = [look(number, sample_ratio=1 / number) for number in range(1, count + 1)]
        self.asked: list[int] = []

    async def __call__(self, request: web.Request) -> web.Response:
        after, limit = (int(request.query[name]) for name in ("after", "limit"))
        self.asked.append(after)
        assert limit <= 100
        return web.json_response({"last": len(self.looks), "looks": self.looks[after : after + limit]})


@pytest.mark.parametrize(("after", "asked"), [(0, [0, 100, 200]), (249, [249]), (250, [250, 249]), (900, [900, 249])])
async def test_the_newest_look_is_found_from_wherever_one_begins(after: int, asked: list[int]) -> None:
    """900: the ledger was restored, and has fewer looks than the status knows."""
    looks = Looks(250)
    async with asking(looks) as ledger:
        found = await ledger.journal("shop", "ranker-1a2b3c4d", after=after)
    assert (found.sequence, found.memory.sample_ratio, looks.asked) == (250, 1 / 250, asked)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"last": 1},
        {"last": 1, "looks": [{"sequence": 1}]},
        {"last": 1, "looks": [{"sequence": 1, "said": {"memory": {"sampleRatio": "much"}}}]},
        {"last": 3, "looks": []},
        web.Response(text="<html>a proxy</html>"),
    ],
)
async def test_looks_of_another_shape_are_the_ledgers_fault(answer: Any) -> None:
    async with asking(Answers(looks=answer)) as ledger:
        with pytest.raises(LedgerError, match=r"looks of experiment shop/ranker-1a2b3c4d cannot be read.*one version"):
            await asyncio.wait_for(ledger.journal("shop", "ranker-1a2b3c4d", after=0), timeout=2)


async def test_the_list_of_experiments_says_whose_they_are_and_which_take_events() -> None:
    listed = [
        {"name": "shop/ranker-1a2b3c4d", "service": "shop/ranker", "state": "Running", "registeredAt": "2026-11-20T09:00:00Z", "endedAt": None},
        {"name": "market/checkout", "service": "market/checkout", "state": "Ended", "registeredAt": "2026-11-20T09:00:00Z", "endedAt": "2026-11-21"},
    ]
    async with asking(Answers(experiments={"experiments": listed})) as ledger:
        assert await ledger.registrations() == (
            Registration(namespace="shop", name="ranker-1a2b3c4d", running=True),
            Registration(namespace="market", name="checkout", running=False),
        )


@pytest.mark.parametrize("answer", [{}, {"experiments": [{"name": "ranker", "state": "Running"}]}, {"experiments": [{"name": "shop/a"}]}, "none"])
async def test_a_list_that_cannot_be_read_is_an_error_and_no_empty_one(answer: Any) -> None:
    async with asking(Answers(experiments=answer)) as ledger:
        with pytest.raises(LedgerError, match="The experiments of the ledger cannot be read"):
            await ledger.registrations()


@pytest.mark.parametrize(("newest", "expected"), [("2026-11-24T11:59:59Z", 1.25), ("2026-11-24T12:30:00+02:00", 5_400.25), (None, math.inf)])
async def test_how_long_routers_have_told_of_nobody_is_by_the_clock_of_the_ledger(newest: str | None, expected: float) -> None:
    async with asking(Answers(sums=SUMS | {"newest": {"exposure": newest, "outcome": None}})) as ledger:
        assert await ledger.quiet_s("shop", "ranker-1a2b3c4d") == expected


async def test_of_an_experiment_that_is_not_there_nobody_tells() -> None:
    async with asking(Answers()) as ledger:
        assert await ledger.quiet_s("shop", "ranker-1a2b3c4d") == math.inf


async def test_a_time_that_cannot_be_read_is_an_error() -> None:
    async with asking(Answers(sums={"now": "soon"})) as ledger:
        with pytest.raises(LedgerError, match=r"The sums of experiment shop/ranker-1a2b3c4d cannot be read"):
            await ledger.quiet_s("shop", "ranker-1a2b3c4d")
