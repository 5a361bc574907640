"""What most people would write: a kopf operator of create and update handlers that does Slipway's first pass. Run as a module."""

import asyncio
from typing import Any

import aiohttp
import kopf

from bench.operator import writes
from slipway_operator.cluster import credentials, resources
from slipway_operator.state.plan import Plan


@kopf.on.startup()
async def connect(memo: kopf.Memo, settings: kopf.OperatorSettings, **_: Any) -> None:
    """One session for the children; kopf has its own for the ModelDeployments."""
    settings.peering.standalone = True
    access = credentials.load()
    memo.server = access.server
    memo.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=access.ssl_context(), limit=0))


@kopf.on.cleanup()
async def disconnect(memo: kopf.Memo, **_: Any) -> None:
    """Close it."""
    await memo.session.close()


@kopf.on.create("slipway.dev", "v1alpha1", "modeldeployments")
async def create(body: kopf.Body, patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
    """Create the children, say so in the status and in an Event."""
    plan = writes.planned(dict(body))
    for child in plan.objects:
        path = resources.of(child).path(namespace=child["metadata"]["namespace"])
        await _send(memo, "POST", path, child, content_type="application/json")
    _tell(body, patch, plan)


@kopf.on.update("slipway.dev", "v1alpha1", "modeldeployments", field="spec")
async def update(body: kopf.Body, patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
    """Patch the children."""
    plan = writes.planned(dict(body))
    for child in plan.objects:
        path = resources.of(child).path(namespace=child["metadata"]["namespace"], name=child["metadata"]["name"])
        await _send(memo, "PATCH", path, child, content_type="application/merge-patch+json")
    _tell(body, patch, plan)


def _tell(body: kopf.Body, patch: kopf.Patch, plan: Plan) -> None:
    patch.status.update(writes.status_of(plan))
    for event in plan.events:
        kopf.event(body, type=event.type, reason=event.reason, message=event.message)


async def _send(memo: kopf.Memo, method: str, path: str, body: Any, *, content_type: str) -> None:
    async with memo.session.request(method, memo.server + path, json=body, headers={"Content-Type": content_type}) as answer:
        if answer.status >= 300 and not (answer.status == 409 and method == "POST"):
            raise kopf.TemporaryError(f"{method} {path}: {answer.status}", delay=1)


if __name__ == "__main__":
    asyncio.run(kopf.operator(clusterwide=True, memo=kopf.Memo()))
