"""Everything put together, and how it ends."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from slipway_inference.app import App, Repository
from slipway_inference.configuration import Configuration
from slipway_inference.features import Features
from slipway_inference.hooks import Hooks
from slipway_inference.inference import Inference, Parts
from slipway_inference.merging import Merger
from slipway_inference.meters import Meters
from slipway_inference.model import Model
from slipway_inference.predictions import Predictions
from slipway_inference.refusals import Refused
from slipway_inference.settings import Settings
from slipway_inference.store import Store
from slipway_inference.triton import Triton
from slipway_service import rsgi, serving

STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
"""A state that Triton has not, by which the operator knows what a pod that is not ready waits for."""

_log = logging.getLogger(__name__)


async def serve(settings: Settings, configuration: Configuration, stop: asyncio.Event) -> None:
    """Serve until ``stop``, and for the grace time after it. ConfigurationError: a part of it cannot be made."""
    triton = Triton(
        configuration,
        host=settings.triton_host,
        port=settings.triton_port,
        timeout_s=settings.triton_timeout_seconds,
        connections=settings.triton_connections,
    )
    await serve_model(triton, settings, configuration, stop, repository=triton.repository)


async def serve_model(
    model: Model, settings: Settings, configuration: Configuration, stop: asyncio.Event, *, repository: Repository | None = None
) -> None:
    """``serve``, in front of any model."""
    counts = Meters()
    async with _store(configuration, settings) as store, _parts(model, settings, configuration, counts, store) as parts:

        async def ready() -> bool:
            return await model.ready() and (parts.features is None or await parts.features.trouble() is None)

        async def index() -> tuple[int, Any]:
            """Triton's, and what keeps requests from being answered besides."""
            assert repository is not None  # noqa: S101
            status, known = await repository()
            trouble = await parts.features.trouble() if parts.features else None
            return status, [*known, {"name": "online store", "state": STORE_UNAVAILABLE, "reason": trouble}] if status == 200 and trouble else known

        told = index if repository else None
        app = App(configuration, Inference(parts), counts=counts, ready=ready, body_bytes=settings.body_bytes, repository=told)
        metrics = rsgi.Metrics(counts.text, elsewhere=Refused("there is nothing at this path: use /metrics", reason="path").body)
        serving.keep_what_is_loaded()
        async with (
            serving.listening(metrics, settings.host, settings.metrics_port),
            serving.listening(app, settings.host, settings.port),
        ):
            _log.info("serving %s on port %d", configuration.model, settings.port)
            await serving.until_drained(app, stop, drain_s=settings.drain_seconds, grace_s=settings.grace_seconds)
            model.close()  # who still waits is told so: granian ends when everybody is answered
    _log.info("ended")


@contextlib.asynccontextmanager
async def _store(configuration: Configuration, settings: Settings) -> AsyncIterator[Store | None]:
    if configuration.features is None:
        yield None
        return
    timeout_s = configuration.features.timeout_milliseconds / 1000
    store = Store(configuration.features.redis, password=settings.redis_password, timeout_s=timeout_s)
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _parts(model: Model, settings: Settings, configuration: Configuration, counts: Meters, store: Store | None) -> AsyncIterator[Parts]:
    merger = Merger(
        model,
        max_batch_size=configuration.max_batch_size,
        calls=settings.triton_calls,
        connections=settings.triton_connections,
        counted=counts.call,
    )
    features = None
    if store is not None:
        features = Features(configuration, store=store, counted=counts.feature)
    hooks = Hooks(configuration.hooks, batched=configuration.batched, failed=counts.hook_failed) if configuration.hooks else None
    with contextlib.ExitStack() as running:
        predictions = None
        if configuration.log:
            predictions = Predictions(configuration.log, file_bytes=settings.predictions_bytes, files=settings.predictions_files)
            running.enter_context(predictions)
            counts.predictions = lambda: (predictions.written, predictions.dropped)
        yield Parts(
            configuration=configuration,
            merger=merger,
            meters=counts,
            max_rows=settings.max_rows,
            features=features,
            hooks=hooks,
            predictions=predictions,
        )
