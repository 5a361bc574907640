"""The full box: a cluster of one node on this machine."""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway_box import (
    addresses,
    apiserver,
    cgroups,
    containerd,
    controllers,
    dns,
    etcd,
    images,
    kernel,
    kserve,
    kserve_config,
    kubelet,
    layout,
    leftovers,
    loading,
    network,
    object_store,
    preflight,
    programs,
    proxy,
    redis,
    resource_metrics,
    scheduler,
    volumes,
    waiting,
)
from slipway_box.api import Api
from slipway_box.component import Component, Supervisor
from slipway_box.errors import BoxError
from slipway_box.extras import Extra, Packaged
from slipway_box.kubectl import Kubectl
from slipway_box.programs import PROGRAMS, Programs
from slipway_box.progress import step
from slipway_box.site import BOX, Site
from slipway_box.status import Row

_EXTRAS: dict[str, Callable[[Site, str], Component]] = {
    object_store.NAME: object_store.component,
    redis.NAME: redis.component,
    resource_metrics.NAME: resource_metrics.component,
}
_PROGRAMS: dict[str, Extra | Packaged] = {
    object_store.NAME: object_store.PROGRAM,
    redis.NAME: redis.PROGRAM,
    resource_metrics.NAME: resource_metrics.PROGRAM,
}
_APPLIED = "/api/v1/namespaces/kube-system/configmaps/slipway-box"


