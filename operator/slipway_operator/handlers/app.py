"""The operator process: kopf watches ModelDeployments and answers probes, everything else runs beside it."""

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import itertools
import logging
import random
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import kopf
import prometheus_client

from slipway_operator import errors, metrics, settings
from slipway_operator.api import metadata
from slipway_operator.cluster import (
    apply,
    client,
    credentials,
    election,
    events,
    informer,
    ledger,
    observe,
    observe_experiments,
    resources,
    routers,
    triton,
)
from slipway_operator.controller import experiments, exporter, keeper, passes, queue, registrations, store, worker
from slipway_operator.handlers import notices
from slipway_operator.state.trial import Trial

log = logging.getLogger("slipway.operator")

OWNED: Final = f"{metadata.MANAGED_BY_LABEL}={metadata.MANAGED_BY}"
SHUTDOWN_S: Final = 20.0
"""For passes under way when the process is told to stop; less than a pod's grace period."""

KOPF_END_S: Final = 8.0
"""For kopf to end; a little more than the time it gives itself."""

STUCK_S: Final = 5 * passes.PASS_TIMEOUT_S
"""A pass that has run for longer has outlived its own timeout: only a restart ends it."""

STALE_S: Final = 300.0
"""A cache without a word from the server for longer is dead: bookmarks come every minute or so, and a silent watch is renewed after 100 s."""


Crews: TypeAlias = tuple[worker.Worker, experiments.Worker]


class Indifferent(kopf.DiffBaseStorage):
    """kopf compares each object with what it was when handled last, at the price of several copies; no handler of ours asks it to."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence:
        """The same."""
        return kopf.BodyEssence()

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nowhere."""


class Forever:
    """Waits between tries of kopf's requests, without end: kopf gives up, and the process with it, when they run out."""

    def __iter__(self) -> Iterator[float]:
        """Half a second, doubling, to as long as the caches wait."""
        yield from (0.5, 1, 2, 4, 8)
        yield from itertools.repeat(informer.BACKOFF_LIMIT_S)


def registry_of(operator: notices.Operator, *, home: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
    """All that kopf calls, on its own loop; what concerns ours is carried to ``home``."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        tune(settings)

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(operator.access)

    @kopf.on.event(metadata.GROUP, metadata.VERSION, "modeldeployments", registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        home.call_soon_threadsafe(notices.notice, operator, event)

    @kopf.on.event(metadata.GROUP, metadata.VERSION, "experiments", registry=registry)
    async def experiment_changed(event: kopf.RawEvent, **_: Any) -> None:
        home.call_soon_threadsafe(notices.notice_experiment, operator, event)

    @kopf.on.probe(id="caches", registry=registry)
    async def fresh(**_: Any) -> str:
        return await at(home, lambda: freshness(operator.caches))

    @kopf.on.probe(id="queue", registry=registry)
    async def moving(**_: Any) -> str:
        return await at(home, lambda: progress(operator.keys, operator.experiment_keys))

    return registry


async def at(home: asyncio.AbstractEventLoop, look: Callable[[], str]) -> str:
    """What ``look`` says on another loop. A loop that is blocked does not answer, which the kubelet takes for a failed probe."""

    async def looking() -> str:
        return look()

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(looking(), home))


def freshness(caches: observe.Caches) -> str:
    """For the liveness probe: fails when a watch has died without anybody noticing."""
    now = asyncio.get_running_loop().time()
    stale = [cache.resource.plural for cache in caches.all() if cache.last_contact and now - cache.last_contact > STALE_S]
    if stale:
        raise kopf.PermanentError(f"no word from the API server for {STALE_S:.0f} s about {', '.join(stale)}")
    return "fresh"


def progress(*queues: queue.WorkQueue[store.Key]) -> str:
    """For the liveness probe: fails when a worker has held one object for far longer than a pass may take, which no timeout has ended."""
    longest_s = max(keys.longest_running_s for keys in queues)
    if longest_s > STUCK_S:
        raise kopf.PermanentError(f"one pass has been running for {longest_s:.0f} s, its own limit is {passes.PASS_TIMEOUT_S:.0f} s")
    return "moving"


def tune(options: kopf.OperatorSettings) -> None:
    """kopf as a shell: it watches and never writes, and it outlives the API server."""
    options.peering.standalone = True
    options.scanning.disabled = True
    options.posting.enabled = False
    options.persistence.diffbase_storage = Indifferent()
    options.networking.error_backoffs = Forever()
    options.networking.request_timeout = 30
    options.networking.connect_timeout = 5
    options.networking.enforce_retry_after = True
    options.watching.server_timeout = 300
    options.watching.inactivity_timeout = 100
    options.watching.reconnect_backoff = 1.0
    options.queueing.worker_limit = None
    options.queueing.idle_timeout = 1.0
    options.queueing.exit_timeout = 5


def connection(access: credentials.Credentials) -> kopf.ConnectionInfo:
    """Our credentials in kopf's words. kopf asks again when the server refuses them, which reads a rotated token anew."""
    token = access.token_path.read_text().strip() if access.token_path else access.token
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_path,
        ca_data=access.ca_data.encode() if access.ca_data else None,
        insecure=access.insecure or None,
        token=token,
        certificate_path=access.certificate_path,
        certificate_data=access.certificate_data.encode() if access.certificate_data else None,
        private_key_path=access.key_path,
        private_key_data=access.key_data.encode() if access.key_data else None,
        default_namespace=access.namespace,
        proxy_url=access.proxy_url,
    )


