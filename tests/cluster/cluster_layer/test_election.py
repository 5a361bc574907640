"""Leadership on the real API server: one writes, the next one follows soon, and nobody writes on a lease that has run out."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from slipway_operator import errors
from slipway_operator.cluster import client, credentials, election, resources
from slipway_testing.operators import collect_connections

LEASE_S = 1.5
LOOK_S = 0.1
_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    return f"election-{next(_numbers)}"


@contextlib.asynccontextmanager
async def candidate(kubeconfig: Path, name: str, *, identity: str) -> AsyncIterator[tuple[election.Elector, "asyncio.Task[None]"]]:
    """One campaign; its task can be cancelled to fall silent as a killed process does."""
    async with client.ApiClient(credentials.load(kubeconfig)) as api:
        elector = election.Elector(api, election.Terms(namespace="default", name=name, identity=identity, lease_s=LEASE_S, look_s=LOOK_S))
        campaign = asyncio.create_task(elector.run())
        try:
            yield elector, campaign
        finally:
            campaign.cancel()
            await asyncio.wait({campaign})
    collect_connections()


async def lease(kubeconfig: Path, name: str) -> dict[str, Any]:
    async with client.ApiClient(credentials.load(kubeconfig)) as api:
        spec: dict[str, Any] = (await api.get(resources.LEASES, name, namespace="default"))["spec"]
        return spec


async def test_the_first_candidate_leads_and_says_so_in_the_lease(kubeconfig: Path, name: str) -> None:
    async with candidate(kubeconfig, name, identity="one") as (one, _):
        await asyncio.wait_for(one.elected(), 5)

        record = await lease(kubeconfig, name)

    assert (record["holderIdentity"], record["leaseTransitions"], record["leaseDurationSeconds"]) == ("one", 0, 2)


async def test_of_many_candidates_one_leads(kubeconfig: Path, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        electors = [(await stack.enter_async_context(candidate(kubeconfig, name, identity=str(number))))[0] for number in range(5)]
        await asyncio.wait([asyncio.create_task(elector.elected()) for elector in electors], return_when=asyncio.FIRST_COMPLETED)
        loop = asyncio.get_running_loop()
        until, most = loop.time() + 2 * LEASE_S, 0
        while loop.time() < until:
            most = max(most, sum(elector.leading for elector in electors))
            await asyncio.sleep(0.01)

    assert most == 1


async def test_a_released_lease_is_taken_at_once(kubeconfig: Path, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one, campaign = await stack.enter_async_context(candidate(kubeconfig, name, identity="one"))
        await asyncio.wait_for(one.elected(), 5)
        two, _ = await stack.enter_async_context(candidate(kubeconfig, name, identity="two"))
        assert not two.leading

        campaign.cancel()
        await one.release()
        assert not one.leading
        await asyncio.wait_for(two.elected(), LOOK_S + 1)

        assert (await lease(kubeconfig, name))["leaseTransitions"] == 1


async def test_a_silent_leader_is_replaced_after_its_term_and_has_stopped_before(kubeconfig: Path, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one, campaign = await stack.enter_async_context(candidate(kubeconfig, name, identity="one"))
        await asyncio.wait_for(one.elected(), 5)
        two, _ = await stack.enter_async_context(candidate(kubeconfig, name, identity="two"))
        await asyncio.sleep(2 * LOOK_S)

        campaign.cancel()
        await asyncio.wait_for(one.deposed(), LEASE_S)
        assert not two.leading
        await asyncio.wait_for(two.elected(), LEASE_S + 2)

        assert not one.leading


async def test_a_leader_goes_on_leading(kubeconfig: Path, name: str) -> None:
    async with candidate(kubeconfig, name, identity="one") as (one, _):
        await asyncio.wait_for(one.elected(), 5)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.deposed(), 3 * LEASE_S)


async def test_a_fenced_client_reads_always_and_writes_only_while_leading(kubeconfig: Path, name: str) -> None:
    left = [10.0]
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {}}
    async with client.ApiClient(credentials.load(kubeconfig), fence=lambda: left[0]) as api:
        await api.apply(body)

        left[0] = 0.0
        with pytest.raises(errors.NotLeading, match="not sent, another operator leads"):
            await api.apply({**body, "data": {"late": "yes"}})

        assert "data" not in await api.get(resources.CONFIG_MAPS, name, namespace="default")


async def test_releasing_what_somebody_else_holds_leaves_it_alone(kubeconfig: Path, name: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one, _ = await stack.enter_async_context(candidate(kubeconfig, name, identity="one"))
        await asyncio.wait_for(one.elected(), 5)
        two, _ = await stack.enter_async_context(candidate(kubeconfig, name, identity="two"))

        await two.release()

        assert (await lease(kubeconfig, name))["holderIdentity"] == "one"
