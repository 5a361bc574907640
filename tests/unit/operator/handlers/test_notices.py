"""Who is asked to look at what, when something is heard."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from slipway_operator import metrics, settings
from slipway_operator.controller import queue, store
from slipway_operator.handlers import app
from slipway_testing import builders

METERS = metrics.Metrics.on(CollectorRegistry())


class Nobody:
    """An applier that has written and remembers nothing."""

    def wrote(self, *_: Any, **__: Any) -> bool:
        return False

    def forget(self, *_: Any) -> None:
        """Nothing."""


def operator(**changes: Any) -> app.Operator:
    return app.Operator(
        configured=settings.Settings(runtimes={"slipway-triton": "r"}, **changes),
        access=None,  # type: ignore[arg-type]
        objects=store.Store(),
        keys=queue.WorkQueue(name="modeldeployment", meters=METERS),
        experiments=store.Store(),
        experiment_keys=queue.WorkQueue(name="experiment", meters=METERS),
        namespaces=queue.WorkQueue(name="router", meters=METERS),
        caches=None,  # type: ignore[arg-type]
        applier=Nobody(),  # type: ignore[arg-type]
    )


def heard(kind: str | None, name: str) -> Any:
    body = builders.manifest(name=name)
    body["metadata"] |= {"uid": name, "resourceVersion": "1", "generation": 1}
    return {"type": kind, "object": body}


@pytest.mark.parametrize(("image", "looks"), [("slipway/router:1", 1), (None, 0)])
async def test_the_first_and_the_last_of_a_namespace_concern_its_router_where_there_are_routers(image: str | None, looks: int) -> None:
    told = operator(router_image=image)
    app.notice(told, heard("ADDED", "a"))
    assert len(told.namespaces) == looks
    app.notice(told, heard("ADDED", "b"))
    assert (len(told.keys), len(told.namespaces)) == (2, looks)
    app.notice(told, heard("DELETED", "b"))
    assert len(told.namespaces) == looks