async def operate(configured: settings.Settings, *, stop: asyncio.Event) -> None:
    """Run the operator until ``stop`` is set."""
    access = credentials.load(Path(configured.kubeconfig) if configured.kubeconfig else None)
    keys: queue.WorkQueue[store.Key] = queue.WorkQueue(name=worker.CONTROLLER)
    experiment_keys: queue.WorkQueue[store.Key] = queue.WorkQueue(name=experiments.CONTROLLER)
    namespaces: queue.WorkQueue[keeper.Namespace] = queue.WorkQueue(name=keeper.CONTROLLER)
    async with contextlib.AsyncExitStack() as stack:
        reading = await stack.enter_async_context(client.ApiClient(access))
        elector = election.Elector(reading, terms_of(configured, access))
        api = await stack.enter_async_context(client.ApiClient(access, fence=lambda: elector.left_s))
        models = await stack.enter_async_context(triton.Triton())
        asked = await stack.enter_async_context(routers.Routers())
        troubles: observe.Troubles = {}
        caches = caches_of(reading, lambda old, new: notices.wake(operator, old, new), namespace=configured.namespace)
        applier = apply.Applier(api, informers={cache.resource: cache for cache in caches.all()})
        operator = notices.Operator(
            configured=configured,
            access=access,
            objects=store.Store(),
            keys=keys,
            experiments=store.Store(),
            experiment_keys=experiment_keys,
            namespaces=namespaces,
            caches=caches,
            applier=applier,
        )

        def trials(namespace: str, name: str) -> Iterator[Trial]:
            return observe_experiments.trials(operator.experiments.all_in(namespace), name)

        recorder = events.Recorder(reading, instance=socket.gethostname())
        observer = observe.Observer(
            caches=caches,
            models=models,
            routers=asked,
            troubles=troubles,
            settings=configured,
            trials=trials,
        )
        shared: dict[str, Any] = {"applier": applier, "api": api, "recorder": recorder, "resync_s": configured.resync_seconds}
        crew = worker.Worker(
            keys=keys,
            objects=operator.objects,
            observer=observer,
            trials=trials,
            relearn=lambda namespace: notices.relearn_experiments(operator, api, namespace),
            gone=functools.partial(notices.see_to_router, operator),
            wrote=lambda body: notices.ask_experiments(operator, store.key_of(body)),
            **shared,
        )
        book = await stack.enter_async_context(ledger_of(configured)) if configured.ledger_url else None
        memories = observe_experiments.Memories()
        told = exporter.Exporter(operator.experiments, memories=memories, leads=lambda: elector.leading)
        metrics.REGISTRY.register(told)
        stack.callback(metrics.REGISTRY.unregister, told)
        experimenters = experiments.Worker(
            keys=experiment_keys,
            objects=operator.experiments,
            observer=observe_experiments.Observer(
                targets=observer,
                find=lambda namespace, name: operator.objects.get((namespace, name)),
                experiments=operator.experiments.all_in,
                ledger=book,
                memories=memories,
            ),
            ledger=book,
            memories=memories,
            relearn=functools.partial(notices.relearn_target, operator),
            gone=functools.partial(notices.ask_without, operator),
            wrote=lambda body: notices.ask_about(operator, body),
            **shared,
        )
        registered = (
            registrations.Registrations(
                book=book,
                api=reading,
                known=operator.experiments.all,
                namespace=configured.namespace,
                every_s=registrations.EVERY_S,
                absent_s=registrations.ABSENT_S,
            )
            if book is not None
            else None
        )
        keeping = (
            keeper.Keeper(
                keys=namespaces,
                objects=operator.objects,
                applier=applier,
                api=api,
                image=configured.router_image,
                replicas=configured.router_replicas,
                ledger=configured.ledger_url,
                troubles=troubles,
                tell=lambda namespace: notices.ask_all(operator, namespace),
                resync_s=configured.resync_seconds,
            )
            if configured.router_image
            else None
        )
        background = [cache.run() for cache in caches.all()] + [recorder.run()]
        async with running(*background), ended() as tasks:
            watching = asyncio.create_task(watch(operator, stop=stop))
            tasks.add(watching)
            await unless(stop, informed(operator, reading))
            settle_memory()
            # Who was stopped before has heard of half the world, and campaigns for nothing.
            term = functools.partial(serve_term, (crew, experimenters), keeping, registered, operator, reading)
            working = set() if stop.is_set() else {asyncio.create_task(lead(elector, term))}
            tasks.update(working)
            await until(stop, *working)
            for task in working:
                if task.done():
                    task.result()
            log.info("stopping: waiting up to %.0f s for passes under way", SHUTDOWN_S)
            await asyncio.gather(*(each.shutdown(drain_s=SHUTDOWN_S) for each in (keys, experiment_keys, namespaces)))
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            # A successor need not wait for our last Events.
            await elector.release()
            await recorder.flush()
            await asyncio.wait({watching}, timeout=KOPF_END_S)


