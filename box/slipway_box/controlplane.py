"""A control plane without nodes: a real API server, and a real KServe if wanted, for one test or one test session.

    with ControlPlane(tmp_path, kserve=True) as plane:
        plane.kubectl("get", "inferenceservices", "--all-namespaces")
        plane.kill("kserve-manager")

Several can run beside each other and beside the full box. No root is needed. The first use on a machine builds the programs;
etcd, kube-apiserver and kubectl are taken from $KUBEBUILDER_ASSETS where that names a folder that has them.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway_box import apiserver, controllers, etcd, kserve, ports, programs
from slipway_box.component import Component, Supervisor
from slipway_box.identities import LOOPBACK
from slipway_box.kubectl import Kubectl
from slipway_box.layout import REPOSITORY
from slipway_box.site import Ports, Site


class ControlPlane:
    """etcd, an API server, a controller manager and, if wanted, KServe, in ``directory`` and on ports of their own.

    ``controllers`` are those that the controller manager runs, none without one; the default makes no pods, no ReplicaSets and no
    Deployment statuses, so that a test can write those. ``manifests`` are applied before the controllers start: the garbage
    collector looks for new kinds only every 30 seconds and would know those at once.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kserve: bool,
        controllers: Sequence[str] = controllers.WITHOUT_WORKLOADS,
        manifests: Sequence[Path] = (),
    ) -> None:
        self._site = Site(state=directory / "state", run=directory / "run", address=LOOPBACK, ports=Ports(*ports.free(8)))
        self._supervisor = Supervisor(run=self._site.run, logs=self._site.logs)
        self._with_kserve = kserve
        self._controllers = tuple(controllers)
        self._manifests = tuple(manifests)
        self._components: dict[str, Component] = {}
        self._tether: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._programs = programs.need(*self._program_names(), assets=programs.assets())
        self._tether = self._tied()
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of an administrator."""
        return self._site.identities.admin_kubeconfig()

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._site.server

    @property
    def logs(self) -> Path:
        """One log a component."""
        return self._site.logs

    @property
    def components(self) -> tuple[str, ...]:
        """Names that ``stop``, ``start`` and ``kill`` take."""
        return tuple(self._components)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed, as an administrator; BoxError when it failed."""
        return self._kubectl().run(*arguments, stdin=stdin)

    def stop(self, component: str) -> None:
        """End ``component`` as an administrator would: asked first."""
        self._supervisor.stop(self._components[component].name, grace_s=2)

    def kill(self, component: str) -> None:
        """End ``component`` as a crash would."""
        self._supervisor.kill(self._components[component].name)

    def start(self, component: str) -> None:
        """Start ``component`` again, on the same ports with the same data, and wait until it is up."""
        self._supervisor.ensure(self._components[component])

    def _start(self) -> None:
        self._ensure(etcd.component(self._site, self._programs), apiserver.component(self._site, self._programs))
        if self._with_kserve:
            kserve.install(self._site, self._programs, self._kubectl())
        if self._manifests:
            self._kubectl().apply(files=self._manifests)
        self._ensure(*self._later())

    def _later(self) -> list[Component]:
        chosen = []
        if self._controllers:
            chosen.append(controllers.component(self._site, self._programs, controllers=self._controllers))
        if self._with_kserve:
            chosen.append(kserve.component(self._site, self._programs))
        return chosen

    def _ensure(self, *components: Component) -> None:
        self._components |= {component.name: component for component in components}
        self._supervisor.ensure(*components)

    def _kubectl(self) -> Kubectl:
        return Kubectl(program=self._programs.path("kubectl"), kubeconfig=self.kubeconfig)

    def _program_names(self) -> list[str]:
        names = ["etcd", "kube-apiserver", "kubectl"]
        return names + ["kube-controller-manager"] * bool(self._controllers) + ["kserve-manager"] * self._with_kserve

    def _tied(self) -> subprocess.Popen[bytes]:
        self._site.run.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "box")}
        argv = [sys.executable, "-m", "slipway_box.tether", str(self._site.run)]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment, start_new_session=True)

    def _end(self) -> None:
        self._supervisor.kill(*self._supervisor.recorded())
        if self._tether and self._tether.stdin:
            self._tether.stdin.close()
            self._tether.wait()