@dataclass(frozen=True)
class Box:
    """The cluster on this machine; every method may be called again, and after any crash."""

    site: Site = BOX

    @property
    def supervisor(self) -> Supervisor:
        """Keeps the components."""
        return Supervisor(run=self.site.run, logs=self.site.logs)

    def up(self) -> None:
        """Bring the cluster up, or back to what it should be."""
        preflight.check()
        built = programs.need(*PROGRAMS)
        images.archive("pause")
        with self.alone():
            self._prepare()
            with step("starting the cluster", usual_s=2 if self.supervisor.recorded() else 10):
                self._start(built)
            volumes.recycle(self.site, self.kubectl(built))
        for name in _EXTRAS.keys() & set(self.supervisor.recorded()):
            self.start(name)

    def down(self) -> list[str]:
        """End everything and take away everything; a sentence for each thing that could not be."""
        preflight.require_root(os.geteuid())
        with self.alone(), step("taking the cluster down", usual_s=2):
            early = [name for name in self.supervisor.recorded() if name not in (containerd.NAME, apiserver.NAME, etcd.NAME)]
            self.supervisor.stop(*early, grace_s=5)
            cgroups.end_processes()
            self.supervisor.stop(containerd.NAME, apiserver.NAME, etcd.NAME, grace_s=3)
            return leftovers.remove(self.site)

    def load(self, wanted: str) -> str:
        """Bring an image into the cluster; what was done, in a line."""
        self.require_up()
        return loading.load(self.site, wanted)

    def start(self, extra: str) -> None:
        """Start the object store, Redis or the metrics server beside the cluster; what the object store keeps stays until the box goes down."""
        self.require_up()
        program = _PROGRAMS[extra].build()
        if extra == resource_metrics.NAME:
            # Before it starts: without its rights it ends at once.
            self.kubectl().apply(*resource_metrics.objects(self.site))
        with self.alone():
            self.supervisor.ensure(_EXTRAS[extra](self.site, program))

    def stop(self, extra: str) -> None:
        """Stop it; what it keeps stays."""
        preflight.require_root(os.geteuid())
        if extra == resource_metrics.NAME:
            # An API whose server is gone makes every discovery wait.
            self.kubectl().run("delete", "apiservice", "v1beta1.metrics.k8s.io", "--ignore-not-found")
        with self.alone():
            self.supervisor.stop(extra)

    def log(self, component: str) -> Path:
        """The log of ``component``.

        Raises BoxError, with the names there are, when there is none.
        """
        log = self.supervisor.log(component)
        if not log.exists():
            names = sorted(path.stem for path in self.site.logs.glob("*.log"))
            raise BoxError(f"There is no log of {component}; there are {', '.join(names) or 'none: the box is down'}.")
        return log

    def rows(self) -> list[Row]:
        """Every component as it is now, and the node; nothing when the box is down."""
        if not self.supervisor.recorded():
            return []
        anywhere = Path("/")  # where programs lie does not matter for asking how they are
        components = self.components(Programs(folder=anywhere))
        recorded = _EXTRAS.keys() & set(self.supervisor.recorded())
        components.extend(_EXTRAS[name](self.site, str(anywhere)) for name in sorted(recorded))
        return [*(self._row(component) for component in components), self._node_row()]

    def kubectl(self, built: Programs | None = None) -> Kubectl:
        """A kubectl of this cluster's administrator."""
        built = built or programs.need("kubectl")
        return Kubectl(program=built.path("kubectl"), kubeconfig=self.site.identities.admin_kubeconfig())

    def require_up(self) -> None:
        """Raise BoxError when the cluster has not been started."""
        if not self.supervisor.recorded():
            raise BoxError("The box is not up: start it with `box up`.")

    def components(self, built: Programs) -> list[Component]:
        """All of them, in the order in which they start."""
        return [*self._foundation(built), *self._cluster(built)]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second command from changing the box at the same time."""
        layout.cache().mkdir(parents=True, exist_ok=True)
        with (layout.cache() / "box.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prepare(self) -> None:
        for folder in (self.site.state, self.site.run, self.site.logs):
            folder.mkdir(parents=True, exist_ok=True)
        kernel.ensure(self.site.state / "kernel.json")
        cgroups.ensure()
        network.ensure(self.site)
        volumes.prepare(self.site)

    def _start(self, built: Programs) -> None:
        self._end_strays()
        self.supervisor.ensure(*self._foundation(built))
        loading.load(self.site, "pause")
        self._apply(built)
        self.supervisor.ensure(*self._cluster(built))
        waiting.until(self._node_ready, within_s=60, otherwise="The node is not Ready after 60 s: see `box logs kubelet`.")
        late = "No service account after 60 s, without which no pod starts: see `box logs kube-controller-manager`."
        waiting.until(self._accounts_made, within_s=60, otherwise=late)

    def _end_strays(self) -> None:
        running = [self.supervisor.running(name) for name in self.supervisor.recorded()]
        leftovers.end_components(self.site, but=frozenset(one.pid for one in running if one))

    def _foundation(self, built: Programs) -> list[Component]:
        return [
            etcd.component(self.site, built),
            apiserver.component(self.site, built),
            containerd.component(self.site, sandbox_image=loading.full_name(images.reference("pause"))),
        ]

    def _cluster(self, built: Programs) -> list[Component]:
        return [
            controllers.component(self.site, built, controllers=controllers.OF_A_CLUSTER),
            scheduler.component(self.site, built),
            kubelet.component(self.site, built),
            proxy.component(self.site, built),
            dns.component(self.site, built),
            kserve.component(self.site, built),
        ]

    def _apply(self, built: Programs) -> None:
        """Apply the objects of the box, unless these very ones were applied before; the cluster itself remembers."""
        objects = [*dns.objects(self.site), *volumes.objects(self.site)]
        trusted = self.site.identities.authority.certificate.read_text()
        decided = json.dumps([objects, str(built.folder), kserve_config.settings(), trusted])
        wanted = hashlib.sha256(decided.encode()).hexdigest()
        found = Api(self.site).get(_APPLIED) or {}
        if found.get("data", {}).get("applied") == wanted:
            return
        kubectl = self.kubectl(built)
        kserve.install(self.site, built, kubectl)
        memory = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slipway-box", "namespace": "kube-system"}}
        kubectl.apply(*objects, memory | {"data": {"applied": wanted}})

    def _row(self, component: Component) -> Row:
        running = self.supervisor.running(component.name)
        healthy = running is not None and component.probe.healthy()
        note = "" if healthy else f"see `box logs {component.name}`, or bring it back with `box up`"
        pid, memory = (running.pid, running.memory_bytes()) if running else (None, 0)
        return Row(name=component.name, pid=pid, healthy=healthy, memory_bytes=memory, note=note)

    def _node_row(self) -> Row:
        try:
            ready, pods = self._node_ready(), len(Api(self.site).items("/api/v1/pods"))
        except BoxError:
            return Row(name=f"node {addresses.NODE}", pid=None, healthy=False, memory_bytes=0, note="the API server does not answer")
        note = f"{pods} pods" if ready else "not Ready"
        return Row(name=f"node {addresses.NODE}", pid=None, healthy=ready, memory_bytes=0, note=note)

    def _accounts_made(self) -> bool:
        return Api(self.site).get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _node_ready(self) -> bool:
        node = Api(self.site).get(f"/api/v1/nodes/{addresses.NODE}") or {}
        conditions = node.get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
