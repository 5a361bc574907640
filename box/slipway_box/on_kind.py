"""CLUSTER=kind: a cluster in containers, where a container engine runs."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from slipway_box import images, layout, machine, on_existing
from slipway_box.errors import BoxError
from slipway_box.loading import LOADED

NAME = "slipway"


@dataclass(frozen=True)
class OnKind:
    """The kind cluster called slipway."""

    def up(self) -> None:
        """Create it if there is none; KServe is the user's to install."""
        _require_kind()
        if NAME not in machine.run("kind", "get", "clusters").splitlines():
            machine.run("kind", "create", "cluster", "--name", NAME, "--wait", "120s", "--kubeconfig", str(_kubeconfig_path()))
        on_existing.require_kserve(self.kubectl())

    def down(self, *, caches: bool) -> None:
        """Delete it; with ``caches`` the image archives too."""
        _require_kind()
        machine.run("kind", "delete", "cluster", "--name", NAME, "--kubeconfig", str(_kubeconfig_path()))
        if caches:
            images.clean()

    def status(self) -> tuple[str, bool]:
        """Its nodes, as kubectl shows them."""
        return on_existing.nodes(self.kubectl())

    def load(self, wanted: str) -> str:
        """Into every node."""
        _require_kind()
        archive = Path(wanted) if Path(wanted).is_file() else images.archive(wanted)
        machine.run("kind", "load", "image-archive", "--name", NAME, str(archive))
        return f"{wanted}{LOADED}"

    def kubeconfig(self) -> Path:
        """Kept apart from the user's own, so that no current context changes under their hands."""
        path = _kubeconfig_path()
        if not path.exists():
            machine.run("kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(path))
        return path

    def kubectl(self, *arguments: str) -> list[str]:
        """The kubectl on PATH."""
        return [on_existing.program(), f"--kubeconfig={self.kubeconfig()}", *arguments]


def _require_kind() -> None:
    if shutil.which("kind") is None:
        raise BoxError("CLUSTER=kind needs kind on PATH: `go install sigs.k8s.io/kind@latest`.")
    if not any(machine.succeeds(engine, "info") for engine in ("docker", "podman", "nerdctl") if shutil.which(engine)):
        raise BoxError("CLUSTER=kind needs a running container engine, and none answers: start Docker or Podman, or use CLUSTER=box.")


def _kubeconfig_path() -> Path:
    layout.cache().mkdir(parents=True, exist_ok=True)
    return layout.cache() / "kind.kubeconfig"