def ledger_of(configured: settings.Settings) -> ledger.Ledger:
    """The ledger that the settings name."""
    token_file = Path(configured.ledger_token_file) if configured.ledger_token_file else None
    return ledger.Ledger(configured.ledger_url or "", token_file=token_file)


@contextlib.asynccontextmanager
async def ended() -> AsyncIterator[set["asyncio.Task[None]"]]:
    """Tasks that must not outlive the block, whatever ends it: they would work on with clients that are closed."""
    tasks: set[asyncio.Task[None]] = set()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


def settle_memory() -> None:
    """What is there once the caches are full stays: the garbage collector need not look at it again and again, 40 ms and more each time."""
    gc.collect()
    gc.freeze()


def terms_of(configured: settings.Settings, access: credentials.Credentials) -> election.Terms:
    """The Lease to campaign for; the identity is this process's alone, so that a restarted container is another candidate."""
    return election.Terms(
        namespace=configured.lease_namespace or access.namespace,
        name=configured.lease_name,
        identity=f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        lease_s=configured.lease_seconds,
    )


async def lead(elector: election.Elector, term: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Campaign, and work a ``term`` whenever we lead, until one ends by itself. The caches stay warm in between, so that taking over is quick."""
    async with running(elector.run()):
        while True:
            await elector.elected()
            working = asyncio.create_task(term())
            deposed = asyncio.create_task(elector.deposed())
            try:
                await asyncio.wait({working, deposed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                deposed.cancel()
                working.cancel()
                await asyncio.wait({working})
            if not working.cancelled():
                # The queue was shut down, or there is a bug that must be seen.
                return working.result()


async def serve_term(
    crews: Crews,
    keeping: keeper.Keeper | None,
    registered: registrations.Registrations | None,
    operator: notices.Operator,
    api: client.ApiClient,
) -> None:
    """Work until the queues are shut down."""
    # A watch of a follower may have been silent for a while, and whoever led before has decided meanwhile.
    await learned(operator, api)
    # A follower has been asked for everything that the leader did.
    operator.keys.reorder(lambda key: notices.urgency(operator.objects.get(key)))
    operator.experiment_keys.reorder(lambda key: notices.urgency(operator.experiments.get(key)))
    await work(crews, keeping, registered, operator)


async def work(crews: Crews, keeping: keeper.Keeper | None, registered: registrations.Registrations | None, operator: notices.Operator) -> None:
    """All workers, until the queues are shut down."""
    async with running(*([registered.run()] if registered else [])), asyncio.TaskGroup() as group:
        for crew in crews:
            group.create_task(crew.run(workers=operator.configured.workers))
        if keeping is not None:
            group.create_task(keeping.run())


@contextlib.asynccontextmanager
async def running(*coroutines: Any) -> AsyncIterator[None]:
    """Run ``coroutines`` beside the block and cancel them after it; one that ends with an error ends the block too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in tasks:
            task.cancel()


async def informed(operator: notices.Operator, api: client.ApiClient) -> None:
    """Wait until every cache holds a first list, and so does what kopf watches: a decision on half the world would prune the other half.

    kopf tells of what its lists hold one by one, and nobody when it has told of all: a pass over a ModelDeployment whose experiment is not heard of
    yet would take its arms away.
    """
    for cache in operator.caches.all():
        await cache.synced.wait()
    await learned(operator, api)


async def learned(operator: notices.Operator, api: client.ApiClient) -> None:
    """Hear of all that kopf watches as the server has it now; a server that does not say is asked until it does."""
    for resource in notices.WATCHED:
        for pause_s in Forever():
            try:
                await notices.relearn(operator, api, resource, namespace=operator.configured.namespace)
            except errors.NotFound as error:
                # There is none of a kind that is not installed; kopf goes on asking for it.
                log.warning("%s", error)
            except errors.SlipwayError as error:
                log.warning("%s; trying again in %.1f s", error, pause_s)
                await asyncio.sleep(pause_s)
                continue
            break


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Carry ``work`` out, or give it up as soon as ``stop`` is set."""
    working = asyncio.create_task(work)
    try:
        await until(stop, working)
    finally:
        given_up = working.cancel()
        await asyncio.wait({working})
    if not given_up:
        working.result()


async def until(stop: asyncio.Event, *tasks: "asyncio.Task[None]") -> None:
    """Wait until ``stop`` is set, or the first of the tasks ends."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


def index_keys(child: resources.Object) -> Iterator[Hashable]:
    """Under what a child is found: its ModelDeployment, its router."""
    if key := worker.owner_key(child):
        yield key
    if router := (child["metadata"].get("labels") or {}).get(metadata.ROUTER_LABEL):
        yield observe.router_key(child["metadata"]["namespace"], router)


def caches_of(api: client.ApiClient, changed: informer.OnChange, *, namespace: str | None) -> observe.Caches:
    """An informer for each kind of child."""

    def cache(resource: resources.Resource) -> informer.Informer:
        return informer.Informer(
            api,
            resource,
            on_change=changed,
            namespace=namespace,
            label_selector=OWNED,
            transform=informer.slim_but_owned(metadata.FIELD_MANAGER),
            index=index_keys,
        )

    return observe.Caches(
        inference_services=cache(resources.INFERENCE_SERVICES),
        config_maps=cache(resources.CONFIG_MAPS),
        services=cache(resources.SERVICES),
        controller_revisions=cache(resources.CONTROLLER_REVISIONS),
        autoscalers=cache(resources.HORIZONTAL_POD_AUTOSCALERS),
        disruption_budgets=cache(resources.POD_DISRUPTION_BUDGETS),
        deployments=cache(resources.DEPLOYMENTS),
        pods=cache(resources.PODS),
        endpoint_slices=cache(resources.ENDPOINT_SLICES),
    )


async def watch(operator: notices.Operator, *, stop: asyncio.Event) -> None:
    """Run kopf until ``stop``, again and again: some answers of an API server in trouble end it, and the caches must not be lost with it.

    It has a thread and a loop to itself: whenever it ends, it cancels every task of its loop that is younger than it, whoever started it.
    """
    home = asyncio.get_running_loop()
    # It warns that signals are not for it here, which is what we want.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.CRITICAL)
    for pause_s in Forever():
        over: concurrent.futures.Future[None] = concurrent.futures.Future()
        running = asyncio.create_task(asyncio.to_thread(asyncio.run, shell(operator, home=home, over=over)))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            # The task may be cancelled, with everything else in the loop, and its thread live on.
            if not over.done() and (not running.done() or running.cancelled()):
                over.set_result(None)
        if stop.is_set():
            await asyncio.wait({running})
            return
        log.error("kopf ended; starting it again", exc_info=running.exception())
        await asyncio.sleep(min(pause_s, 5.0) * (1 + random.random()))  # noqa: S311 - jitter


async def shell(operator: notices.Operator, *, home: asyncio.AbstractEventLoop, over: "concurrent.futures.Future[None]") -> None:
    """kopf, until ``over`` or an error of its own."""
    configured = operator.configured
    await kopf.operator(
        registry=registry_of(operator, home=home),
        # kopf would make one up from the user's name, which a container's user need not have.
        identity=worker.CONTROLLER,  # type: ignore[arg-type]
        standalone=True,
        clusterwide=configured.namespace is None,
        namespaces=[configured.namespace] if configured.namespace else [],
        liveness_endpoint=f"http://{configured.probe_host}:{configured.probe_port}/healthz",
        # In the form that kopf waits for on its loop; for others it takes a thread, which would outlive it.
        stop_flag=asyncio.wrap_future(over),
    )


def run(configured: settings.Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    asyncio.run(_until_signalled(configured))


async def _until_signalled(configured: settings.Settings) -> None:
    stop = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, stop.set)
    server, _ = prometheus_client.start_http_server(configured.metrics_port, registry=metrics.REGISTRY)
    try:
        await operate(configured, stop=stop)
    finally:
        server.shutdown()
