import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import metrics
from slipway_operator.controller.queue import Backoff, Priority, ShutDown, WorkQueue

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def a_queue(*, backoff: Backoff | None = None, registry: CollectorRegistry | None = None) -> WorkQueue[str]:
    return WorkQueue(name="test", backoff=backoff or Backoff(), meters=metrics.Metrics.on(registry or CollectorRegistry()))


async def nothing_to_get(work: WorkQueue[str]) -> bool:
    """Whether ``get`` still waits after the loop has turned a few times."""
    getter = asyncio.ensure_future(work.get())
    for _ in range(5):
        await asyncio.sleep(0)
    empty = not getter.done()
    getter.cancel()
    return empty


async def drained(work: WorkQueue[str]) -> list[str]:
    """All waiting keys in the order in which they come out."""
    keys = []
    while len(work):
        keys.append(await work.get())
        work.done(keys[-1])
    return keys


def test_a_key_is_never_with_two_workers(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a")
        assert await work.get() == "a"
        work.add("a")
        assert await nothing_to_get(work)
        work.done("a")
        assert await work.get() == "a"

    run(scenario())


def test_adds_while_at_work_make_one_more_run(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a")
        await work.get()
        for _ in range(5):
            work.add("a")
        work.done("a")
        assert await drained(work) == ["a"]

    run(scenario())


def test_a_waiting_key_that_is_added_again_runs_once(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key in "abaab":
            work.add(key)
        assert await drained(work) == ["a", "b"]

    run(scenario())


def test_many_workers_run_each_key_alone_and_lose_none(run: Run) -> None:
    async def scenario() -> None:
        work, busy, runs = a_queue(), set[str](), dict[str, int]()

        async def worker() -> None:
            while True:
                key = await work.get()
                assert key not in busy
                busy.add(key)
                await asyncio.sleep(0.01)
                busy.remove(key)
                runs[key] = runs.get(key, 0) + 1
                work.done(key)

        workers = [asyncio.ensure_future(worker()) for _ in range(8)]
        for _ in range(3):
            for number in range(100):
                work.add(str(number))
            await asyncio.sleep(0.005)
        await asyncio.sleep(10)
        assert set(runs) == {str(number) for number in range(100)}
        for one in workers:
            one.cancel()
        assert [one for one in await asyncio.gather(*workers, return_exceptions=True) if isinstance(one, AssertionError)] == []

    run(scenario())


def test_live_changes_overtake_the_start_up_backlog(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key in ("old-1", "old-2"):
            work.add(key, priority=Priority.RESYNC)
        work.add("edited")
        assert await drained(work) == ["edited", "old-1", "old-2"]

    run(scenario())


def test_a_key_of_the_backlog_that_is_edited_moves_up(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key in ("a", "b", "c"):
            work.add(key, priority=Priority.RESYNC)
        work.add("c")
        work.add("c", priority=Priority.RESYNC)
        assert await drained(work) == ["c", "a", "b"]

    run(scenario())


def test_a_key_edited_while_at_work_keeps_the_priority_of_the_edit(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a", priority=Priority.RESYNC)
        await work.get()
        work.add("b", priority=Priority.RESYNC)
        work.add("a")
        work.add("a", priority=Priority.RESYNC)
        work.done("a")
        assert await drained(work) == ["a", "b"]

    run(scenario())


def test_a_busy_cluster_does_not_starve_the_backlog(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("old", priority=Priority.RESYNC)
        for number in range(100):
            work.add(f"live-{number}")
        assert (await drained(work)).index("old") == 16

    run(scenario())


def test_a_delayed_key_comes_at_its_time(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add_after("a", delay_s=30)
        assert await work.get() == "a"
        assert asyncio.get_running_loop().time() == pytest.approx(30)

    run(scenario())


@pytest.mark.parametrize("delays", [(300.0, 30.0), (30.0, 300.0)], ids=str)
def test_of_two_delays_the_earlier_counts(run: Run, delays: tuple[float, float]) -> None:
    async def scenario() -> None:
        work = a_queue()
        for delay_s in delays:
            work.add_after("a", delay_s=delay_s)
        await work.get()
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        work.done("a")
        await asyncio.sleep(1000)
        assert len(work) == 0

    run(scenario())


def test_a_delay_that_was_shortened_does_not_fire_again(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for delay_s in (300.0, 30.0):
            work.add_after("a", delay_s=delay_s)
        await work.get()
        work.done("a")
        work.add_after("a", delay_s=1000)
        await work.get()
        assert asyncio.get_running_loop().time() == pytest.approx(1030)

    run(scenario())


def test_delays_of_several_keys_come_in_order(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key, delay_s in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("now", 0.0)):
            work.add_after(key, delay_s=delay_s)
        assert [await work.get() for _ in range(4)] == ["now", "a", "b", "c"]

    run(scenario())


@pytest.mark.parametrize(
    ("failures", "random", "delay_s"),
    [(0, 0.0, 0.005), (1, 0.0, 0.010), (10, 0.0, 5.12), (10, 0.5, 5.376), (13, 0.0, 30.0), (5000, 0.0, 30.0)],
)
def test_the_backoff_doubles_to_a_limit(failures: int, random: float, delay_s: float) -> None:
    assert Backoff().delay_s(failures, random=random) == pytest.approx(delay_s)


def test_retries_wait_longer_each_time_until_forgotten(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue(backoff=Backoff(base_s=1, limit_s=4, jitter=0))
        assert [work.retry("a") for _ in range(4)] == [1, 2, 4, 4]
        assert (work.failures("a"), work.failures("b")) == (4, 0)
        work.forget("a")
        assert work.retry("a") == 1

    run(scenario())


def test_a_cancelled_worker_loses_no_key(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        getters = [asyncio.ensure_future(work.get()) for _ in range(2)]
        await asyncio.sleep(0)
        work.add("a")
        getters[0].cancel()
        assert await asyncio.wait_for(getters[1], timeout=1) == "a"

    run(scenario())


def test_shutdown_ends_idle_workers_and_waits_for_busy_ones(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key in ("a", "b"):
            work.add(key)
        await work.get()
        work.add_after("c", delay_s=1)
        asyncio.get_running_loop().call_later(3, work.done, "a")
        assert await work.shutdown(drain_s=20)
        assert asyncio.get_running_loop().time() == pytest.approx(3)
        work.add("d")
        assert len(work) == 0
        with pytest.raises(ShutDown):
            await work.get()

    run(scenario())


def test_shutdown_gives_up_on_a_worker_that_does_not_end(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a")
        await work.get()
        assert not await work.shutdown(drain_s=20)
        assert asyncio.get_running_loop().time() == pytest.approx(20)

    run(scenario())


def test_a_waiting_worker_is_told_of_the_shutdown(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        getter = asyncio.ensure_future(work.get())
        await asyncio.sleep(0)
        assert await work.shutdown(drain_s=1)
        with pytest.raises(ShutDown):
            await getter

    run(scenario())


def test_the_standard_metrics_follow(run: Run) -> None:
    async def scenario() -> None:
        registry = CollectorRegistry()
        work = a_queue(registry=registry)

        def value(name: str) -> float | None:
            return registry.get_sample_value(name, {"name": "test"})

        for key in ("a", "b", "b"):
            work.add(key)
        work.retry("c")
        assert [value(name) for name in ("workqueue_depth", "workqueue_adds_total", "workqueue_retries_total")] == [2, 2, 1]
        await asyncio.sleep(0.001)
        await work.get()
        await work.get()
        assert value("workqueue_depth") == 0
        await asyncio.sleep(7)
        assert value("workqueue_longest_running_processor_seconds") == pytest.approx(7, abs=0.01)
        assert value("workqueue_unfinished_work_seconds") == pytest.approx(14, abs=0.01)
        work.done("a")
        work.done("b")
        assert value("workqueue_unfinished_work_seconds") == 0
        assert value("workqueue_work_duration_seconds_sum") == pytest.approx(14, abs=0.01)
        assert value("workqueue_queue_duration_seconds_count") == 2

    run(scenario())


def test_a_key_asked_for_in_vain_is_not_given_out(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a", unless=lambda: True)
        work.add("b", unless=lambda: False)
        assert await drained_of(work, 1) == ["b"]
        assert await nothing_to_get(work)

    run(scenario())


def test_one_good_reason_is_enough(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for reasons in ((None, True), (True, None), (True, False), (False, True)):
            for reason in reasons:
                work.add("a", unless=None if reason is None else lambda vain=reason: vain)  # type: ignore[misc]
            assert await drained_of(work, 1) == ["a"], reasons

    run(scenario())


def test_whether_a_key_was_asked_for_in_vain_is_judged_after_the_work_on_it(run: Run) -> None:
    async def scenario() -> None:
        work, known = a_queue(), False
        work.add("a")
        await work.get()
        work.add("a", unless=lambda: known)
        known = True
        work.done("a")
        assert await nothing_to_get(work)
        work.add("a")
        assert await work.get() == "a"

    run(scenario())


def test_what_was_asked_for_before_the_look_needs_no_other_run(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        work.add("a")
        await work.get()
        work.add("a")
        work.looking("a")
        work.done("a")
        assert await nothing_to_get(work)
        work.add("a")
        await work.get()
        work.looking("a")
        work.add("a", unless=lambda: False)
        work.done("a")
        assert await drained_of(work, 1) == ["a"]

    run(scenario())


def test_waiting_keys_can_be_given_other_priorities(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for key in "abc":
            work.add(key)
        work.reorder(lambda key: Priority.LIVE if key == "b" else Priority.RESYNC)
        assert await drained(work) == ["b", "a", "c"]

    run(scenario())


def test_a_dropped_key_leaves_no_delay_behind(run: Run) -> None:
    async def scenario() -> None:
        work = a_queue()
        for number in range(1000):
            work.retry(f"{number}")
            work.add_after(f"{number}", delay_s=36_000.0)
        work.add_after("kept", delay_s=10.0)
        for number in range(1000):
            work.drop(f"{number}")
        assert work.failures("0") == 0
        assert await work.get() == "kept"
        assert asyncio.get_running_loop().time() == pytest.approx(10.0)

    run(scenario())


async def drained_of(work: WorkQueue[str], count: int) -> list[str]:
    """So many keys, as they come out."""
    keys = []
    for _ in range(count):
        keys.append(await work.get())
        work.done(keys[-1])
    return keys
